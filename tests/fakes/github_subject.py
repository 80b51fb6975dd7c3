"""The fake GitHub as a host under test: what the conformance suites ask of every host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bot.domain.pull_requests import CheckReport, CommentRef, PullRequestState, PullRequestText, Reaction, Thread
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_credentials import GitHubApp, Token
from bot.ports import Host
from tests.fakes import repositories
from tests.fakes.github import FakeGitHub
from tests.fakes.github.changes import refs
from tests.fakes.github.records import Repository as Record
from tests.fakes.lacks import lacks_of
from tests.fakes.repositories import Files

ORG = "acme"


def app_of(hub: FakeGitHub) -> GitHubApp:
    return GitHubApp(hub.app.id, hub.app.slug, hub.app.pem, (hub.app.webhook_secret,), hub.url)


class GitHubSubject:
    """An organization with an owner `operator`, a member `bob`, and the App on all repositories."""

    org = ORG
    nested = "group-sub-lib"
    """GitHub has no folders in an organization."""
    lacks = lacks_of("github")

    def __init__(self, hub: FakeGitHub, credential: GitHubApp | Token):
        self.hub, self.credential = hub, credential
        self.connect: Callable[[], Host] = partial(github_host, hub.url, credential, ORG)

    def unreachable(self) -> Host:
        return github_host("http://127.0.0.1:9", self.credential, ORG)  # the discard port

    def create(self, name: str, files: Files | None, *, branch: str = "main", archived: bool = False) -> None:
        made = self.hub.create_repository(ORG, name, empty=True, default_branch=branch)
        if files is not None:
            repositories.commit(repositories.opened(made.path), files, branch=branch, message="Begin\n")
            self._settle(name)
        made.archived = archived

    def describe(self, name: str, **about: object) -> None:
        record = self.hub.repository(f"{ORG}/{name}")
        if properties := about.pop("properties", None):
            record.owner.properties[record.id] = properties
        for field, value in about.items():
            setattr(record, field, value)

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        record = self.hub.repository(f"{ORG}/{name}")
        made = repositories.commit(repositories.opened(record.path), files, branch=branch, start="main")
        record.size_kb, record.languages = record.size_kb + 1, record.languages | _languages(files)
        self._settle(name)
        return made

    def close(self, name: str, number: int) -> None:
        self.hub.as_user("bob").close(f"{ORG}/{name}", number)

    def merge(self, name: str, number: int) -> None:
        self.hub.as_user("bob").merge(f"{ORG}/{name}", number)

    def _settle(self, name: str) -> None:
        with self.hub.state.lock:
            refs.settle(self.hub.state, self.hub.repository(f"{ORG}/{name}"), self.hub.as_user("bob").account)


@contextmanager
def github_as_app(folder: Path) -> Iterator[GitHubSubject]:
    with _organization(folder) as hub:
        hub.install(ORG)
        yield GitHubSubject(hub, app_of(hub))


@contextmanager
def github_with_token(folder: Path) -> Iterator[GitHubSubject]:
    with _organization(folder) as hub:
        yield GitHubSubject(hub, Token(hub.personal_token("operator")))


class GitHubTalk:
    """The repository acme/tool with an open pull request of the bot's. `bob` may write to it."""

    writer = "bob"
    lacks = lacks_of("github")

    def __init__(self, subject: GitHubSubject):
        self._hub, self._host = subject.hub, github_host(subject.hub.url, subject.credential, ORG)
        subject.create("tool", {"setup.py": b"setup()\n"})
        self._hub.add_user("bob", permissions={f"{ORG}/tool": "write"})
        self._head = subject.commit("tool", {"pyproject.toml": b""}, branch="whimbrel/x")
        self.repository = next(iter(self._host.repositories(ORG)))
        text = PullRequestText("Adopt pyproject.toml", "Why and how.")
        opened = self._host.open_pull_request(self.repository, branch="whimbrel/x", base="main", text=text)
        self.thread = Thread(opened.number, "pull_request")

    def connect(self) -> GitHubHost:
        return self._host

    def comment(self, body: str) -> CommentRef:
        return CommentRef(self.thread, self._hub.as_user("bob").comment(f"{ORG}/tool", self.thread.number, body).id)

    def comments(self) -> Sequence[str]:
        return [comment.body for comment in self._record.issues[self.thread.number].comments]

    def write_issue(self, body: str) -> int:
        return self._hub.as_user("bob").open_issue(f"{ORG}/tool", "A question", body).number

    def issue(self, number: int) -> tuple[str, bool]:
        found = self._record.issues[number]
        return found.body or "", found.state == "open"

    def reactions(self, comment: CommentRef) -> Sequence[Reaction]:
        pull = self._record.issues[self.thread.number]
        at = pull if comment.kind == "thread" else next(each for each in pull.comments if each.id == comment.comment_id)
        return [Reaction(each.content) for each in at.reactions]

    def checks(self) -> Mapping[str, CheckReport]:
        """A name that is there twice is an error: on GitHub, both would be shown."""
        runs = list(self._record.check_runs.values())
        assert len({run.name for run in runs}) == len(runs)
        passed = {None: None, "success": True, "failure": False}
        return {
            run.name: CheckReport(run.name, passed[run.conclusion], run.output["title"], run.output["summary"]) for run in runs
        }

    def state(self) -> PullRequestState:
        return self._host.pull_requests(self.repository, "whimbrel/x")[0].state

    def head(self) -> str:
        return self._head

    @property
    def _record(self) -> Record:
        return self._hub.repository(f"{ORG}/tool")


@contextmanager
def github_talk(folder: Path) -> Iterator[GitHubTalk]:
    with github_as_app(folder) as subject:
        yield GitHubTalk(subject)


@contextmanager
def _organization(folder: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub(folder / "hub") as hub:
        hub.create_org(ORG)
        for login, role in (("operator", "admin"), ("bob", "member"), ("alice", "member")):
            hub.add_user(login, orgs={ORG: role})
        yield hub


def _languages(files: Files) -> dict[str, int]:
    return {"Python": 100} if any(path.endswith(".py") for path in files) else {}
