"""Apps: registered, installed, suspended; and tokens."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.forge.refusals import Refused
from tests.fakes.github.payloads.basics import installation as installation_shape
from tests.fakes.github.payloads.repositories import simple_repository
from tests.fakes.github.records import JSON, Account, AccountType, App, Installation, Repository, Token
from tests.fakes.github.state import State

LEVELS = {"none": 0, "read": 1, "write": 2, "admin": 3}
TOKEN_LIFE = timedelta(hours=1)
PERMISSIONS = {
    "actions", "administration", "checks", "contents", "deployments", "issues", "members", "metadata",
    "organization_custom_properties", "organization_administration", "pull_requests", "repository_custom_properties",
    "statuses", "workflows",
}  # fmt: skip
EVENT_NEEDS = {
    "check_run": {"checks"},
    "check_suite": {"checks"},
    "create": {"contents"},
    "delete": {"contents"},
    "issue_comment": {"issues", "pull_requests"},
    "issues": {"issues"},
    "label": {"metadata"},
    "member": {"members"},
    "organization": {"members"},
    "pull_request": {"pull_requests"},
    "pull_request_review": {"pull_requests"},
    "pull_request_review_comment": {"pull_requests"},
    "push": {"contents"},
    "repository": {"metadata"},
    "status": {"statuses"},
}
"""The events an app can subscribe to, and a permission of which each needs one."""
ALWAYS_SENT = {"installation", "installation_repositories", "ping"}


@cache
def _key(_of: int) -> tuple[str, str]:
    """A private key and its public half, as PEM: the same for the n-th app of every hub, since making one takes long."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def check_subscription(permissions: JSON, events: Iterable[str]) -> None:
    """422 for permissions and events that no app can have."""
    unknown = [name for name, level in permissions.items() if name not in PERMISSIONS or LEVELS.get(level, 0) == 0]
    if unknown:
        raise Refused(422, f"Default permission records resource is not included in the list: {', '.join(unknown)}")
    unfit = [name for name in events if name not in EVENT_NEEDS]
    unfit += [name for name in events if name in EVENT_NEEDS and not EVENT_NEEDS[name] & {*permissions, "metadata"}]
    if unfit:
        raise Refused(422, f"Default events unsupported: {', '.join(unfit)}")


def register(state: State, owner: Account, name: str, *, permissions: JSON, events: Sequence[str], **more: Any) -> App:
    """`more`: further fields of the record."""
    check_subscription(permissions, events)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if any(app.slug == slug for app in state.apps.values()) or slug in state.accounts:
        raise Refused(422, "Name is already in use")
    private, public = _key(len(state.apps))
    number = state.new_id()
    bot = state.add_account(f"{slug}[bot]", AccountType.BOT)
    made = state.apps[number] = App(
        number, slug, name, owner, bot, private, secrets.token_hex(20), {"metadata": "read", **permissions},
        list(events), state.now(), client_id=f"Iv23li{secrets.token_hex(7)}", client_secret=secrets.token_hex(20),
        public_key=public, **more,
    )  # fmt: skip
    return made


def install(
    state: State,
    app: App,
    account: Account,
    *,
    by: Account,
    repositories: Iterable[Repository] | None = None,
    permissions: JSON | None = None,
) -> Installation:
    """`repositories` None: all of them. `permissions`: what was granted, if not all that the app asks for."""
    if state.installation_of(app, account) is not None:
        raise Refused(422, f"{app.slug} is installed on {account.login} already")
    chosen = None if repositories is None else {repository.id for repository in repositories}
    granted = dict(app.permissions if permissions is None else {"metadata": "read", **permissions})
    made = Installation(state.new_id(), app, account, chosen, granted, list(app.events), state.now())
    state.installations[made.id] = made
    _tell(state, made, by, "created", repositories=_simple(state.repositories_in(made)))
    return made


def _simple(repositories: Iterable[Repository]) -> list[JSON]:
    return [simple_repository(each) for each in repositories]


def _tell(state: State, found: Installation, by: Account, action: str, *, event: str = "installation", **more: Any) -> None:
    shape = installation_shape(state, found)
    state.tell(event, action, to=found, sender=by, **{"installation": shape, **more})


def uninstall(state: State, found: Installation, *, by: Account) -> None:
    """Its tokens are worth nothing from now on."""
    repositories = _simple(state.repositories_in(found))
    del state.installations[found.id]
    for value in [value for value, token in state.tokens.items() if token.installation is found]:
        del state.tokens[value]
    _tell(state, found, by, "deleted", repositories=repositories)


def suspend(state: State, found: Installation, *, by: Account) -> None:
    found.suspended_at, found.suspended_by = state.now(), by
    _tell(state, found, by, "suspend", repositories=_simple(state.repositories_in(found)))


def unsuspend(state: State, found: Installation, *, by: Account) -> None:
    found.suspended_at = found.suspended_by = None
    _tell(state, found, by, "unsuspend", repositories=_simple(state.repositories_in(found)))


def accept_permissions(state: State, found: Installation, permissions: JSON, *, by: Account) -> None:
    found.permissions = {**found.permissions, **permissions}
    _tell(state, found, by, "new_permissions_accepted")


def select(state: State, found: Installation, repositories: Iterable[Repository], *, by: Account) -> None:
    """Make it an installation of exactly these."""
    before = {each.id: each for each in state.repositories_in(found)}
    after = {each.id: each for each in repositories}
    found.repository_ids = set(after)
    added = [after[number] for number in after.keys() - before.keys()]
    removed = [before[number] for number in before.keys() - after.keys()]
    for action, moved in (("added", added), ("removed", removed)):
        if moved:
            _tell(
                state, found, by, action, event="installation_repositories",
                repository_selection="selected", requester=None,
                repositories_added=_simple(moved) if action == "added" else [],
                repositories_removed=_simple(moved) if action == "removed" else [],
            )  # fmt: skip


def mint(state: State, found: Installation, *, repositories: Iterable[Repository] | None, permissions: JSON | None) -> Token:
    """A token for an hour, for these repositories and permissions alone. 422 for more than the installation has."""
    if found.suspended_at is not None:
        raise Refused(403, "This installation has been suspended")
    granted = {"metadata": "read", **permissions} if permissions else found.permissions
    for name, level in granted.items():
        if LEVELS.get(level, 99) > LEVELS[found.permissions.get(name, "none")]:
            raise Refused(422, f"The permissions requested are not granted to this installation: {name}: {level}")
    value = f"ghs_{found.app.id}_eyJ{secrets.token_urlsafe(150)}"
    chosen = None if repositories is None else frozenset(each.id for each in repositories)
    expires = state.now() + TOKEN_LIFE
    made = Token(value, installation=found, repository_ids=chosen, permissions=dict(granted), expires_at=expires)
    return state.add_token(made)


def personal_token(state: State, person: Account) -> Token:
    """A classic one: it may do what its person may."""
    return state.add_token(Token(f"ghp_{secrets.token_hex(18)}", user=person))
