"""Tells once that an account is nearly used up: in the org's audit trail, and on the timeline of the run that did it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from bot.domain.money import decimal_usd
from bot.domain.quota import Account
from bot.domain.states import Stage
from bot.ports import Clock
from bot.store import audit, ledger, records
from bot.store.audit import AuditKey
from bot.store.ledger import Accounts
from bot.store.runs import Run


@dataclass(frozen=True, slots=True)
class Alerts:
    """Of one attempt's requests: `alert_at` is the share (0 to 1) of a cap from which its account is told of.

    An attempt of no run (`whimbrel exec`) has no timeline.
    """

    org: str
    attempt: str
    alert_at: float
    key: AuditKey
    clock: Clock
    run: Run | None = None

    def __call__(self, tx: Connection, charged: Accounts) -> None:
        """In the transaction that has reserved or settled: whoever crosses the line tells of it, or nothing has happened."""
        for account in ledger.take_alerts(tx, charged, self.alert_at):
            self._tell(tx, account, account.alert(self.alert_at))

    def _tell(self, tx: Connection, account: Account, reason: str) -> None:
        figures = {
            "scope": account.scope,
            "period": account.period,
            "alert_at": self.alert_at,
            "cap_usd": decimal_usd(account.cap),
            "spent_usd": decimal_usd(account.spent),
            "reserved_usd": decimal_usd(account.reserved),
        }
        audit.append(
            tx, self.key, self.clock, org=self.org, actor="whimbrel", action="budget.alert", subject=account.key,
            reason=reason, details=figures | {"attempt": self.attempt},
        )  # fmt: skip
        if self.run is None:
            return
        records.add_entry(
            tx, self.run.id, self.run.fence, at=self.clock.now(), stage=Stage.STEPS, message=reason,
            data=figures | {"event": "budget_alert"},
        )  # fmt: skip
