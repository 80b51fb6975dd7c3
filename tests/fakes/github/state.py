"""The fake's whole memory, and how things in it are found. Whoever reads or changes it holds `lock`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any

from bot.ports import Clock
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.records import (
    Account,
    AccountType,
    App,
    Comment,
    Installation,
    Issue,
    Label,
    Pull,
    Repository,
    Team,
    Token,
)

CODE_LIFE = timedelta(hours=1)


def told(refused: Refused) -> dict[str, Any]:
    """The body of a refusal."""
    said: dict[str, Any] = {"message": refused.message, "documentation_url": "https://docs.github.com/rest"}
    if refused.errors is not None:
        said["errors"] = refused.errors
    said["status"] = str(refused.status)
    return said


def invalid(resource: str, field_name: str, code: str = "invalid", message: str | None = None) -> Refused:
    """422 in GitHub's shape."""
    error = {"resource": resource, "field": field_name, "code": code}
    return Refused(422, "Validation Failed", errors=[error if message is None else {**error, "message": message}])


@dataclass
class State:
    folder: Path
    clock: Clock
    url: str = ""
    """Where the hub is served, without a slash at its end."""
    lock: RLock = field(default_factory=RLock)
    accounts: dict[str, Account] = field(default_factory=dict)
    repositories: dict[int, Repository] = field(default_factory=dict)
    old_names: dict[str, int] = field(default_factory=dict)
    """Ids of renamed and transferred repositories, by an earlier full name in lower case."""
    apps: dict[int, App] = field(default_factory=dict)
    installations: dict[int, Installation] = field(default_factory=dict)
    manifests: dict[str, App] = field(default_factory=dict)
    """Apps that were registered by a manifest, by the code that tells their keys once, within an hour."""
    tokens: dict[str, Token] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    """Every token that there ever was."""
    by_name: dict[str, Repository] = field(default_factory=dict)
    """By full name in lower case."""
    tell: Callable[..., None] = lambda *_event, **_payload: None
    """Sends an event: `webhooks.Webhooks.tell`."""
    fork_seconds: float = 0
    """How long it takes until a new fork has its branches."""
    copying: dict[int, datetime] = field(default_factory=dict)
    """Ids of forks that have none yet, and when they will."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def __post_init__(self) -> None:
        self.web_flow = self.add_account("web-flow", AccountType.USER)

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v3"

    def new_id(self) -> int:
        return next(self._ids)

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def add_account(self, login: str, kind: AccountType) -> Account:
        made = Account(self.new_id(), login, kind, self.now())
        return self.accounts.setdefault(login.lower(), made)

    def account(self, login: str) -> Account:
        try:
            return self.accounts[login.lower()]
        except KeyError:
            raise not_found() from None

    def organization(self, login: str) -> Account:
        found = self.account(login)
        if found.type is not AccountType.ORGANIZATION:
            raise not_found()
        return found

    def add_team(self, org: Account, slug: str, members: Iterable[str]) -> Team:
        made = org.teams[slug] = Team(self.new_id(), slug, {login.lower() for login in members})
        return made

    def add_token(self, token: Token) -> Token:
        self.tokens[token.value] = token
        self.issued.append(token.value)
        return token

    def add_repository(self, repository: Repository) -> None:
        self.repositories[repository.id] = repository
        self.by_name[repository.full_name.lower()] = repository
        self.old_names.pop(repository.full_name.lower(), None)

    def repository(self, full_name: str) -> Repository:
        """By its present name only."""
        try:
            return self.by_name[full_name.lower()]
        except KeyError:
            raise not_found() from None

    def moved(self, full_name: str) -> Repository | None:
        """The repository that had this name once."""
        found = self.old_names.get(full_name.lower())
        return None if found is None else self.repositories.get(found)

    def repositories_of(self, account: Account) -> list[Repository]:
        return sorted((r for r in self.repositories.values() if r.owner is account), key=lambda r: r.name.lower())

    def repositories_in(self, installation: Installation) -> list[Repository]:
        return [r for r in self.repositories_of(installation.account) if installation.covers(r)]

    def issue(self, repository: Repository, number: int) -> Issue:
        try:
            return repository.issues[number]
        except KeyError:
            raise not_found() from None

    def pull(self, repository: Repository, number: int) -> Pull:
        found = self.issue(repository, number)
        if not isinstance(found, Pull):
            raise not_found()
        return found

    def comment(self, repository: Repository, comment_id: int, *, of_review: bool = False) -> Comment:
        for issue in repository.issues.values():
            of_reviews = issue.review_comments if isinstance(issue, Pull) else []
            for comment in of_reviews if of_review else issue.comments:
                if comment.id == comment_id:
                    return comment
        raise not_found()

    def label(self, repository: Repository, name: str) -> Label:
        """The label, made when it is missing."""
        made = Label(self.new_id(), name)
        return repository.labels.setdefault(name.lower(), made)

    def installation_of(self, app: App, account: Account) -> Installation | None:
        return next((i for i in self.installations.values() if i.app is app and i.account is account), None)

    def app_of(self, account: Account) -> App | None:
        """The app whose bot this account is."""
        return next((app for app in self.apps.values() if app.bot is account), None)

    def take_manifest(self, code: str) -> App:
        found = self.manifests.pop(code, None)
        if found is None or found.created_at + CODE_LIFE <= self.clock.now():
            raise not_found()
        return found

    def pull_by_node(self, node_id: str) -> Pull:
        for repository in self.repositories.values():
            for pull in repository.pulls:
                if pull.node_id == node_id:
                    return pull
        raise not_found()
