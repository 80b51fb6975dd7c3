"""`whimbrel demo`, twice, as a new user runs it: two campaigns on twelve repositories, everything real but the model."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from bot.store.database import Database
from bot.store.schema import ledger_entries
from tests.fakes import repositories
from tests.story.conftest import KEY, Campaign, Done, Project

pytestmark = pytest.mark.xdist_group("demo")

OPEN = "#{} {}"
STANDARDIZED = "Every repository has a README, a guide for contributors and a CI workflow"
MIGRATED = "Packaging metadata lives in pyproject.toml; setup.py and setup.cfg are gone"
TESTS_FAIL = "a check failed: if [ -d tests ]; then python3 -m unittest discover -s tests -t .; fi: exit 1: FAILED (failures=1)"
EXPECTED = {
    "standardize": {
        "billing-worker": ("published", f"#1 {STANDARDIZED}"),
        "engineering-handbook": ("skipped", "opted out in .whimbrel.yaml: enabled is false"),
        "feature-flags": ("no_change", "nothing to change: the repository already is as the policy wants it"),
        "incident-bot": ("skipped", "empty: there is no commit yet"),
        "ledger-api": ("published", f"#1 {STANDARDIZED}"),
        "legacy-checkout": ("skipped", "archived"),
        "localized-mail": ("published", f"#1 {STANDARDIZED}"),
        "payments-sdk": ("rejected", "'CONTRIBUTING.md' is a link"),
        "pricing-engine": ("published", f"#1 {STANDARDIZED}"),
        "report-cli": ("published", f"#1 {STANDARDIZED}"),
        "retry-utils": ("skipped", "a fork"),
        "storefront-web": ("published", f"#1 {STANDARDIZED}"),
    },
    "migrate-to-pyproject": {
        "billing-worker": ("published", f"#2 {MIGRATED}"),
        "engineering-handbook": ("skipped", "no setup.py on main"),
        "feature-flags": ("published", f"#1 {MIGRATED}"),
        "incident-bot": ("skipped", "empty: there is no commit yet"),
        "ledger-api": ("published", f"#2 {MIGRATED}"),
        "legacy-checkout": ("skipped", "archived"),
        "localized-mail": ("published", f"#2 {MIGRATED}"),
        "payments-sdk": ("published", f"#1 {MIGRATED}"),
        "pricing-engine": ("rejected", TESTS_FAIL),
        "report-cli": ("published", f"#2 {MIGRATED}"),
        "retry-utils": ("skipped", "a fork"),
        "storefront-web": ("skipped", "no setup.py on trunk"),
    },
}


@dataclass(frozen=True)
class Demo:
    """The demo after one `whimbrel demo`: what it said, and what the CLI tells of it; `left` are its living processes."""

    folder: Path
    done: Done
    campaigns: dict[str, Campaign]
    pull_requests: list[dict[str, Any]]
    quota: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    verified: str
    left: list[str]

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
def again(new_user: Project, first: Demo) -> Demo:
    return play_demo(new_user)


def play_demo(user: Project) -> Demo:
    done = user.whimbrel("demo")
    folder = user.folder / "demo"
    left = processes_of(folder)
    variables = {"WHIMBREL_HOME": str(folder / ".whimbrel"), "WHIMBREL_POLICIES": str(folder / "policies")}
    looking = Project(user.folder, environment=variables)
    latest = {status["policy"]: status["id"] for status in reversed(looking.whimbrel("status", "--json").json)}
    return Demo(
        folder,
        done,
        {policy: looking.campaign(campaign_id) for policy, campaign_id in latest.items()},
        looking.pull_requests(),
        looking.whimbrel("quota", "--json").json,
        [json.loads(line) for line in looking.whimbrel("audit", "export").stdout.splitlines()],
        looking.whimbrel("audit", "verify").stdout,
        left,
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that work in `folder`, or were told of it."""
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]) if knows(process, folder)]


def knows(process: psutil.Process, folder: Path) -> bool:
    try:
        told = [*process.cmdline(), *process.environ().values(), process.cwd()]
    except psutil.NoSuchProcess:
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


@pytest.mark.parametrize("policy", EXPECTED)
def test_every_repository_ends_as_it_should(first: Demo, policy: str) -> None:
    assert {row["target"]: (row["outcome"], row["reason"]) for row in first.campaigns[policy].rows} == EXPECTED[policy]
    assert first.campaigns[policy].status["state"] == "completed"


def test_one_pull_request_is_open_for_each_published_run(first: Demo) -> None:
    published = {
        (row["target"], f"whimbrel/{policy}", row["pull_request"]["number"])
        for policy, campaign in first.campaigns.items()
        for row in campaign.rows
        if row["outcome"] == "published"
    }
    assert {(pull["repository"], pull["branch"], pull["number"]) for pull in first.pull_requests} == published
    assert len(first.pull_requests) == 12
    assert {pull["state"] for pull in first.pull_requests} == {"open"}
    branches = [(pull["repository"], pull["branch"], pull["base"]) for pull in first.pull_requests]
    assert len(set(branches)) == len(branches)


def test_the_branch_of_a_pull_request_has_the_change(first: Demo) -> None:
    bare = first.folder / "host" / "acme" / "ledger-api.git"
    migrated = repositories.files_at(bare, "whimbrel/migrate-to-pyproject")
    assert {"setup.py", "pyproject.toml"} & migrated.keys() == {"pyproject.toml"}
    standardized = repositories.files_at(bare, "whimbrel/standardize")
    assert {"README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"} <= standardized.keys()
    assert repositories.files_at(first.folder / "host" / "acme" / "storefront-web.git", "whimbrel/standardize")


def test_every_cent_is_the_same_in_runs_quota_and_ledger(first: Demo) -> None:
    database = Database(f"sqlite:///{first.home / 'whimbrel.db'}")
    with database.reading() as tx:
        settled = tx.execute(select(func.sum(ledger_entries.c.amount)).where(ledger_entries.c.kind == "settle")).scalar_one()
    database.dispose()
    standardize, migrate = first.campaigns["standardize"], first.campaigns["migrate-to-pyproject"]
    assert {row["cost_usd"] for row in standardize.rows} == {"0.000000"}
    attempted = [row for row in migrate.rows if row["outcome"] != "skipped"]
    assert all(Decimal(row["cost_usd"]) > 0 and row["tokens"] > 0 for row in attempted)
    spent = sum(Decimal(row["cost_usd"]) for row in migrate.rows)
    assert Decimal(migrate.status["cost_usd"]) == spent == Decimal(settled) / 1_000_000
    (quota,) = first.quota
    assert (quota["spent_usd"], quota["reserved_usd"]) == (str(spent), "0.000000")


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

    assert heads(again) == heads(first)
    for policy, campaign in again.campaigns.items():
        assert campaign.id != first.campaigns[policy].id
        for row in campaign.rows:
            outcome, reason = EXPECTED[policy][row["target"]]
            if outcome == "published":
                number = first.campaigns[policy][row["target"]]["pull_request"]["number"]
                outcome, reason = "skipped", f"already open: #{number}"
            assert (row["target"], row["outcome"], row["reason"]) == (row["target"], outcome, reason)


def test_the_audit_trail_holds_and_tells_all(again: Demo) -> None:
    assert again.verified.startswith(f"acme: holds, {len(again.audit)} events, head {len(again.audit)}:")
    assert {event["action"] for event in again.audit} == {
        "campaign.started",
        "campaign.completed",
        "attempt.started",
        "attempt.succeeded",
        "pull_request.published",
    }
    for event in again.audit:
        assert event["audit_id"]
        assert event["at"]
        assert event["actor"]
        assert event["subject"]
        assert event["org"] == "acme"
    assert len({event["audit_id"] for event in again.audit}) == len(again.audit)


def test_an_audited_attempt_has_its_prompt_by_hash_its_files_and_its_duration(first: Demo) -> None:
    run = first.campaigns["migrate-to-pyproject"]["ledger-api"]["id"]
    (ended,) = [e for e in first.audit if e["subject"] == f"{run}.1" and e["action"] == "attempt.succeeded"]
    details = ended["details"]
    assert details["outcome"] == "published"
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
