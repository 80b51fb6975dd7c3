"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass

import jwt

from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.changes.apps import LEVELS
from tests.fakes.github.changes.refs import is_admin
from tests.fakes.github.records import Account, App, Installation, Repository, Token
from tests.fakes.github.state import State

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
BEYOND = "Resource not accessible by integration"
LONGEST_JWT_SECONDS = 600


@dataclass(frozen=True)
class Actor:
    """`kind` is app (by JWT), installation, user, or anonymous. `account` is whose name stands under what is done."""

    kind: str
    account: Account | None = None
    app: App | None = None
    token: Token | None = None

    @property
    def installation(self) -> Installation | None:
        return self.token.installation if self.token else None

    @property
    def key(self) -> str:
        """Whose rate limit it is."""
        if self.installation is not None:
            return f"installation {self.installation.id}"
        return f"{self.kind} {self.account.login if self.account else ''}"

    @property
    def name(self) -> Account:
        if self.account is None:
            raise Refused(401, "Requires authentication")
        return self.account


ANONYMOUS = Actor("anonymous")


def identify(state: State, authorization: str) -> Actor:
    """Whoever an Authorization header stands for. 401 for what is no good."""
    scheme, _, credential = authorization.partition(" ")
    if not authorization:
        return ANONYMOUS
    if scheme.lower() == "basic":
        credential = _password(credential)
    if scheme.lower() == "bearer" and credential.count(".") == 2:
        return _app(state, credential)
    return _bearer(state, credential)


def _password(credential: str) -> str:
    try:
        return base64.b64decode(credential).decode(errors="replace").partition(":")[2]
    except binascii.Error:
        raise Refused(401, "Bad credentials") from None


def _bearer(state: State, value: str) -> Actor:
    token = state.tokens.get(value)
    if token is None or (token.expires_at is not None and token.expires_at <= state.clock.now()):
        raise Refused(401, "Bad credentials")
    if token.installation is not None:
        if token.installation.suspended_at is not None:
            raise Refused(403, "This installation has been suspended")
        return Actor("installation", token.installation.app.bot, token.installation.app, token)
    return Actor("user", token.user, None, token)


def _app(state: State, credential: str) -> Actor:
    try:
        issuer = str(jwt.decode(credential, options={"verify_signature": False}).get("iss"))
        app = next(each for each in state.apps.values() if issuer in (str(each.id), each.client_id))
        claims = jwt.decode(
            credential, app.public_key, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
        )
    except (jwt.PyJWTError, StopIteration):
        raise Refused(401, "A JSON web token could not be decoded") from None
    # The makers of these tokens read the machine's clock, whichever clock the rest of a test goes by.
    clocks = (time.time(), state.clock.now().timestamp())
    if claims["exp"] - claims["iat"] > LONGEST_JWT_SECONDS + 60:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
    if not any(claims["iat"] - 60 <= now < claims["exp"] for now in clocks):
        raise Refused(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
    return Actor("app", app.bot, app)


def role(repository: Repository, account: Account) -> str:
    """What a person may do in a repository: none, read, triage, write, maintain or admin."""
    login = account.login.lower()
    if is_admin(repository, account) or repository.owner is account:
        return "admin"
    of_teams = [repository.roles.get(f"team:{t.slug}", "none") for t in repository.owner.teams.values() if login in t.members]
    base = "read" if login in repository.owner.members or not repository.private else "none"
    return max([repository.roles.get(login, "none"), base, *of_teams], key=ROLES.index)


def granted(actor: Actor, repository: Repository, permission: str) -> str:
    """The level an installation's token has: none, read, write or admin."""
    token, installation = actor.token, actor.installation
    if token is None or installation is None or not installation.covers(repository):
        return "none"
    if token.repository_ids is not None and repository.id not in token.repository_ids:
        return "none"
    return token.permissions.get(permission, "none")


def sees(actor: Actor, repository: Repository) -> bool:
    if not repository.private:
        return True
    if actor.kind == "installation":
        return granted(actor, repository, "metadata") != "none"
    return actor.kind == "user" and role(repository, actor.name) != "none"


def require(actor: Actor, repository: Repository, permissions: tuple[str, ...], level: str, *, of_person: str = "") -> None:
    """Let it pass if one of `permissions` has `level`; of a person, the role `of_person` (by default the level) is asked.

    404 for a repository that the actor cannot see, 403 for what it may not do there, 401 for a JWT or nobody.
    """
    if actor.kind == "app":
        raise Refused(401, "Bad credentials")
    if not sees(actor, repository):
        raise not_found()
    if actor.kind == "installation":
        public_read = level == "read" and not repository.private
        if not public_read and all(LEVELS[granted(actor, repository, each)] < LEVELS[level] for each in permissions):
            raise Refused(403, BEYOND)
    elif actor.kind == "user":
        if ROLES.index(role(repository, actor.name)) < ROLES.index(of_person or level):
            raise Refused(403, "Must have push access to repository." if level == "write" else "Must have admin rights.")
    elif level != "read":
        raise Refused(401, "Requires authentication")
