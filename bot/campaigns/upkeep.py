"""The bot's standing on a host, kept up: its webhooks as they have to be, and a word in time before its token ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Protocol

from bot.domain.hooks import HookChange, TokenState
from bot.services import Services
from bot.store import audit, deliveries, effects, host_tokens, publications

KEEP_EVERY = timedelta(minutes=15)

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """The bot's standing for one org; `name` says on which host. Both methods raise HostError."""

    org: str
    name: str

    def hooks(self) -> Iterable[HookChange]:
        """Make, mend and enable what is not as it has to be; each is told once it is done."""

    def token(self) -> TokenState: ...


def keep_up(services: Services, keeper: Keeper) -> int:
    """At most every few minutes, by one scheduler; return how many webhooks were not as they had to be. Raises HostError."""
    with services.database.transaction() as tx:
        if deliveries.look(tx, f"upkeep {keeper.name}", now=services.clock.now(), every=KEEP_EVERY) is None:
            return 0
    _watch_token(services, keeper)
    changed = 0
    for change in keeper.hooks():
        _tell_hook(services, keeper, change)
        changed += 1
    return changed


def _watch_token(services: Services, keeper: Keeper) -> None:
    """Its end is kept for whoever asks, and told once when it is near."""
    token, now = keeper.token(), services.clock.now()
    with services.database.transaction() as tx:
        host_tokens.remember(tx, keeper.org, keeper.name, token, now)
        if not token.ends_soon(now):
            return
        if effects.do_once(tx, keeper.org, f"expiry:{keeper.name}:{token.expires_at:%Y-%m-%d}", now):
            reason = f"the token {token.name} of {token.login} ends on {token.expires_at:%Y-%m-%d}"
            _record(tx, services, keeper, "token.expiring", keeper.name, reason)
            log.warning("%s: %s; a new one is needed before that", keeper.name, reason)


def _tell_hook(services: Services, keeper: Keeper, change: HookChange) -> None:
    """In the audit trail each is there that was changed; what cannot be done, once a day.

    Of what happened while there was none, or it was disabled, nobody told: pull requests are looked at.
    """
    log.warning("%s: the webhook of %s is %s: %s", keeper.name, change.where, change.what, change.why)
    with services.database.transaction() as tx:
        now = services.clock.now()
        once = f"webhook:{keeper.name}:{change.where}:{now.date()}"[:300]
        if change.what not in ("disabled", "refused") or effects.do_once(tx, keeper.org, once, now):
            _record(tx, services, keeper, f"webhook.{change.what}", f"{keeper.name}: {change.where}", change.why)
        if change.what in ("created", "enabled"):
            publications.expect_news_everywhere(tx, keeper.org)


def _record(tx: Any, services: Services, keeper: Keeper, action: str, subject: str, reason: str) -> None:
    audit.append(
        tx, services.audit_key, services.clock, org=keeper.org, actor="whimbrel", action=action, subject=subject,
        reason=reason,
    )  # fmt: skip
