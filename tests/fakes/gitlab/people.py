"""People at their browsers: each thing they do sends the webhooks that it sends on GitLab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import Files
from tests.fakes.gitlab.changes import groups, merge_requests, pipelines, projects, refs, threads
from tests.fakes.gitlab.records import (
    Award,
    Discussion,
    Group,
    Issue,
    Label,
    Level,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    User,
)
from tests.fakes.gitlab.state import State


@dataclass(frozen=True)
class Person:
    """What `user` does. Projects are told by their full path; nothing here asks whether they may.

    A number is an issue's, or with `pull=True` a merge request's: GitLab counts them apart.
    """

    state: State
    user: User

    @property
    def username(self) -> str:
        return self.user.username

    def open_issue(
        self, project: str, title: str, description: str | None = None, *, labels: tuple[str, ...] = (), **more: Any
    ) -> Issue:
        with self.state.lock:
            found = self.state.project(project)
            return threads.open_issue(self.state, found, self.user, title=title, description=description, labels=labels, **more)

    def open_merge_request(
        self, project: str, title: str, *, source: str, target: str = "main", source_project: str = "", **more: Any
    ) -> MergeRequest:
        with self.state.lock:
            found = self.state.project(project)
            origin = self.state.project(source_project) if source_project else None
            return merge_requests.open_merge_request(
                self.state, found, self.user, title=title, source=source, target=target, source_project=origin, **more
            )

    def label(self, project: str, number: int, *names: str, pull: bool = False) -> None:
        with self.state.lock:
            threads.update(self.state, self._thread(project, number, pull), self.user, add_labels=names)

    def unlabel(self, project: str, number: int, *names: str, pull: bool = False) -> None:
        with self.state.lock:
            threads.update(self.state, self._thread(project, number, pull), self.user, remove_labels=names)

    def edit(self, project: str, number: int, *, pull: bool = False, **fields: Any) -> None:
        """`fields`: title, description; of a merge request also target, reviewers (users), squash."""
        with self.state.lock:
            if pull:
                merge_requests.update(self.state, self._pull(project, number), self.user, **fields)
            else:
                threads.update(self.state, self._thread(project, number, pull), self.user, **fields)

    def comment(self, project: str, number: int, body: str, *, pull: bool = False, internal: bool = False) -> Note:
        with self.state.lock:
            return threads.comment(self.state, self._thread(project, number, pull), self.user, body, internal=internal)

    def edit_comment(self, note: Note, body: str) -> None:
        with self.state.lock:
            threads.edit_note(self.state, note, self.user, body)

    def delete_comment(self, note: Note) -> None:
        with self.state.lock:
            threads.delete_note(self.state, note)

    def discuss(self, project: str, number: int, body: str, *, pull: bool = True) -> Discussion:
        """Begin a thread that can be resolved, on no line."""
        with self.state.lock:
            return threads.discuss(self.state, self._thread(project, number, pull), self.user, body)

    def comment_on_line(self, project: str, number: int, body: str, *, path: str, line: int = 1) -> Discussion:
        with self.state.lock:
            found = self._pull(project, number)
            position = {
                "base_sha": found.base_sha,
                "start_sha": found.start_sha,
                "head_sha": found.head_sha,
                "old_path": path,
                "new_path": path,
                "position_type": "text",
                "old_line": None,
                "new_line": line,
                "line_range": None,
            }
            return threads.discuss(self.state, found, self.user, body, position=position)

    def reply(self, note: Note, body: str) -> Note:
        with self.state.lock:
            return threads.reply(self.state, note.thread, note.discussion, self.user, body)

    def resolve(self, discussion: Discussion, resolved: bool = True) -> None:
        with self.state.lock:
            threads.resolve(self.state, discussion, self.user, resolved)

    def award(self, on: Issue | Note, name: str) -> Award:
        with self.state.lock:
            return threads.award(self.state, on, self.user, name)

    def close(self, project: str, number: int, *, pull: bool = False) -> None:
        with self.state.lock:
            if pull:
                merge_requests.close(self.state, self._pull(project, number), self.user)
            else:
                threads.close(self.state, self._thread(project, number, pull), self.user)

    def reopen(self, project: str, number: int, *, pull: bool = False) -> None:
        with self.state.lock:
            if pull:
                merge_requests.reopen(self.state, self._pull(project, number), self.user)
            else:
                threads.reopen(self.state, self._thread(project, number, pull), self.user)

    def merge(self, project: str, number: int, *, squash: bool | None = None, remove_branch: bool | None = None) -> str:
        with self.state.lock:
            found = self._pull(project, number)
            return merge_requests.merge(self.state, found, self.user, squash=squash, remove_branch=remove_branch)

    def approve(self, project: str, number: int) -> None:
        with self.state.lock:
            merge_requests.approve(self.state, self._pull(project, number), self.user)

    def unapprove(self, project: str, number: int) -> None:
        with self.state.lock:
            merge_requests.unapprove(self.state, self._pull(project, number), self.user)

    def request_changes(self, project: str, number: int, body: str = "") -> None:
        """A review with that verdict; its text is a note, and all that a webhook tells of it."""
        with self.state.lock:
            found = self._pull(project, number)
            merge_requests.request_changes(self.state, found, self.user)
            if body:
                threads.comment(self.state, found, self.user, body)

    def mark_draft(self, project: str, number: int, draft: bool = True) -> None:
        with self.state.lock:
            found = self._pull(project, number)
            bare = found.title.removeprefix("Draft: ")
            title = f"Draft: {bare}" if draft else bare
            merge_requests.update(self.state, found, self.user, title=title)

    def push(
        self,
        project: str,
        branch: str,
        files: Files,
        *,
        message: str = "Change",
        forced: bool = False,
        start: str | None = None,
    ) -> str:
        """Commit to a branch, which is made from `start` (or the default branch) where it is missing. The commit's id."""
        with self.state.lock:
            found = self.state.project(project)
            return projects.commit(self.state, found, branch, files, by=self.user, message=message, forced=forced, start=start)

    def delete_branch(self, project: str, branch: str) -> None:
        with self.state.lock:
            found = self.state.project(project)
            gitstore.delete_ref(found, refs.BRANCH + branch)
            refs.settle(self.state, found, self.user)

    def run_pipeline(self, project: str, branch: str, status: str, *, job: str = "test") -> Pipeline:
        """A pipeline at the branch's head with one job that is running, success, failed, …; called again, it moves on."""
        with self.state.lock:
            return pipelines.run(self.state, self.state.project(project), self.user, branch, status, job=job)

    def create_project(self, group: str, slug: str, *, files: Files | None = None, **fields: Any) -> Project:
        with self.state.lock:
            found = self.state.group(group)
            return projects.create(self.state, found, slug, by=self.user, files=files, protected=files is not None, **fields)

    def fork(self, project: str, group: str) -> Project:
        """Its files are there at once."""
        with self.state.lock:
            made = projects.fork(self.state, self.state.project(project), self.state.group(group), by=self.user)
            projects.finish_import(self.state, made)
            return made

    def rename(self, project: str, slug: str) -> None:
        with self.state.lock:
            projects.move(self.state, self.state.project(project), slug=slug)

    def move_project(self, project: str, group: str) -> None:
        with self.state.lock:
            projects.move(self.state, self.state.project(project), group=self.state.group(group))

    def archive(self, project: str) -> None:
        self.edit_project(project, archived=True)

    def unarchive(self, project: str) -> None:
        self.edit_project(project, archived=False)

    def edit_project(self, project: str, **fields: Any) -> None:
        """`fields` of the record. No webhook tells of it."""
        with self.state.lock:
            projects.edit(self.state, self.state.project(project), **fields)

    def delete_project(self, project: str) -> None:
        with self.state.lock:
            projects.delete(self.state, self.state.project(project), by=self.user)

    def share(self, project: str, group: str, level: str = "developer") -> None:
        with self.state.lock:
            self.state.project(project).shared_with[self.state.group(group).id] = Level[level.upper()]

    def create_group(self, path: str) -> Group:
        with self.state.lock:
            return groups.create(self.state, path)

    def delete_group(self, path: str) -> None:
        with self.state.lock:
            groups.delete(self.state, self.state.group(path))

    def rename_group(self, path: str, slug: str) -> None:
        """Every project below it is found by its old path, too."""
        with self.state.lock:
            self.state.group(path).slug = slug
            self.state.index()

    def add_member(self, group: str, username: str, level: str) -> None:
        """Or change the level they have."""
        with self.state.lock:
            found = self.state.group(group)
            groups.add_member(self.state, found, self.state.user(username), Level[level.upper()])

    def remove_member(self, group: str, username: str) -> None:
        with self.state.lock:
            groups.remove_member(self.state, self.state.group(group), self.state.user(username))

    def create_group_label(self, group: str, name: str) -> Label:
        with self.state.lock:
            made = Label(self.state.new_id(), name, group=True, created_at=self.state.now())
            self.state.group(group).labels[name.lower()] = made
            return made

    def _thread(self, project: str, number: int, pull: bool) -> Issue:
        return self._pull(project, number) if pull else self.state.issue(self.state.project(project), number)

    def _pull(self, project: str, number: int) -> MergeRequest:
        return self.state.merge_request(self.state.project(project), number)
