"""What the bot keeps on a host so that it is heard there: webhooks, and the token that it acts by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

EXPIRY_WARNING = timedelta(days=14)
"""So long before a token ends, somebody is told."""


@dataclass(frozen=True, slots=True)
class HookChange:
    """What became of a webhook: `where` names what it hangs on. One that is disabled could not be enabled; why one was
    refused, the host says."""

    where: str
    what: Literal["created", "mended", "enabled", "disabled", "refused"]
    why: str


@dataclass(frozen=True, slots=True)
class TokenState:
    """A token of the bot's: what the host calls it, whose it is, and when it ends (None: never)."""

    name: str
    login: str
    expires_at: datetime | None

    def ends_soon(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at - now <= EXPIRY_WARNING
