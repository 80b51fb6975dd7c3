"""Hosts as they send webhooks, each signed in its own way: what is received is the same for all of them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from bot.hosts import gitlab_credentials
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.webhooks import sign_gitlab
from tests.fakes import deliveries
from tests.fakes.clock import START
from tests.fakes.deliveries import JSON, LOCAL


class Sender(Protocol):
    kind: str
    """In the path that it delivers to."""
    event: str
    """A name of an event, as it gives them."""
    signature: str
    """The header with what only the host can know."""
    forged: tuple[str, ...]
    """What somebody else may put there."""
    names: tuple[str, ...]
    """The headers without which a delivery cannot be taken, by name."""
    secret: str
    old_secret: str

    def know(self, home: Path, *secrets: str, url: str = LOCAL) -> None:
        """Let the home have these webhook secrets, or both of this one's."""

    def forget(self, home: Path) -> None: ...

    def headers(self, body: bytes, event: str = "", *, delivery: str = "", secret: str = "") -> dict[str, str]: ...


class GitHub:
    kind, event = "github", "issue_comment"
    signature, forged = "X-Hub-Signature-256", ("sha256=" + "0" * 64, "sha256=é", "sha1=x")
    names = ("X-GitHub-Delivery", "X-GitHub-Event")
    secret, old_secret = deliveries.SECRET, deliveries.OLD_SECRET

    def know(self, home: Path, *secrets: str, url: str = LOCAL) -> None:
        deliveries.know_secrets(home, *secrets, url=url)

    def forget(self, home: Path) -> None:
        (home / "github" / "local" / "app.json").unlink()

    def headers(self, body: bytes, event: str = "", *, delivery: str = "", secret: str = "") -> dict[str, str]:
        return deliveries.headers(body, event or self.event, delivery=delivery or None, secret=secret or self.secret)


class _GitLab:
    kind, event = "gitlab", "Note Hook"
    secret = old_secret = ""

    def know(self, home: Path, *secrets: str, url: str = LOCAL) -> None:
        known = secrets or (self.secret, self.old_secret)
        gitlab_credentials.save(home, url, GitLabAccess("glpat-x", known, "acme", f"{url}/webhooks/gitlab"))

    def forget(self, home: Path) -> None:
        (home / "gitlab" / "local" / "acme.json").unlink()

    def named(self, event: str, delivery: str) -> dict[str, str]:
        return {"Content-Type": JSON, "X-Gitlab-Event": event or self.event, "Idempotency-Key": delivery}


class GitLabSigned(_GitLab):
    """From 19.0 on."""

    signature, forged = "webhook-signature", ("v1," + "0" * 43 + "=", "v1,é", "v2,x", "v1, v1,")
    names: tuple[str, ...] = ("X-Gitlab-Event",)
    secret, old_secret = (f"whsec_{b64encode(bytes([each] * 32)).decode()}" for each in (1, 2))

    def headers(
        self, body: bytes, event: str = "", *, delivery: str = "", secret: str = "", at: datetime = START
    ) -> dict[str, str]:
        name, timestamp = delivery or str(uuid4()), str(int(at.timestamp()))
        signed = sign_gitlab(secret or self.secret, name, timestamp, body)
        own = {"webhook-id": name, "webhook-timestamp": timestamp, "webhook-signature": signed}
        return self.named(event, name) | own


class GitLabToken(_GitLab):
    """Before that: a secret token is sent along."""

    signature, forged = "X-Gitlab-Token", ("a secret of this yea", "é", "A SECRET OF THIS YEAR")
    names = ("X-Gitlab-Event", "Idempotency-Key")
    secret, old_secret = deliveries.SECRET, deliveries.OLD_SECRET

    def headers(self, body: bytes, event: str = "", *, delivery: str = "", secret: str = "") -> dict[str, str]:
        return self.named(event, delivery or str(uuid4())) | {"X-Gitlab-Token": secret or self.secret}


SENDERS: Mapping[str, Sender] = {"github": GitHub(), "gitlab": GitLabSigned(), "gitlab-before-19": GitLabToken()}
