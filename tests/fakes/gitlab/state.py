"""The fake's whole memory, and how things in it are found. Whoever reads or changes it holds `lock`."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock

from bot.ports import Clock
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.gitlab.records import (
    JSON,
    Group,
    Hook,
    Issue,
    Label,
    MergeRequest,
    Note,
    Project,
    Token,
    User,
    UserKind,
)


class Worded(Refused):
    """A refusal with a body of its own: what is wrong with a parameter or a token, or a word for each field."""

    def __init__(self, status: int, body: JSON, *, headers: dict[str, str] | None = None):
        super().__init__(status, str(body), headers=headers)
        self.body = body


def told(refused: Refused) -> JSON:
    """The body of a refusal."""
    return refused.body if isinstance(refused, Worded) else {"message": refused.message}


def missing(what: str) -> Refused:
    """404, for what is not there or not to be seen."""
    return not_found(f"404 {what} Not Found")


def invalid(**fields: str) -> Refused:
    """400 for values that a record refuses, by field."""
    return Worded(400, {"message": {name: [word] for name, word in fields.items()}})


def bad_parameter(said: str) -> Refused:
    """400 for a parameter that is missing or not what it has to be."""
    return Worded(400, {"error": said})


@dataclass
class State:
    folder: Path
    clock: Clock
    url: str = ""
    """Where the hub is served, without a slash at its end."""
    version: str = "19.1.0-ee"
    lock: RLock = field(default_factory=RLock)
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)
    """Ids of projects by their present full path in lower case; whoever changes a path calls `index`."""
    old_paths: dict[str, int] = field(default_factory=dict)
    """Ids of renamed and moved projects, by an earlier full path in lower case."""
    tokens: dict[str, Token] = field(default_factory=dict)
    """By value; those that were revoked, too."""
    group_hooks: bool = True
    """Whether groups have webhooks at all: they are a matter of the plan."""
    signing: bool = True
    """Whether webhooks can be signed: since 19.0."""
    checks_later: bool = False
    """Whether the first look at a changed merge request tells nothing of whether it can be merged (`checking`)."""
    fork_looks: int = 1
    """How often a fork is looked at before its files are there (`import_status`)."""
    tell: Callable[..., None] = lambda *_event, **_payload: None
    """Sends an event: `webhooks.Webhooks.tell`."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v4"

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let go of the lock, which is held once, while somebody is waited for who may ask in turn."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    def new_id(self) -> int:
        return next(self._ids)

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def digest(self) -> str:
        """40 hexadecimal digits that there were not before."""
        return hashlib.sha1(f"{self.new_id()}".encode(), usedforsecurity=False).hexdigest()

    def add_user(self, username: str, *, name: str = "", kind: UserKind = UserKind.HUMAN) -> User:
        """Them, made with a namespace of their own where they are not there."""
        found = self.find_user(username)
        if found is not None:
            return found
        made = User(self.new_id(), username, name or username.capitalize(), self.now(), kind)
        self.users[made.id] = made
        if kind is UserKind.HUMAN:
            space = Group(self.new_id(), username, made.name, None, self.now(), owner=made)
            self.groups[space.id] = space
        return made

    def find_user(self, username: str) -> User | None:
        return next((each for each in self.users.values() if each.username.lower() == username.lower()), None)

    def user(self, who: int | str) -> User:
        found = self.users.get(int(who)) if str(who).isdigit() else self.find_user(str(who))
        if found is None:
            raise missing("User")
        return found

    def namespace_of(self, user: User) -> Group:
        return next(each for each in self.groups.values() if each.owner is user)

    def group(self, which: int | str) -> Group:
        """By its id or full path."""
        if str(which).isdigit():
            found = self.groups.get(int(which))
        else:
            found = next((each for each in self.groups.values() if each.full_path.lower() == str(which).lower()), None)
        if found is None:
            raise missing("Group")
        return found

    def project(self, which: int | str) -> Project:
        """By its id or present full path."""
        number = int(which) if str(which).isdigit() else self.paths.get(str(which).lower(), 0)
        found = self.projects.get(number)
        if found is None:
            raise missing("Project")
        return found

    def index(self) -> None:
        """Find projects by the paths that they have now, and remember where they were."""
        before, self.paths = self.paths, {each.full_path.lower(): each.id for each in self.projects.values()}
        self.old_paths |= {path: number for path, number in before.items() if path not in self.paths}
        for path in self.paths:
            self.old_paths.pop(path, None)

    def moved(self, path: str) -> Project | None:
        """The project that had this path once."""
        return self.projects.get(self.old_paths.get(path.lower(), 0))

    def below(self, group: Group) -> list[Group]:
        """It, and every group below it."""
        return [each for each in self.groups.values() if group in each.chain]

    def projects_in(self, group: Group, *, subgroups: bool = True) -> list[Project]:
        within = set(self.below(group)) if subgroups else {group}
        return [each for each in self.projects.values() if each.group in within]

    def issue(self, project: Project, iid: int) -> Issue:
        try:
            return project.issues[iid]
        except KeyError:
            raise missing("Issue") from None

    def merge_request(self, project: Project, iid: int) -> MergeRequest:
        try:
            return project.merge_requests[iid]
        except KeyError:
            raise missing("Merge Request") from None

    def note(self, thread: Issue, note_id: int) -> Note:
        found = next((each for each in thread.notes if each.id == note_id), None)
        if found is None:
            raise missing("Note")
        return found

    def labels_of(self, project: Project) -> dict[str, Label]:
        """Those of the groups above it, too."""
        found: dict[str, Label] = {}
        for group in reversed(project.group.chain):
            found |= group.labels
        return found | project.labels

    def label(self, project: Project, name: str) -> Label:
        """The label, made when it is missing."""
        found = self.labels_of(project).get(name.lower())
        if found is None:
            found = project.labels[name.lower()] = Label(self.new_id(), name, created_at=self.now())
        return found

    def add_token(self, token: Token) -> Token:
        self.tokens[token.value] = token
        return token

    def hook(self, owner: Group | Project, hook_id: int) -> Hook:
        try:
            return owner.hooks[hook_id]
        except KeyError:
            raise missing("Hook") from None

    def forks_of(self, project: Project) -> list[Project]:
        return [each for each in self.projects.values() if each.forked_from is project]
