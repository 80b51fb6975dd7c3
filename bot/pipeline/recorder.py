"""What an attempt leaves behind: its stage, its timeline, its artifacts. Everything is redacted before it is written."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from bot.domain.redaction import redact, redact_data
from bot.domain.states import Stage
from bot.domain.verdicts import Verdict
from bot.errors import StoreError
from bot.services import Services
from bot.store import records, runs
from bot.store.records import Artifact
from bot.store.runs import Run

MESSAGE_LIMIT = 500

log = logging.getLogger(__name__)


class Recorder:
    """Bound to one attempt. Raises FenceLost from `enter` when the run has gone on without it.

    `prompts` are the SHA-256 hashes of the prompts that were given to a model.
    """

    def __init__(self, services: Services, run: Run):
        self._services, self._run = services, run
        self.stage = Stage.CHECKOUT
        self.prompts: list[str] = []

    def enter(self, stage: Stage, message: str) -> None:
        self.stage = stage
        with self._services.database.transaction(durable=False) as tx:
            runs.enter_stage(tx, self._run, stage)
            self._add(tx, message, {})

    def emit(self, message: str, **data: Any) -> None:
        """Tell how far it is, from any thread. A line that cannot be written is logged: no paid attempt is lost for it."""
        if "prompt_sha256" in data:
            self.prompts.append(data["prompt_sha256"])
        try:
            with self._services.database.transaction(durable=False) as tx:
                self._add(tx, message, data)
        except StoreError as error:
            log.warning("%s: a line of its progress is not recorded: %s", self._run.attempt_key, error)

    def artifact(self, kind: str, content: bytes) -> str:
        """Keep a file under artifacts/CAMPAIGN/RUN/; text is redacted, and the index has its hash and size.

        Returns its path below the artifacts.
        """
        content = _redacted(content)
        folder = self._services.artifacts / self._run.campaign_id / self._run.id
        folder.mkdir(parents=True, exist_ok=True)
        with self._services.database.transaction(durable=False) as tx:
            same_kind = sum(
                known.kind == kind and known.fence == self._run.fence for known in records.artifacts_of(tx, self._run.id)
            )
            name = f"{self._run.fence}-{kind}{f'-{same_kind + 1}' if same_kind else ''}"
            (folder / name).write_bytes(content)
            file = f"{self._run.campaign_id}/{self._run.id}/{name}"
            artifact = Artifact(kind, file, len(content), hashlib.sha256(content).hexdigest(), self._run.fence)
            records.add_artifact(tx, self._run.id, artifact, self._services.clock.now())
        return file

    def verdict(self, verdict: Verdict) -> None:
        with self._services.database.transaction(durable=False) as tx:
            runs.note_attempt(tx, self._run, verdict=redact(json.dumps(verdict.to_json())))

    def _add(self, tx: Any, message: str, data: dict[str, Any]) -> None:
        records.add_entry(
            tx, self._run.id, self._run.fence, at=self._services.clock.now(), stage=self.stage,
            message=redact(message)[:MESSAGE_LIMIT], data=redact_data(data),
        )  # fmt: skip


def _redacted(content: bytes) -> bytes:
    return redact(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
