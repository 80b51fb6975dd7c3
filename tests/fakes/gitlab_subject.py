"""The fake GitLab as a host under test: what the conformance suites ask of every host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bot.domain.pull_requests import CheckReport, CommentRef, PullRequestState, PullRequestText, Reaction, Thread
from bot.hosts.gitlab import GitLabHost, gitlab_host
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.ports import Host
from tests.fakes import repositories
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab.records import Project
from tests.fakes.lacks import lacks_of
from tests.fakes.repositories import Files

ORG = "acme"


class GitLabSubject:
    """A group with an owner `operator`, developers `bob` and `alice`, and the bot by the group's access token."""

    org = ORG
    nested = "group/sub/lib"
    lacks = lacks_of("gitlab")

    def __init__(self, hub: FakeGitLab, token: str):
        self.hub, self.token = hub, token
        self.connect: Callable[[], Host] = partial(connected, hub.url, token)

    def unreachable(self) -> Host:
        return connected("http://127.0.0.1:9", self.token)  # the discard port

    def create(self, name: str, files: Files | None, *, branch: str = "main", archived: bool = False) -> None:
        *groups, slug = f"{ORG}/{name}".split("/")
        self.hub.create_group("/".join(groups))
        made = self.hub.create_project("/".join(groups), slug, empty=True, default_branch=branch)
        if files is not None:
            repositories.commit(repositories.opened(made.path), files, branch=branch, message="Begin\n")
            self.hub.settle(made.full_path)
        made.archived = archived

    def describe(self, name: str, **about: object) -> None:
        """GitLab has no templates."""
        record = self.hub.project(f"{ORG}/{name}")
        about.pop("template", None)
        if about.pop("fork", False):
            self.hub.create_group("upstream")
            record.forked_from = self.hub.create_project("upstream", name)
        for field, value in about.items():
            setattr(record, field, value)

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        record = self.hub.project(f"{ORG}/{name}")
        made = repositories.commit(repositories.opened(record.path), files, branch=branch, start="main")
        record.size_bytes, record.languages = record.size_bytes + 1024, record.languages | _languages(files)
        self.hub.settle(record.full_path)
        return made

    def close(self, name: str, number: int) -> None:
        self.hub.as_user("bob").close(f"{ORG}/{name}", number, pull=True)

    def merge(self, name: str, number: int) -> None:
        self.hub.as_user("bob").merge(f"{ORG}/{name}", number, remove_branch=False)


@contextmanager
def gitlab_as_group(folder: Path) -> Iterator[GitLabSubject]:
    with _group(folder) as hub:
        yield GitLabSubject(hub, hub.group_token(ORG, "whimbrel"))


@contextmanager
def gitlab_as_account(folder: Path) -> Iterator[GitLabSubject]:
    """By a service account's personal access token, with no more than the role of a Developer."""
    with _group(folder) as hub:
        hub.service_account(ORG, "whimbrel", level="developer")
        yield GitLabSubject(hub, hub.personal_token("whimbrel"))


class GitLabTalk:
    """The project acme/tool with an open merge request of the bot's. `bob` may write to it."""

    writer = "bob"
    lacks = lacks_of("gitlab")

    def __init__(self, subject: GitLabSubject):
        self._hub, self._host = subject.hub, connected(subject.hub.url, subject.token)
        subject.create("tool", {"setup.py": b"setup()\n"})
        self._head = subject.commit("tool", {"pyproject.toml": b""}, branch="whimbrel/x")
        self.repository = next(iter(self._host.repositories(ORG)))
        text = PullRequestText("Adopt pyproject.toml", "Why and how.")
        opened = self._host.open_pull_request(self.repository, branch="whimbrel/x", base="main", text=text)
        self.thread = Thread(opened.number, "pull_request")

    def connect(self) -> GitLabHost:
        return self._host

    def comment(self, body: str) -> CommentRef:
        made = self._hub.as_user("bob").comment(f"{ORG}/tool", self.thread.number, body, pull=True)
        return CommentRef(self.thread, made.id)

    def comments(self) -> Sequence[str]:
        return [note.body for note in self._record.merge_requests[self.thread.number].notes if not note.system]

    def write_issue(self, body: str) -> int:
        return self._hub.as_user("bob").open_issue(f"{ORG}/tool", "A question", body).iid

    def issue(self, number: int) -> tuple[str, bool]:
        found = self._record.issues[number]
        return found.description or "", found.state == "opened"

    def reactions(self, comment: CommentRef) -> Sequence[Reaction]:
        pull = self._record.merge_requests[self.thread.number]
        at = pull if comment.kind == "thread" else next(each for each in pull.notes if each.id == comment.comment_id)
        return [Reaction(each.name) for each in at.awards]

    def checks(self) -> Mapping[str, CheckReport]:
        """A status has no summary."""
        newest = [each for each in self._record.statuses if not each.retried]
        assert len({each.name for each in newest}) == len(newest)
        passed = {"pending": None, "success": True, "failed": False}
        return {each.name: CheckReport(each.name, passed[each.status], each.description or "", "") for each in newest}

    def state(self) -> PullRequestState:
        return self._host.pull_requests(self.repository, "whimbrel/x")[0].state

    def head(self) -> str:
        return self._head

    @property
    def _record(self) -> Project:
        return self._hub.project(f"{ORG}/tool")


@contextmanager
def gitlab_talk(folder: Path) -> Iterator[GitLabTalk]:
    with gitlab_as_group(folder) as subject:
        yield GitLabTalk(subject)


def connected(url: str, token: str) -> GitLabHost:
    return gitlab_host(url, GitLabAccess(token), sleep=lambda _: None)


@contextmanager
def _group(folder: Path) -> Iterator[FakeGitLab]:
    with FakeGitLab(folder / "hub") as hub:
        hub.create_group(ORG)
        for username, level in (("operator", "owner"), ("bob", "maintainer"), ("alice", "developer")):
            hub.add_user(username, groups={ORG: level})
        yield hub


def _languages(files: Files) -> dict[str, float]:
    return {"Python": 100.0} if any(path.endswith(".py") for path in files) else {}
