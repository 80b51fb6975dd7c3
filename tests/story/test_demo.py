"""`whimbrel demo`, twice, as a new user runs it: two campaigns on twelve repositories, everything real but the model."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes import repositories
from tests.story.conftest import KEY, Campaign, Done, Project

NO_CHANGE = "nothing to change: the repository already is as the policy wants it"
UNITTEST = "if [ -d tests ]; then python3 -m unittest discover -s tests -t .; fi"
TESTS_FAIL = f"2 files changed, no new failure: {UNITTEST}: exit 1: failed on the base too"
EXPECTED = {
    "standardize": {
        "billing-worker": ("published", "3 files changed, no checks to pass", 1),
        "engineering-handbook": ("skipped", "opted out in .whimbrel.yaml: enabled is false", None),
        "feature-flags": ("no_change", NO_CHANGE, None),
        "incident-bot": ("skipped", "empty: there is no commit yet", None),
        "ledger-api": ("published", "3 files changed, no checks to pass", 1),
        "legacy-checkout": ("skipped", "archived", None),
        "localized-mail": ("published", "3 files changed, no checks to pass", 1),
        "payments-sdk": ("rejected", "'CONTRIBUTING.md' is a link", None),
        "pricing-engine": ("published", "3 files changed, no checks to pass", 1),
        "report-cli": ("published", "3 files changed, no checks to pass", 1),
        "retry-utils": ("skipped", "a fork", None),
        "storefront-web": ("published", "2 files changed, no checks to pass", 1),
    },
    "migrate-to-pyproject": {
        "billing-worker": ("published", "4 files changed, all 4 checks passed", 2),
        "engineering-handbook": ("skipped", "no setup.py on main", None),
        "feature-flags": ("published", "2 files changed, all 4 checks passed", 1),
        "incident-bot": ("skipped", "empty: there is no commit yet", None),
        "ledger-api": ("published", "2 files changed, all 4 checks passed", 2),
        "legacy-checkout": ("skipped", "archived", None),
        "localized-mail": ("published", "2 files changed, all 4 checks passed", 2),
        "payments-sdk": ("published", "2 files changed, all 4 checks passed", 1),
        "pricing-engine": ("published", TESTS_FAIL, 2),
        "report-cli": ("published", "2 files changed, all 4 checks passed", 2),
        "retry-utils": ("skipped", "a fork", None),
        "storefront-web": ("skipped", "no setup.py on trunk", None),
    },
}


@dataclass(frozen=True)
class Demo:
    """The demo after one `whimbrel demo`: what it said, and what the CLI tells of it; `left` are its living processes."""

    cli: Project
    done: Done
    campaigns: dict[str, Campaign]
    pull_requests: list[dict[str, Any]]
    left: list[str]

    @property
    def folder(self) -> Path:
        return self.cli.folder / "demo"

    @property
    def home(self) -> Path:
        return self.folder / ".whimbrel"


@pytest.fixture(scope="module")
def new_user(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty folder, and somebody who has a key for the real API."""
    return Project(tmp_path_factory.mktemp("demo"), environment={"ANTHROPIC_API_KEY": KEY})


@pytest.fixture(scope="module")
def first(new_user: Project) -> Demo:
    return play_demo(new_user)


@pytest.fixture(scope="module")
def quota(first: Demo) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = first.cli.whimbrel("quota", "--json").json
    return found


@pytest.fixture(scope="module")
def again(new_user: Project, first: Demo, quota: list[dict[str, Any]]) -> Demo:
    return play_demo(new_user)


@pytest.fixture(scope="module")
def audit(again: Demo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in again.cli.whimbrel("audit", "export").stdout.splitlines()]


def play_demo(user: Project) -> Demo:
    done = user.whimbrel("demo")
    folder = user.folder / "demo"
    left = processes_of(folder)
    variables = {"WHIMBREL_HOME": str(folder / ".whimbrel"), "WHIMBREL_POLICIES": str(folder / "policies")}
    cli = Project(user.folder, environment=variables)
    newest_last = reversed(cli.whimbrel("status", "--json").json)
    latest = {status["policy"]: status for status in newest_last}
    campaigns = {policy: cli.campaign(status) for policy, status in latest.items()}
    return Demo(cli, done, campaigns, cli.pull_requests(), left)


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that work in `folder`, or were told of it."""
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]) if knows(process, folder)]


def knows(process: psutil.Process, folder: Path) -> bool:
    try:
        told = [*process.cmdline(), *process.environ().values(), process.cwd()]
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # not even root may read all of them
        return False
    return any(str(folder) in words for words in told)


def files_below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def test_it_says_that_the_model_is_scripted_and_what_came_of_it(first: Demo) -> None:
    said = " ".join(first.done.stdout.split())
    assert "The model is scripted: an API of ours on this machine" in said
    for words in ("6 published", "1 rejected", "1 no_change", "whimbrel audit verify", "make demo"):
        assert words in said
    assert "7 of 7 ended" in first.done.stderr


def ends(campaign: Campaign) -> dict[str, tuple[str, str, int | None]]:
    """Outcome, reason and pull request by repository."""
    return {row["target"]: (row["outcome"], row["reason"], number(row)) for row in campaign.rows}


def number(row: dict[str, Any]) -> int | None:
    return row["pull_request"]["number"] if row["pull_request"] else None


@pytest.mark.parametrize("policy", EXPECTED)
def test_every_repository_ends_as_it_should(first: Demo, policy: str) -> None:
    assert ends(first.campaigns[policy]) == EXPECTED[policy]
    assert first.campaigns[policy].status["state"] == "completed"


def test_one_pull_request_is_open_for_each_published_run(first: Demo) -> None:
    published = {
        (target, f"whimbrel/{policy}", number)
        for policy, expected in EXPECTED.items()
        for target, (outcome, _, number) in expected.items()
        if outcome == "published"
    }
    assert {(pull["repository"], pull["branch"], pull["number"]) for pull in first.pull_requests} == published
    assert len(first.pull_requests) == len(published)
    assert {pull["state"] for pull in first.pull_requests} == {"open"}


def test_the_branch_of_a_pull_request_has_the_change(first: Demo) -> None:
    bare = first.folder / "host" / "acme" / "ledger-api.git"
    migrated = repositories.files_at(bare, "whimbrel/migrate-to-pyproject")
    assert {"setup.py", "pyproject.toml"} & migrated.keys() == {"pyproject.toml"}
    standardized = repositories.files_at(bare, "whimbrel/standardize")
    assert {"README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"} <= standardized.keys()


def test_every_cent_is_the_same_in_runs_quota_and_ledger(first: Demo, quota: list[dict[str, Any]]) -> None:
    with closing(sqlite3.connect(first.home / "whimbrel.db")) as database:
        ((settled,),) = database.execute("SELECT sum(amount) FROM ledger_entries WHERE kind = 'settle'")
    standardize, migrate = first.campaigns["standardize"], first.campaigns["migrate-to-pyproject"]
    assert {row["cost_usd"] for row in standardize.rows} == {"0.000000"}
    attempted = [row for row in migrate.rows if row["outcome"] != "skipped"]
    assert all(Decimal(row["cost_usd"]) > 0 and row["tokens"] > 0 for row in attempted)
    spent = sum(Decimal(row["cost_usd"]) for row in migrate.rows)
    assert Decimal(migrate.status["cost_usd"]) == spent == Decimal(settled) / 1_000_000
    assert [(row["spent_usd"], row["reserved_usd"]) for row in quota] == [(str(spent), "0.000000")]


def test_nothing_that_the_hostile_repository_plants_is_executed(first: Demo) -> None:
    hostile = repositories.files_at(first.folder / "host" / "acme" / "payments-sdk.git")
    canary = first.folder / "canary"
    planted = [path for path, content in hostile.items() if isinstance(content, bytes) and str(canary).encode() in content]
    assert {".claude/settings.json", ".mcp.json"} <= set(planted)
    assert not canary.exists()


@pytest.mark.parametrize("which", ["first", "again"])
def test_nothing_is_left_running_or_lying_about(which: str, request: pytest.FixtureRequest) -> None:
    demo: Demo = request.getfixturevalue(which)
    assert demo.left == []
    assert list((demo.home / "attempts").iterdir()) == []
    assert [path for path in files_below(demo.folder) if stat.S_ISSOCK(path.lstat().st_mode)] == []


def test_a_second_demo_doubles_nothing(first: Demo, again: Demo) -> None:
    def heads(demo: Demo) -> list[tuple[str, int, str]]:
        return [(pull["repository"], pull["number"], pull["head"]) for pull in demo.pull_requests]

    def expected_again(run: str, outcome: str, reason: str, number: int | None) -> tuple[str, str, int | None]:
        match outcome:
            case "published":
                return ("skipped", f"already open: #{number}", None)
            case "rejected":
                since = f"rejected before, and nothing has changed since: {reason} (whimbrel retry {run})"
                return ("skipped", since, None)
            case "no_change":
                return ("skipped", f"unchanged since run {run}: {reason} (--anew looks again)", None)
            case _:
                return (outcome, reason, None)

    assert heads(again) == heads(first)
    for policy, campaign in again.campaigns.items():
        assert campaign.id != first.campaigns[policy].id
        before = first.campaigns[policy]
        assert ends(campaign) == {
            target: expected_again(before[target]["id"], *end) for target, end in EXPECTED[policy].items()
        }


def test_the_audit_trail_holds_and_tells_all(again: Demo, audit: list[dict[str, Any]]) -> None:
    verified = again.cli.whimbrel("audit", "verify").stdout
    assert verified.startswith(f"acme: holds, {len(audit)} events, head {len(audit)}:")
    assert {event["action"] for event in audit} == {
        "campaign.started",
        "campaign.completed",
        "attempt.started",
        "attempt.succeeded",
        "pull_request.published",
    }
    for event in audit:
        assert event["org"] == "acme"
        assert all(event[field] for field in ("audit_id", "at", "actor", "subject"))
    assert len({event["audit_id"] for event in audit}) == len(audit)


def test_an_audited_attempt_has_its_prompt_by_hash_its_files_and_its_duration(first: Demo, audit: list[dict[str, Any]]) -> None:
    run = first.campaigns["migrate-to-pyproject"]["ledger-api"]["id"]
    (details,) = [
        event["details"] for event in audit if (event["subject"], event["action"]) == (f"{run}.1", "attempt.succeeded")
    ]
    assert (details["outcome"], details["error"]) == ("published", None)
    assert details["files"] == ["pyproject.toml", "setup.py"]
    assert details["duration_ms"] > 0
    assert Decimal(details["cost_usd"]) > 0
    assert [len(digest) for digest in details["prompts_sha256"]] == [64]


def test_the_secrets_are_in_no_file_but_the_key_file(again: Demo) -> None:
    audit_key = (again.home / "audit.key").read_text().strip()
    secrets = [secret.encode() for secret in (KEY, "scripted-model", audit_key)]
    holding = [
        path.relative_to(again.folder).as_posix()
        for path in files_below(again.folder)
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets)
    ]
    assert holding == [".whimbrel/audit.key"]
    assert stat.S_IMODE((again.home / "audit.key").stat().st_mode) == 0o600
