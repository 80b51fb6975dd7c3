from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bot.cli import tables
from bot.domain.states import Outcome
from bot.progress import OUTCOME_STYLES

HOSTILE = "[bold red]x[/] \x1b]0;owned\x07\u202e[link=http://evil]y"
WIDTHS = [80, 100, 140]


def run(name: str = "ledger-api", **changed: Any) -> dict[str, Any]:
    return {
        "id": "c0ffee1234-1",
        "target": name,
        "outcome": "published",
        "reason": "#1 Packaging metadata lives in pyproject.toml; setup.py and setup.cfg are gone",
        "attempts": 1,
        "pull_request": {"number": 1, "url": "file:///host/acme/ledger-api#1", "state": "open", "branch": "whimbrel/x"},
        "cost_usd": "0.084210",
        "tokens": 18_422,
        "duration_ms": 8_432,
        "files_changed": 3,
        "state": "ended",
        "stage": "",
        **changed,
    }


def status(**changed: Any) -> dict[str, Any]:
    return {
        "id": "c0ffee1234",
        "policy": "migrate-to-pyproject",
        "org": "acme",
        "state": "completed",
        "targets": 12,
        "outcomes": {"published": 5, "rejected": 2, "skipped": 5},
        "cost_usd": "0.512345",
        "tokens": 123_456,
        "success_rate": 0.875,
        "avg_duration_ms": 8_123,
        "revision": "0123456789ab",
        "source": "",
        "breaker": None,
        "waiting": "",
        "waves": [],
        **changed,
    }


def plan(**changed: Any) -> dict[str, Any]:
    return {
        "id": "p1",
        "org": "acme",
        "policy": "standardize",
        "revision": "r",
        "estimate": {"usd_expected": "1.200000", "usd_at_most": "14.000000", "basis": "the average of 3 earlier runs"},
        "targets": [{"repository": "mono", "base": "main", "head": "a" * 40, "path": "services/x"}],
        "skipped": [{"repository": "retry-utils", "reason": "is a fork"}],
        **changed,
    }


def details(**changed: Any) -> dict[str, Any]:
    leaf = {"name": "python3 -m unittest", "decision": "fail", "reason": "exit 1: FAILED (failures=1)", "children": []}
    return {
        "run": run(),
        "campaign": {"id": "c0ffee1234", "revision": "0123456789ab", "source": ""},
        "timeline": [{"at": "2025-11-23T20:11:12.5+00:00", "attempt": 1, "stage": "steps", "message": "Read setup.py"}],
        "attempts": [{"verdict": {"name": "checks", "decision": "fail", "reason": "1 failed", "children": [leaf]}}],
        "requests": [
            {"model": "m", "tokens": 4_000, "cost_usd": "0.012000", "estimated": True, "latency_ms": 231},
        ],
        "artifacts": {"diff": ["--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+\tnew\u202e\n"]},
        **changed,
    }


def text_of(shown: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(shown)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def run_text(found: dict[str, Any], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    tables.print_run(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def words(shown: str) -> str:
    return " ".join(shown.split())


def test_a_policy_from_git_says_from_where() -> None:
    source = {"id": "c", "revision": "0123456789ab", "source": "acme/platform@4e2d952e1621"}
    said = "revision 0123456789ab from acme/platform@4e2d952e1621"
    assert said in words(text_of(tables.status_panel(status(**source))))
    assert said in words(run_text(details(campaign=source)))
    assert "revision" not in words(text_of(tables.status_panel(status()))) + words(run_text(details()))


def test_a_run_has_everything_a_person_asks_for() -> None:
    head, reason = text_of(tables.runs_table([run()])).splitlines()[4:6]
    assert head.split() == ["ledger-api", "c0ffee1234-1", "published", "#1", "open", "3", "18,422", "$0.08", "8.4", "s"]
    assert reason.strip().startswith("#1 Packaging metadata")


def test_several_runs_are_summed_up() -> None:
    skipped = run(outcome="skipped", pull_request=None, tokens=0, cost_usd="0.000000", duration_ms=None, files_changed=None)
    footer = text_of(tables.runs_table([run(), run(), skipped])).rstrip().splitlines()[-1]
    assert footer.split() == ["3", "runs", "6", "36,844", "$0.17"]


def test_a_skip_shows_no_figures() -> None:
    skipped = run(
        outcome="skipped", reason="", pull_request=None, tokens=0, cost_usd="0.000000", duration_ms=0, files_changed=0
    )
    assert text_of(tables.runs_table([skipped])).rstrip().splitlines()[-1].split() == ["ledger-api", "c0ffee1234-1", "skipped"]


@pytest.mark.parametrize(("state", "stage", "shown"), [("running", "steps", "steps"), ("pending", "", "pending")])
def test_a_run_that_goes_on_shows_where_it_is(state: str, stage: str, shown: str) -> None:
    going_on = run(outcome=None, reason="", pull_request=None, tokens=0, cost_usd="0", state=state, stage=stage)
    assert shown in text_of(tables.runs_table([going_on])).splitlines()[4]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_own_style(outcome: Outcome) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor", _environ={})
    console.print(tables.runs_table([run(outcome=outcome.value)]))
    plain = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", _environ={})
    plain.print(outcome.value, style=OUTCOME_STYLES[outcome], end="")
    assert plain.file.getvalue().removesuffix("\x1b[0m") in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_fit_and_no_figure_is_cut(width: int) -> None:
    rows = [
        run("platform/services/" + "x" * 60, reason="word " * 60, outcome="budget_exhausted"),
        run(tokens=123_456_789, cost_usd="1234.5", files_changed=1_234, duration_ms=3_723_000),
    ]
    shown = text_of(tables.runs_table(rows), width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for figure in ("budget_exhausted", "123.46M", "$1,234.50", "1,234", "1:02:03", "#1 open"):
        assert figure in shown
    assert words(shown).count("word") == 60
    assert "…" not in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_an_estimate_tells_every_figure_and_its_basis(width: int) -> None:
    amounts = {"usd_expected": "1.500000", "usd_p50": "1.250000", "usd_p90": "1234.500000", "usd_at_most": "2000.000000"}
    found = {"policy": "p", "org": "acme", "targets": 1200, "skipped": 3, **amounts, "basis": "word " * 60}
    shown = text_of(tables.estimate_panel(found), width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for figure in ("1,200, and 3 skipped", "$1.50", "$1.25", "$1,234.50", "$2,000.00"):
        assert figure in shown
    assert shown.count("word") == 60


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_else_fits(width: int) -> None:
    quota = [{"org": "a" * 90, "period": "2025-11", "cap_usd": "500000", "spent_usd": "4.5", "reserved_usd": "0.4"}]
    far = {"repository": "r" * 90, "base": "b" * 60, "head": "a", "path": "p" * 60}
    shown = [
        text_of(tables.status_panel(status(outcomes={outcome.value: 1000 for outcome in Outcome})), width),
        text_of(tables.campaigns_table([status(policy="p" * 60)]), width),
        text_of(tables.quota_table(quota), width),
        text_of(tables.plan_table(plan(targets=[far], skipped=[{"repository": "r" * 90, "reason": "word " * 60}])), width),
        run_text(details(), width),
    ]
    assert all(len(line) <= width for text in shown for line in text.splitlines())
    assert all("…" not in text for text in shown)


def test_the_status_says_it_all() -> None:
    shown = words(text_of(tables.status_panel(status())))
    for part in (
        "migrate-to-pyproject on acme c0ffee1234",
        "state completed",
        "5 published · 2 rejected · 5 skipped",
        "$0.51 for 123,456 tokens",
        "88% of the attempted runs",
        "8.1 s a run",
    ):
        assert part in shown


def test_a_campaign_that_attempted_nothing_has_a_status() -> None:
    shown = text_of(tables.status_panel(status(outcomes={}, success_rate=None, avg_duration_ms=None, targets=0)))
    assert "nothing attempted yet" in shown
    assert "average" not in shown


OPEN = {
    "state": "open",
    "since": "2026-01-15T12:00:00+00:00",
    "until": "2026-01-15T12:01:00+00:00",
    "failures": 5,
    "reason": "the circuit breaker is open, failures in a row: 5, the last one: status 529",
}
CLOSED = {"state": "closed", "since": None, "until": None, "failures": 0, "reason": ""}


def test_the_breaker_says_since_when_until_when_and_why() -> None:
    told = f"open since {OPEN['since']} until {OPEN['until']}: {OPEN['reason']}"
    assert tables.breaker_line("acme", OPEN).plain == f"circuit breaker of acme: {told}"
    assert told in words(text_of(tables.status_panel(status(breaker=OPEN)), 200))


def test_a_closed_breaker_is_a_word_and_an_unknown_one_says_why() -> None:
    assert tables.breaker_line("acme", CLOSED).plain == "circuit breaker of acme: closed"
    assert tables.breaker_line("acme", None).plain == "circuit breaker of acme: not known, for no Redis answers"
    assert "breaker closed" in words(text_of(tables.status_panel(status(breaker=CLOSED))))
    assert "breaker" not in text_of(tables.status_panel(status()))


def test_webhooks_that_wait_are_told_first() -> None:
    counted = {"done": 3, "failed": 1, "received": 2}
    assert tables.deliveries_line(counted).plain == "webhooks: 2 waiting, 1 failed, 3 handled"


def test_campaigns_are_a_line_each() -> None:
    first, second = text_of(tables.campaigns_table([status(), status(id="c2", state="running")])).splitlines()[3:5]
    assert first.split()[:4] == ["c0ffee1234", "migrate-to-pyproject", "acme", "completed"]
    assert second.split()[0] == "c2"


def test_the_quota_counts_what_is_reserved_as_used() -> None:
    rows = [
        {"org": "acme", "period": "2025-11", "cap_usd": "5.000000", "spent_usd": "4.000000", "reserved_usd": "0.500000"},
        {"org": "nothing", "period": "2025-11", "cap_usd": "0.000000", "spent_usd": "0.000000", "reserved_usd": "0.000000"},
        {"org": "lowered", "period": "2025-11", "cap_usd": "1.000000", "spent_usd": "2.000000", "reserved_usd": "0.000000"},
    ]
    lines = [line.split() for line in text_of(tables.quota_table(rows)).splitlines()[3:6]]
    assert lines[0] == ["acme", "2025-11", "$5.00", "$4.00", "$0.50", "$0.50", "90.0%"]
    assert lines[1][-2:] == ["$0.00", "100.0%"]
    assert lines[2][-2:] == ["$0.00", "200.0%"]


def test_the_plan_names_targets_skips_and_the_estimate() -> None:
    shown = words(text_of(tables.plan_table(plan())))
    assert "mono/services/x main target" in shown
    assert "retry-utils skipped: is a fork" in shown
    assert "1 target, 1 skipped. Expected cost $1.20, at most $14.00 (the average of 3 earlier runs)." in shown


def test_a_run_in_full() -> None:
    shown = run_text(details())
    for part in (
        "file:///host/acme/ledger-api#1",
        "20:11:12  #1  steps  Read setup.py",
        "✗ checks: 1 failed",
        "    ✗ python3 -m unittest: exit 1: FAILED (failures=1)",
        "4,000 tokens  at most $0.01  0.2 s",
        "+   new<U+202E>",
    ):
        assert part in shown


def test_only_the_last_attempts_diff_and_verdict_are_shown() -> None:
    verdict = {"decision": "pass", "reason": "", "children": []}
    attempts = [{"verdict": {**verdict, "name": "first"}}, {"verdict": {**verdict, "name": "second"}}, {"verdict": None}]
    shown = run_text(details(attempts=attempts, artifacts={"diff": ["+one\n", "+two\n"]}))
    assert "second" in shown
    assert "first" not in shown
    assert "+two" in shown
    assert "+one" not in shown


def test_a_run_that_was_never_attempted_is_its_row_alone() -> None:
    bare = details(run=run(pull_request=None), timeline=[], attempts=[], requests=[], artifacts={})
    assert run_text(bare) == text_of(tables.runs_table([bare["run"]]))


def test_an_unexpected_error_is_shown() -> None:
    assert "  ValueError: [x]<U+001B>" in run_text(details(artifacts={"traceback": ["Traceback:\nValueError: [x]\x1b\n"]}))


def test_a_diff_is_coloured_line_by_line() -> None:
    shown = tables.diff_text("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n")
    styles = {shown.plain[span.start : span.end]: span.style for span in shown.spans}
    assert styles["-old"] == "red"
    assert styles["+new"] == "green"
    assert styles["@@ -1 +1 @@"] == "cyan"
    assert styles["--- a/x"] == styles["+++ b/x"] == "bold"


@pytest.mark.parametrize("separator", ["\x85", "\x0c", "\u2028", "\r"])
def test_nothing_but_a_newline_makes_a_line_of_a_diff(separator: str) -> None:
    assert len(tables.diff_text(f"+a{separator}-b\n").plain.splitlines()) == 1


def test_hostile_text_is_neither_markup_nor_control_characters_anywhere() -> None:
    entry = {"at": "2025-11-23T20:11:12", "attempt": 1, "stage": "steps", "message": HOSTILE}
    leaf = {"name": HOSTILE, "decision": "pass", "reason": HOSTILE, "children": []}
    skip = {"repository": HOSTILE, "reason": HOSTILE}
    target = {"repository": HOSTILE, "base": HOSTILE, "head": "", "path": HOSTILE}
    shown = [
        text_of(tables.runs_table([run(HOSTILE, reason=HOSTILE)]), 200),
        text_of(tables.plan_table(plan(targets=[target], skipped=[skip])), 200),
        run_text(
            details(timeline=[entry], attempts=[{"verdict": leaf}], artifacts={"diff": [HOSTILE], "traceback": [HOSTILE]}), 200
        ),
    ]
    for text in shown:
        assert "[bold red]x[/]" in text
        assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, ""),
        (0, ""),
        (49, "0.0 s"),
        (9_949, "9.9 s"),
        (9_999, "10 s"),
        (59_400, "59 s"),
        (59_600, "1:00"),
        (3_723_000, "1:02:03"),
    ],
)
def test_durations(milliseconds: int | None, shown: str) -> None:
    assert tables.duration(milliseconds) == shown


def scheduled(**last: Any) -> dict[str, Any]:
    told = {"slot": "2026-01-12T03:00:00+01:00", "state": "started", "campaign": "c0ffee1234", "reason": "12 targets", **last}
    return {
        "policy": "migrate-to-pyproject",
        "org": "acme",
        "timezone": "Europe/Berlin",
        "schedule": "0 3 * * 1",
        "repository_created": True,
        "template_changed": False,
        "next_at": "2026-01-19T03:04:00+01:00",
        "last": told,
    }


def test_a_schedule_says_when_next_and_what_came_of_it_last() -> None:
    shown = text_of(tables.schedule_table([scheduled(), scheduled() | {"last": None, "next_at": None}]), 200)
    assert "migrate-to-pyproject" in shown
    assert "2026-01-19 03:04" in shown
    assert "2026-01-12 03:00 started c0ffee1234: 12" in words(shown)
    assert "0 3 * * 1," in shown
    assert "repository_created" in shown


def test_what_is_in_use_of_git_and_what_is_refused_is_told() -> None:
    assert text_of(tables.source_line("acme/platform@1", "1", "")).strip() == "policies from git: acme/platform@1 is in use"
    refused = words(text_of(tables.source_line("acme/platform@1", "2" * 40, "a mistake")))
    assert refused.endswith("is in use; 222222222222 is refused: a mistake")
    assert words(text_of(tables.source_line("nothing", "", "there is none"))).endswith("nothing is in use; there is none")
