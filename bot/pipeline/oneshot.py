"""One headless run on a folder, as a story: copy, ask, collect, show, and write back where that was asked for.

It has no campaign and no queue, and yet the same sandbox, gateway, ledger and audit trail as an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.domain.changesets import Changeset
from bot.domain.money import MicroUsd, decimal_usd, month_of
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import Limits
from bot.domain.policy_types import path_rules
from bot.domain.redaction import redact
from bot.domain.states import Outcome
from bot.domain.steps import ClaudeStep
from bot.errors import ChangeRefused, UsageError, WhimbrelError
from bot.git import (
    Imported,
    Mirror,
    Signature,
    apply_changeset,
    checkout,
    collect,
    diff,
    import_folder,
    same_at,
    write_commit,
)
from bot.pipeline.assignment import Ended
from bot.pipeline.execution import explain
from bot.pipeline.oneshot_folders import clear_dead, own_folders
from bot.ports import Emit, StepContext, Workspace
from bot.rendering import Renderer
from bot.services import BOT_EMAIL, BOT_NAME, Services
from bot.store import audit, ledger
from bot.store.alerts import Alerts
from bot.store.ledger import Accounts, LedgerMeter, OrgMonth

MAX_FILES_NAMED = 200
PROMPT = "{{ prompt }}"
"""The `prompt:` of the step: a prompt from the command line is no template."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    `files` are globs of what to look at first. `guidance` are the files that the step's config, skills and subagents name, by
    path. `limits` bound the sandbox, `cap` the money. `write` puts the change into the folder itself.
    """

    org: OrgPolicy
    actor: str
    folder: Path
    prompt: str
    step: ClaudeStep
    files: tuple[str, ...]
    guidance: Mapping[str, str]
    limits: Limits
    cap: MicroUsd
    write: bool


@dataclass(frozen=True, slots=True)
class Report:
    """How it ended. `error` is why it failed; the change is in `diff`, and in the folder where it is `written`."""

    id: str
    outcome: Outcome
    reason: str
    answer: str
    diff: str
    files: tuple[str, ...]
    written: bool
    cost: MicroUsd
    tokens: int
    duration_ms: int
    error: WhimbrelError | None


def run_once(services: Services, order: Order, emit: Emit) -> Report:
    """Do it, to whatever end; each end is in the audit trail, and nothing but that and its artifacts is left of it.

    Raises UsageError or ChangeRefused for a folder that cannot be worked on, before anything is begun.
    """
    clear_dead(services)
    with own_folders(services, order.org.org, order.actor) as (exec_id, place):
        run = _OneShot(services, order, exec_id, place, emit)
        run.copy()
        run.begin()
        try:
            run.ended = run.change()
        except WhimbrelError as error:
            run.ended, run.error = explain(error), error
        finally:
            report = run.end()
    return report


class _OneShot:
    """What has come of it so far: a failure, or Ctrl-C, may come at any point."""

    def __init__(self, services: Services, order: Order, exec_id: str, place: Workspace, emit: Emit):
        self._services, self._order, self._id, self._place, self._emit = services, order, exec_id, place, emit
        self._mirror = Mirror.open(place.scratch, "exec", "folder")
        self._began = services.clock.monotonic()
        self._prompts: list[str] = []
        self._answer = self._diff = ""
        self._written = False
        self.ended = Ended(Outcome.FAILED, "it was interrupted", error="interrupted")
        self.error: WhimbrelError | None = None

    def copy(self) -> None:
        self._base = self._import()
        self._step = self._order.step.model_copy(update={"files": _named(self._order, self._base)})

    def begin(self) -> None:
        org, cap = self._order.org, self._order.cap
        month = month_of(self._services.clock.now(), org.timezone)
        with self._services.database.transaction() as tx:
            self._audit(tx, "exec.started", model=self._step.model, cap_usd=decimal_usd(cap), files_seen=len(self._base.paths))
            self._accounts = Accounts(
                org=ledger.open_account(tx, "org", org.org, month, org.quota.month),
                campaign=ledger.ensure_account(tx, "exec", self._id, "", cap),
                attempt=ledger.ensure_account(tx, "attempt", self._id, "", cap),
            )

    def change(self) -> Ended:
        base, tree = self._base.commit, self._place.tree
        snapshot = checkout(self._mirror, base, tree)
        self._ask()
        changeset = collect(self._mirror, base, tree, snapshot, paths=["**"])
        if not changeset:
            return Ended(Outcome.NO_CHANGE, "nothing was changed")
        commit = write_commit(self._mirror, changeset, f"whimbrel exec {self._id}", self._author)
        self._diff = diff(self._mirror, base, commit).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self._keep("diff", self._diff)
        if self._order.write:
            self._write_back(changeset)
        files = f"{len(changeset.files)} file{'s' if len(changeset.files) > 1 else ''}"
        return Ended(Outcome.REPORTED, f"{files} {'written' if self._written else 'would be changed'}", changeset.paths)

    def end(self) -> Report:
        """Its last word, and its cost, in one transaction."""
        ended, duration_ms = self.ended, int((self._services.clock.monotonic() - self._began) * 1000)
        fine = ended.outcome in (Outcome.REPORTED, Outcome.NO_CHANGE)
        with self._services.database.transaction() as tx:
            cost, tokens = ledger.close_attempt(tx, self._id, clock=self._services.clock)
            self._audit(
                tx, "exec.succeeded" if fine else "exec.failed", ended.reason, outcome=ended.outcome.value,
                files=list(ended.files), written=self._written, prompts_sha256=self._prompts, error=ended.error or None,
                duration_ms=duration_ms, cost_usd=decimal_usd(cost),
            )  # fmt: skip
        return Report(
            self._id, ended.outcome, ended.reason, self._answer, self._diff, ended.files, self._written, cost, tokens,
            duration_ms, self.error,
        )  # fmt: skip

    def _ask(self) -> None:
        services, order = self._services, self._order
        templates = self._place.scratch / "templates"
        _write_files(templates, order.guidance)
        alerts = Alerts(order.org.org, self._id, order.org.quota.alert_at, services.audit_key, services.clock)
        month = OrgMonth(order.org.org, order.org.timezone, order.org.quota.month)
        meter = LedgerMeter(services.database, self._accounts, services.clock, alerts, month)
        services.claude(order.org, meter, Renderer([templates])).apply(self._step, self._context())

    def _context(self) -> StepContext:
        clock, end = self._services.clock, self._began + self._order.limits.timeout_minutes * 60
        return StepContext(
            workspace=self._place,
            variables={"prompt": self._order.prompt},
            limits=self._order.limits,
            usd_cap_micro=self._order.cap,
            remaining_seconds=lambda: max(0.0, end - clock.monotonic()),
            emit=self._tell,
            artifact=self._artifact,
            rendered=_forget,
            output=_forget,
            cancelled=lambda: False,
        )

    def _tell(self, message: str, **data: Any) -> None:
        if "prompt_sha256" in data:
            self._prompts.append(data["prompt_sha256"])
        self._emit(redact(message), **data)

    def _artifact(self, kind: str, content: bytes) -> None:
        text = redact(content.decode("utf-8", "replace"))
        if kind == "answer":
            self._answer = text
        self._keep(kind, text)

    def _keep(self, kind: str, text: str) -> None:
        folder = self._services.artifacts / self._id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kind).write_text(redact(text), encoding="utf-8")

    def _write_back(self, changeset: Changeset) -> None:
        """Into the folder as it was copied. Raises ChangeRefused, with nothing written, where a file was changed meanwhile."""
        folder, base = self._order.folder, self._base.commit
        now = self._import().commit
        moved = [path for path in changeset.paths if not same_at(self._mirror, base, now, path)]
        if moved:
            raise ChangeRefused([f"{path} was changed in {folder} meanwhile: nothing was written" for path in moved])
        try:
            apply_changeset(folder, changeset)
        except OSError as error:
            raise ChangeRefused([f"{folder} cannot be written: {error}"]) from error
        self._written = True

    def _import(self) -> Imported:
        return import_folder(self._mirror, self._order.folder, self._author, without=[self._services.home])

    @property
    def _author(self) -> Signature:
        return Signature(BOT_NAME, BOT_EMAIL, self._services.clock.now())

    def _audit(self, tx: Any, action: str, reason: str = "", **details: Any) -> None:
        audit.append(
            tx, self._services.audit_key, self._services.clock, org=self._order.org.org, actor=self._order.actor,
            action=action, subject=self._id, reason=reason, details=details,
        )  # fmt: skip


def _forget(_name: str, _value: Any) -> None:
    """What later steps and later attempts would ask for: there are none."""


def _named(order: Order, imported: Imported) -> list[str]:
    """The files that the globs match, in their order. Raises UsageError."""
    named: dict[str, None] = {}
    for pattern in order.files:
        found = list(path_rules([pattern]).match_files(imported.paths))
        if not found:
            raise UsageError(f"--files {pattern} matches no file in {order.folder}")
        named |= dict.fromkeys(found)
    if len(named) > MAX_FILES_NAMED:
        raise UsageError(f"--files matches {len(named)} files", mend=f"name at most {MAX_FILES_NAMED} to be looked at first")
    return list(named)


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
