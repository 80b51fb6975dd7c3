"""The story's GitLab."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from bot.domain.pull_requests import Thread
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab.records import Issue, MergeRequest
from tests.fakes.gitlab.webhooks import headers_of
from tests.story.conftest import Project
from tests.story.forges import MAINTAINER, OPERATOR, ORG, READER, CheckSeen, Files, Forge, PullSeen, file_in, full


@contextmanager
def gitlab(folder: Path) -> Iterator[Forge]:
    with FakeGitLab(folder) as hub:
        hub.create_group(ORG)
        hub.add_user(OPERATOR, groups={ORG: "owner"})
        hub.add_user(MAINTAINER)
        hub.add_user(READER)
        yield GitLabForge(hub)


class GitLabForge:
    """A group's access token, and a webhook of the group's."""

    kind, deep, mark, shows_summaries, tells_of_installing = "gitlab", "platform/deep/", "!", False, False

    def __init__(self, hub: FakeGitLab):
        self._hub, self._token = hub, ""

    @property
    def host(self) -> str:
        return f"gitlab:{self._hub.url}"

    @property
    def bot(self) -> str:
        return self._hub.bot_of(self._token)

    def create(self, name: str, files: Files, *, archived: bool = False) -> None:
        group, _, slug = full(name).rpartition("/")
        self._hub.create_group(group)
        self._hub.create_project(group, slug, files=files, archived=archived)
        for person, level in ((MAINTAINER, "maintainer"), (READER, "reporter")):
            self._hub.add_user(person, projects={full(name): level})

    def connect(self, project: Project, address: str) -> None:
        self._token = self._hub.group_token(ORG, "whimbrel", level="owner")
        file = project.folder.parent / "token.txt"
        file.write_text(self._token)
        asked = ("--group", ORG, "--url", self._hub.url, "--public-url", address, "--token-file", str(file))
        project.whimbrel("setup", "gitlab", *asked)

    def open_issue(self, person: str, repository: str, title: str) -> Thread:
        return Thread(self._hub.as_user(person).open_issue(full(repository), title).iid, "issue")

    def label(self, person: str, repository: str, thread: Thread, label: str) -> None:
        self._hub.as_user(person).label(full(repository), thread.number, label, pull=_is_pull(thread))

    def comment(self, person: str, repository: str, thread: Thread, body: str) -> int:
        return self._hub.as_user(person).comment(full(repository), thread.number, body, pull=_is_pull(thread)).id

    def close(self, person: str, repository: str, number: int) -> None:
        self._hub.as_user(person).close(full(repository), number, pull=True)

    def merge(self, person: str, repository: str, number: int) -> None:
        self._hub.as_user(person).merge(full(repository), number)

    def pulls(self, repository: str) -> list[PullSeen]:
        with self._hub.state.lock:
            return [
                PullSeen(
                    pull.iid,
                    pull.source_branch,
                    pull.state.replace("opened", "open"),
                    pull.head_sha,
                    tuple(label.name for label in pull.labels),
                )
                for pull in self._hub.project(full(repository)).merge_requests.values()
            ]

    def file(self, repository: str, branch: str, path: str) -> str:
        return file_in(self._hub.project(full(repository)).path, branch, path)

    def seen(self, repository: str) -> object:
        with self._hub.state.lock:
            record = self._hub.project(full(repository))
            issues = [
                (issue.title, issue.description, issue.state, [label.name for label in issue.labels], _talk(issue))
                for issue in [*record.issues.values(), *record.merge_requests.values()]
            ]
            checks = [(each.pipeline.sha, each.name, each.status, each.description) for each in record.statuses]
            return issues, checks, self.pulls(repository)

    def comments(self, repository: str, thread: Thread) -> list[tuple[str, str]]:
        with self._hub.state.lock:
            notes = self._thread(repository, thread).notes
            return [(each.author.username, each.body) for each in notes if not each.system]

    def told(self, repository: str, thread: Thread) -> list[str]:
        part = "merge_request" if _is_pull(thread) else "issue"
        sent = [one.payload for one in self._hub.deliveries if one.kind == "note"]
        by_bot = [each for each in sent if each["user"]["username"] == self.bot and part in each]
        place = (full(repository), thread.number)
        here = [each for each in by_bot if (each["project"]["path_with_namespace"], each[part]["iid"]) == place]
        told: list[str] = [each["object_attributes"]["note"] for each in here]
        return told

    def reactions(self, repository: str, thread: Thread, comment: int | None = None) -> list[tuple[str, str]]:
        with self._hub.state.lock:
            found = self._thread(repository, thread)
            place = found if comment is None else next(each for each in found.notes if each.id == comment)
            return [(each.user.username, each.name) for each in place.awards]

    def checks(self, repository: str, commit: str) -> list[CheckSeen]:
        passed = {"pending": None, "success": True, "failed": False}
        with self._hub.state.lock:
            statuses = self._hub.project(full(repository)).statuses
            newest = [each for each in statuses if each.pipeline.sha == commit and not each.retried]
            return [CheckSeen(each.name, passed[each.status], each.description or "", "") for each in newest]

    def is_quiet(self) -> bool:
        return all(one.status_code or one.problem for one in self._hub.deliveries)

    def refused(self) -> list[str]:
        taken = {one.key for one in self._hub.deliveries if one.ok}
        return [f"{one.kind}: {one.status_code} {one.problem}" for one in self._hub.deliveries if one.key not in taken]

    def delivered_of(self, person: str) -> list[str]:
        told = [one for one in self._hub.deliveries if one.kind in ("note", "issue", "merge_request")]
        said = [one for one in told if one.kind == "note" or "labels" in one.payload.get("changes", {})]
        return [one.key for one in said if one.payload["user"]["username"] == person]

    def deliver_again(self, *, as_new: bool) -> None:
        for one in self._hub.deliveries:
            if as_new:
                body = json.dumps(one.payload).encode()
                headers = headers_of(self._hub.state, replace(one, key=str(uuid.uuid4())), body)
                assert httpx.post(one.hook.url, content=body, headers=headers, trust_env=False).is_success
            else:
                with self._hub.state.lock:
                    self._hub.webhooks.resend(one)

    def secrets(self) -> Sequence[str]:
        """As git sends them; the token itself belongs to the set-up."""
        return [base64.b64encode(f"oauth2:{token}".encode()).decode() for token in self._hub.tokens]

    def kept_secrets(self) -> Sequence[str]:
        return self._hub.secrets

    def require_narrow_tokens(self, pushed: Iterable[str]) -> None:
        """GitLab mints none for one repository: git went there by the bot's own."""
        for repository in pushed:
            for service in ("upload", "receive"):
                path = f"/{full(repository)}.git/git-{service}-pack"
                assert {each.token for each in self._hub.log if each.path == path} == {self._token}

    def _thread(self, repository: str, thread: Thread) -> Issue | MergeRequest:
        record = self._hub.project(full(repository))
        return record.merge_requests[thread.number] if _is_pull(thread) else record.issues[thread.number]


def _is_pull(thread: Thread) -> bool:
    return thread.kind == "pull_request"


def _talk(issue: Issue) -> object:
    said = [(each.author.username, each.body, [award.name for award in each.awards]) for each in issue.notes]
    return said, [award.name for award in issue.awards]
