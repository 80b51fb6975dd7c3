"""The command line as its users meet it: help, mistakes and their mends, the JSON contract, and the detached processes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bot.cli.main import cli, main
from bot.config import Settings
from bot.domain.states import CampaignState
from bot.store import campaigns
from bot.store.database import Database
from tests.databases import PostgresDatabases
from tests.story.conftest import KEY, Campaign, Project

NOTES: dict[str, Any] = {"steps": [{"run": "echo words > NOTES"}], "checks": [{"run": "test -s NOTES"}]}
MONEY = r"^\d+\.\d{6}$"
PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def finished(new_project: Callable[[], Project]) -> Finished:
    """A small org on which a campaign has ended. Tests read it, and change nothing."""
    project = new_project()
    project.write_campaign("notes", **NOTES)
    project.repository("alpha", {"a": b"a"})
    project.repository("old", {"a": b"a"}, archived=True)
    return Finished(project, project.run("notes"))


@dataclass(frozen=True)
class Finished:
    project: Project
    campaign: Campaign


# --- help ---


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def name_of(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else ""


@pytest.mark.parametrize(("path", "command"), list(commands(cli)), ids=name_of)
def test_every_command_says_what_it_does(path: tuple[str, ...], command: click.Command) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: cli {' '.join(path)}" in shown.output
    assert command.help
    assert command.help.splitlines()[0].split()[0] in shown.output
    for line in (command.epilog or "").replace("\b", "").strip().splitlines():
        assert " ".join(line.split()) in " ".join(shown.output.split())


def test_the_help_and_the_version_come_from_the_command_itself(finished: Finished) -> None:
    assert "whimbrel run standardize --org acme" in finished.project.whimbrel("--help").stdout
    assert finished.project.whimbrel("--version").stdout.startswith("whimbrel, version 0.")


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["plan", "notes"], "Missing option '--org'"),
        (["plan", "nots", "--org", "acme"], "no campaign policy 'nots' in policies/campaigns/\n  mend: did you mean notes?"),
        (["plan", "notes", "--org", "acne"], "no org policy 'acne' in policies/orgs/\n  mend: did you mean acme?"),
        (["run", "notes", "--org", "acme", "--max-usd", "-1"], "--max-usd"),
        (["status", "c0ffee"], "there is no campaign c0ffee\n  mend: whimbrel status lists them"),
        (["runs", "c0ffee"], "there is no campaign c0ffee"),
        (["show", "c0ffee-1"], "there is no run c0ffee-1\n  mend: whimbrel runs CAMPAIGN lists them"),
        (["preview", "notes", "--org", "acme", "--repo", "old"], "old would be skipped: archived"),
        (["preview", "notes", "--org", "acme", "--repo", "new"], "no repository of acme is named new"),
        (["host", "pr", "show", "alpha", "7", "--org", "acme"], "7"),
        (["audit", "verify", "--org", "acme", "--head", "7"], "--head '7' is no head"),
    ],
    ids=name_of,
)
def test_a_mistake_is_told_with_its_mend(
    finished: Finished,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: the command's `main`, as the console script calls it."""
    monkeypatch.chdir(finished.project.folder)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert words in said.err
    assert said.out == ""


def test_the_exit_status_of_a_mistake_is_that_of_the_process(finished: Finished) -> None:
    done = finished.project.whimbrel("show", "c0ffee-1", status=2)
    assert done.stderr == "whimbrel: there is no run c0ffee-1\n  mend: whimbrel runs CAMPAIGN lists them\n"
    assert done.stdout == ""


def test_without_policies_the_mend_is_init(tmp_path: Path) -> None:
    done = Project(tmp_path).whimbrel("plan", "standardize", "--org", "acme", status=2)
    assert done.stderr == f"whimbrel: there is no folder {tmp_path}/policies\n  mend: whimbrel init writes one to start from\n"


def test_a_broken_policy_is_told_with_its_file_and_line(project: Project) -> None:
    broken = project.folder / "policies" / "campaigns" / "notes.yaml"
    broken.write_text("name: notes\ndescription: Notes\nstepps:\n  - run: 'true'\nfan_out: {}\n")
    done = project.whimbrel("plan", "notes", "--org", "acme", status=2)
    assert "policies/campaigns/notes.yaml:3: `stepps` is unknown: did you mean `steps`?" in done.stderr
    assert "policies/campaigns/notes.yaml:5: `fan_out` is not offered yet" in done.stderr


def test_a_policy_wider_than_the_org_s_ceilings_is_refused(project: Project) -> None:
    project.write_campaign("notes", **NOTES, budget={"usd_per_attempt": 11})
    done = project.whimbrel("run", "notes", "--org", "acme", status=2)
    assert "`budget.usd_per_attempt` is $11.00, above the ceiling of $10.00 that acme sets" in done.stderr


# --- the JSON contract ---


def shape(value: Any) -> Any:
    """The types of a JSON document, by key."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def covers(found: Any, wanted: Any) -> bool:
    """Is all that is wanted there? More keys may join a document."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(key in found and covers(found[key], value) for key, value in wanted.items())
    return bool(found == wanted)


STATUS = {
    "id": "str",
    "policy": "str",
    "org": "str",
    "state": "str",
    "targets": "int",
    "outcomes": {"published": "int", "skipped": "int"},
    "cost_usd": "str",
    "tokens": "int",
    "success_rate": "float",
    "avg_duration_ms": "int",
}
RUN = {
    "id": "str",
    "target": "str",
    "outcome": "str",
    "reason": "str",
    "attempts": "int",
    "pull_request": {"number": "int", "url": "str", "state": "str", "branch": "str"},
    "cost_usd": "str",
    "tokens": "int",
    "duration_ms": "int",
    "files_changed": "int",
}
QUOTA = {"org": "str", "period": "str", "cap_usd": "str", "spent_usd": "str", "reserved_usd": "str"}


def test_status_and_run_keep_the_contract(finished: Finished) -> None:
    status = finished.project.whimbrel("status", finished.campaign.id, "--json").json
    assert shape(status).items() >= STATUS.items()
    assert status == finished.campaign.status
    assert (status["targets"], status["outcomes"]) == (2, {"published": 1, "skipped": 1})
    assert (status["cost_usd"], status["tokens"], status["success_rate"]) == ("0.000000", 0, 1.0)
    assert finished.project.whimbrel("status", "--json").json == [status]


def test_runs_keep_the_contract(finished: Finished) -> None:
    published, skipped = finished.campaign.rows
    assert covers(shape(published), RUN)
    assert covers(shape(skipped), RUN | {"pull_request": "NoneType"})
    assert (published["target"], published["attempts"], published["files_changed"]) == ("alpha", 1, 1)
    assert (skipped["target"], skipped["attempts"], skipped["reason"]) == ("old", 0, "archived")


def test_quota_keeps_the_contract(finished: Finished) -> None:
    (quota,) = finished.project.whimbrel("quota", "--json").json
    assert shape(quota).items() >= QUOTA.items()
    assert (quota["org"], quota["cap_usd"], quota["spent_usd"]) == ("acme", "500.000000", "0.000000")
    assert finished.project.whimbrel("quota", "nobody", "--json").json == []


def test_with_json_progress_is_a_json_object_a_line_on_stderr(finished: Finished) -> None:
    told = [json.loads(line) for line in finished.campaign.said.splitlines()]
    assert (told[0]["progress"], told[-1]["progress"]) == ("start", "finish")
    stages = [event["stage"] for event in told if event.get("target") == "alpha"]
    assert list(dict.fromkeys(stages)) == ["checkout", "steps", "collect", "check", "publish", ""]


def test_plan_tells_targets_skips_and_the_estimate(finished: Finished) -> None:
    before = finished.project.pull_requests()
    planned = finished.project.whimbrel("plan", "standardize", "--org", "acme", "--json").json
    assert [(target["repository"], target["base"]) for target in planned["targets"]] == [("alpha", "main")]
    assert planned["skipped"] == [{"repository": "old", "reason": "archived"}]
    assert (planned["estimate"]["usd_at_most"], planned["estimate"]["basis"]) == ("0.000000", "no step asks a model")
    assert finished.project.pull_requests() == before


def test_preview_shows_the_diff_and_publishes_nothing(finished: Finished) -> None:
    before = finished.project.pull_requests()
    shown = finished.project.whimbrel("preview", "standardize", "--org", "acme", "--repo", "alpha").stdout
    assert "+++ b/CONTRIBUTING.md" in shown
    assert "reported" in shown
    assert finished.project.pull_requests() == before


def test_show_tells_the_timeline_the_checks_and_the_diff(finished: Finished) -> None:
    shown = finished.project.whimbrel("show", finished.campaign["alpha"]["id"]).stdout
    for words in ("checkout", "test -s NOTES", "+++ b/NOTES", "+words"):
        assert words in shown


def test_a_cut_tail_of_the_audit_trail_is_found_by_its_head(finished: Finished) -> None:
    (found,) = finished.project.whimbrel("audit", "verify", "--org", "acme", "--json").json
    assert found["holds"]
    seq, _, mac = found["head"].partition(":")
    longer = f"{int(seq) + 1}:{mac}"
    done = finished.project.whimbrel("audit", "verify", "--org", "acme", "--head", longer, status=1)
    assert "the tail was cut" in done.stdout


def test_doctor_finds_nothing_missing(project: Project) -> None:
    project.environment["ANTHROPIC_API_KEY"] = KEY
    found = project.whimbrel("doctor", "--json")
    assert [finding["subject"] for finding in found.json if not finding["fine"]] == []
    assert KEY not in found.stdout


def test_doctor_names_the_mend(project: Project) -> None:
    found = {finding["subject"]: finding for finding in project.whimbrel("doctor", "--json", status=1).json}
    assert [subject for subject, finding in found.items() if not finding["fine"]] == ["model key"]
    assert "policies without a Claude step need none" in found["model key"]["mend"]


# --- processes of their own ---


@contextmanager
def process(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `whimbrel` process that is killed at the end, if it still lives."""
    with (project.folder / f"{arguments[0]}.log").open("w") as log:
        started = subprocess.Popen(**project.command(*arguments), stdout=log, stderr=log)
    with started:
        try:
            yield started
        finally:
            started.kill()


def completed(project: Project, campaign_id: str) -> Campaign:
    """Wait for the end of a campaign that others work on."""
    database = Database(Settings.from_environment(project.environment | {"WHIMBREL_HOME": str(project.home)}).database_url)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _is_completed(database, campaign_id):
        if time.monotonic() > deadline:
            pytest.fail("the campaign did not end:\n" + "\n".join(log.read_text() for log in project.folder.glob("*.log")))
        time.sleep(0.1)
    database.dispose()
    return project.campaign(project.whimbrel("status", campaign_id, "--json").json)


def _is_completed(database: Database, campaign_id: str) -> bool:
    with database.reading() as tx:
        return campaigns.get(tx, campaign_id).state is CampaignState.COMPLETED


def run_detached(project: Project) -> None:
    """Start a campaign, let a scheduler and workers of their own finish it, and end them."""
    project.write_campaign("notes", **NOTES)
    for name in ("alpha", "beta", "gamma"):
        project.repository(name, {"a": b"a"})
    started = project.whimbrel("run", "notes", "--org", "acme", "--detach", "--json").json
    assert (started["state"], started["outcomes"]) == ("running", {})
    with process(project, "scheduler") as scheduler, process(project, "worker", "-n", "2") as worker:
        ended = completed(project, started["id"])
        for each in (worker, scheduler):
            each.send_signal(signal.SIGTERM)
        assert (worker.wait(PATIENCE_SECONDS), scheduler.wait(PATIENCE_SECONDS)) == (0, 0)
    assert set(ended.outcomes.values()) == {"published"}
    assert len(project.pull_requests()) == 3


def test_scheduler_and_workers_finish_a_detached_campaign_and_end_cleanly(project: Project) -> None:
    run_detached(project)


def test_the_same_on_postgres_once_its_schema_is_there(project: Project, postgres_databases: PostgresDatabases) -> None:
    project.environment["DATABASE_URL"] = postgres_databases.empty()
    refused = project.whimbrel("plan", "standardize", "--org", "acme", status=2)
    assert "whimbrel db upgrade" in refused.stderr
    assert "up to date" in project.whimbrel("db", "upgrade").stdout
    run_detached(project)
    assert not (project.home / "whimbrel.db").exists()
