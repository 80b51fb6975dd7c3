"""Check runs, their suites, and commit statuses."""

from __future__ import annotations

from typing import Any

from tests.fakes.github.changes import pulls
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.records import Account, App, CheckRun, Repository, Status
from tests.fakes.github.state import State, invalid

CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")
STATES = ("error", "failure", "pending", "success")


def create_run(state: State, repository: Repository, app: App, sha: str, **fields: Any) -> CheckRun:
    siblings = [run for run in repository.check_runs.values() if run.head_sha == sha and run.app is app]
    suite = siblings[0].suite_id if siblings else state.new_id()
    made = CheckRun(state.new_id(), fields.pop("name"), sha, app, state.now(), suite)
    repository.check_runs[made.id] = made
    _change(state, repository, made, "created", fields)
    return made


def update_run(state: State, repository: Repository, run: CheckRun, **fields: Any) -> None:
    _change(state, repository, run, "completed", fields)


def _change(state: State, repository: Repository, run: CheckRun, action: str, fields: dict[str, Any]) -> None:
    if fields.get("conclusion") is not None:
        fields["status"] = "completed"
        if fields["conclusion"] not in CONCLUSIONS:
            raise invalid("CheckRun", "conclusion")
    for name, value in fields.items():
        setattr(run, name, value)
    if run.status == "completed":
        if run.conclusion is None:
            raise invalid("CheckRun", "conclusion", "missing_field")
        run.completed_at = state.now()
        _tell(state, repository, run, "completed")
        for pull in repository.pulls:
            if pull.head_sha == run.head_sha:
                pulls.try_auto_merge(state, pull)
    elif action == "created":
        state.tell("check_run", "created", repository=repository, sender=run.app.bot, check_run=_run(state, repository, run))


def _tell(state: State, repository: Repository, run: CheckRun, action: str) -> None:
    state.tell("check_run", action, repository=repository, sender=run.app.bot, check_run=_run(state, repository, run))
    suite = shapes.check_suite(state, repository, run)
    state.tell("check_suite", action, repository=repository, sender=run.app.bot, check_suite=suite)


def _run(state: State, repository: Repository, run: CheckRun) -> dict[str, Any]:
    return {**shapes.check_run(state, repository, run), "check_suite": shapes.check_suite(state, repository, run)}


def rerequest(state: State, repository: Repository, run: CheckRun, by: Account) -> None:
    """A person asks for the suite again, on the pull request's page."""
    suite = shapes.check_suite(state, repository, run)
    state.tell("check_suite", "rerequested", repository=repository, sender=by, check_suite=suite)


def add_status(
    state: State,
    repository: Repository,
    sha: str,
    by: Account,
    *,
    verdict: str,
    context: str = "default",
    description: str | None = None,
    target_url: str | None = None,
) -> Status:
    if verdict not in STATES:
        raise invalid("Status", "state", "custom")
    made = Status(state.new_id(), sha, verdict, context, description, target_url, by, state.now())
    repository.statuses.append(made)
    for pull in repository.pulls:
        if pull.head_sha == sha:
            pulls.try_auto_merge(state, pull)
    return made
