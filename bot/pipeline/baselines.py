"""What the checks of one repository came to on its untouched base, as it is kept in SQL."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from bot.domain.comparing import Baseline
from bot.domain.policies import Limits
from bot.domain.steps import Check
from bot.services import Services
from bot.store import baselines
from bot.store.baselines import BaselineKey
from bot.store.runs import Run


@dataclass(frozen=True, slots=True)
class Baselines:
    """Bound to the repository of one run, at one commit of its base, and to what was prepared of it."""

    services: Services
    run: Run
    commit: str
    limits: Limits
    prepared: str

    def find(self, check: Check) -> Baseline | None:
        with self.services.database.reading() as tx:
            return baselines.find(tx, self._key(check))

    def keep(self, check: Check, baseline: Baseline) -> None:
        """Nothing is kept of what told nothing: it may do so the next time."""
        if baseline.inconclusive:
            return
        with self.services.database.transaction(durable=False) as tx:
            baselines.keep(tx, self._key(check), baseline, self.services.clock.now())

    def _key(self, check: Check) -> BaselineKey:
        decides = [check.model_dump(), self.limits.model_dump(), self.services.sandbox.toolchain, self.prepared]
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return BaselineKey(self.run.org, self.run.repository.name, self.commit, digest)
