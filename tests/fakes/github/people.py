"""People at their browsers: each thing they do sends the webhooks that it sends on GitHub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import Files
from tests.fakes.github.changes import checks, issues, pulls, refs
from tests.fakes.github.changes import repositories as repositories_
from tests.fakes.github.records import Account, Comment, Issue, Pull, Repository, Review
from tests.fakes.github.state import State


@dataclass(frozen=True)
class Person:
    """What `account` does. Repositories are told by their full name; nothing here asks whether they may."""

    state: State
    account: Account

    @property
    def login(self) -> str:
        return self.account.login

    def open_issue(self, repository: str, title: str, body: str | None = None, *, labels: tuple[str, ...] = ()) -> Issue:
        with self.state.lock:
            found = self.state.repository(repository)
            return issues.open_issue(self.state, found, self.account, title=title, body=body, labels=labels)

    def open_pull(self, repository: str, title: str, *, head: str, base: str = "main", **more: Any) -> Pull:
        with self.state.lock:
            found = self.state.repository(repository)
            return pulls.open_pull(self.state, found, self.account, title=title, head=head, base=base, **more)

    def label(self, repository: str, number: int, *names: str) -> None:
        with self.state.lock:
            issues.add_labels(self.state, self._issue(repository, number), self.account, names)

    def unlabel(self, repository: str, number: int, name: str) -> None:
        with self.state.lock:
            issues.remove_label(self.state, self._issue(repository, number), self.account, name)

    def comment(self, repository: str, number: int, body: str) -> Comment:
        with self.state.lock:
            return issues.comment(self.state, self._issue(repository, number), self.account, body)

    def edit_comment(self, comment: Comment, body: str) -> None:
        with self.state.lock:
            issues.edit_comment(self.state, comment, self.account, body)

    def delete_comment(self, comment: Comment) -> None:
        with self.state.lock:
            issues.delete_comment(self.state, comment, self.account)

    def comment_on_line(
        self, repository: str, number: int, body: str, *, path: str, line: int = 1, reply_to: int | None = None
    ) -> Comment:
        with self.state.lock:
            pull = self._pull(repository, number)
            return issues.comment_on_line(self.state, pull, self.account, body, path=path, line=line, reply_to=reply_to)

    def review(self, repository: str, number: int, verdict: str, body: str = "") -> Review:
        """`verdict` is APPROVE, REQUEST_CHANGES or COMMENT."""
        with self.state.lock:
            return pulls.review(self.state, self._pull(repository, number), self.account, verdict, body)

    def edit(self, repository: str, number: int, *, title: str | None = None, body: str | None = None) -> None:
        with self.state.lock:
            issues.edit(self.state, self._issue(repository, number), self.account, title=title, body=body)

    def close(self, repository: str, number: int) -> None:
        with self.state.lock:
            issue = self._issue(repository, number)
            if isinstance(issue, Pull):
                pulls.close(self.state, issue, self.account)
            else:
                issues.set_state(self.state, issue, self.account, "closed")

    def reopen(self, repository: str, number: int) -> None:
        with self.state.lock:
            issue = self._issue(repository, number)
            if isinstance(issue, Pull):
                pulls.reopen(self.state, issue, self.account)
            else:
                issues.set_state(self.state, issue, self.account, "open")

    def merge(self, repository: str, number: int, *, method: str = "merge") -> str:
        with self.state.lock:
            return pulls.merge(self.state, self._pull(repository, number), self.account, method=method)

    def mark_draft(self, repository: str, number: int, draft: bool = True) -> None:
        with self.state.lock:
            pulls.set_draft(self.state, self._pull(repository, number), self.account, draft)

    def push(
        self,
        repository: str,
        branch: str,
        files: Files,
        *,
        message: str = "Change",
        forced: bool = False,
        start: str | None = None,
    ) -> str:
        """Commit to a branch, which is made from `start` (or the default branch) where it is missing. The commit's id."""
        with self.state.lock:
            found = self.state.repository(repository)
            return repositories_.commit(
                self.state, found, branch, files, by=self.account, message=message, forced=forced, start=start
            )

    def delete_branch(self, repository: str, branch: str) -> None:
        with self.state.lock:
            found = self.state.repository(repository)
            gitstore.delete_ref(found, refs.BRANCH + branch)
            refs.settle(self.state, found, self.account)

    def create_repository(self, owner: str, name: str, *, files: Files | None = None, **fields: Any) -> Repository:
        with self.state.lock:
            account = self.state.account(owner)
            return repositories_.create(self.state, account, name, by=self.account, files=files, **fields)

    def rename(self, repository: str, name: str) -> None:
        with self.state.lock:
            repositories_.rename(self.state, self.state.repository(repository), name, by=self.account)

    def transfer(self, repository: str, owner: str) -> None:
        with self.state.lock:
            found, account = self.state.repository(repository), self.state.account(owner)
            repositories_.transfer(self.state, found, account, by=self.account)

    def archive(self, repository: str) -> None:
        with self.state.lock:
            repositories_.set_archived(self.state, self.state.repository(repository), True, by=self.account)

    def unarchive(self, repository: str) -> None:
        with self.state.lock:
            repositories_.set_archived(self.state, self.state.repository(repository), False, by=self.account)

    def delete_repository(self, repository: str) -> None:
        with self.state.lock:
            repositories_.delete(self.state, self.state.repository(repository), by=self.account)

    def edit_repository(self, repository: str, **fields: Any) -> None:
        """`fields`: description, topics, default_branch."""
        with self.state.lock:
            repositories_.edit(self.state, self.state.repository(repository), by=self.account, **fields)

    def report_status(self, repository: str, sha: str, verdict: str, context: str = "ci") -> None:
        """What a CI of the old kind does; `verdict` is success, failure, error or pending."""
        with self.state.lock:
            checks.add_status(
                self.state, self.state.repository(repository), sha, self.account, verdict=verdict, context=context
            )

    def update_branch(self, repository: str, number: int) -> None:
        """The button "Update branch"."""
        with self.state.lock:
            pulls.take_base(self.state, self._pull(repository, number), self.account)

    def rerequest_checks(self, repository: str, check_run: int) -> None:
        with self.state.lock:
            found = self.state.repository(repository)
            checks.rerequest(self.state, found, found.check_runs[check_run], self.account)

    def _issue(self, repository: str, number: int) -> Issue:
        return self.state.issue(self.state.repository(repository), number)

    def _pull(self, repository: str, number: int) -> Pull:
        return self.state.pull(self.state.repository(repository), number)
