from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from bot.domain.money import MicroUsd
from bot.ports import Progress
from bot.progress import Board, JsonLinesProgress, RichProgress, SilentProgress, display

EVENTS: list[dict[str, Any]] = [
    {"run": "r_1", "target": "ledger-api", "stage": "checkout", "message": "checkout"},
    {"run": "r_2", "target": "report-cli", "stage": "checkout", "message": "checkout"},
    {"run": "r_1", "target": "ledger-api", "stage": "steps", "message": "Read setup.py", "tool": "Read"},
    {"run": "r_1", "target": "ledger-api", "stage": "steps", "message": "Write pyproject.toml"},
    {"run": "r_2", "target": "report-cli", "stage": "steps", "message": "claude: 900 tokens", "cost_micro_usd": 20_000},
    {
        "run": "r_1",
        "target": "ledger-api",
        "stage": "",
        "message": "#1 Move it",
        "outcome": "published",
        "cost_usd": "0.500000",
    },
]


def board(*events: dict[str, Any], cap: MicroUsd | None = None, total: int = 3) -> Board:
    made = Board("migrate on acme", total, cap)
    for event in events:
        made.hear(event)
    return made


def drawn(shown: Board, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(display(shown))
    return captured.get().splitlines()


def terminal() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=100, force_terminal=True, _environ={"TERM": "xterm-256color"}), file


def pipe() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=40), file


def test_the_display_has_the_bar_the_outcomes_the_money_and_what_is_running() -> None:
    first, outcomes, *running = drawn(board(*EVENTS, cap=MicroUsd(200_000_000)))
    assert "migrate on acme" in first
    assert first.endswith("1/3 $0.52 of $200.00")
    assert outcomes.strip() == "1 published"
    assert [line.split() for line in running] == [["report-cli", "steps", "claude:", "900", "tokens"]]


def test_without_a_cap_there_is_only_the_cost() -> None:
    assert drawn(board(*EVENTS))[0].endswith("1/3 $0.52")


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_the_display_never_wraps(width: int) -> None:
    lines = drawn(board({"run": "r", "target": "t" * 90, "stage": "steps", "message": "m" * 400}), width)
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


def test_a_run_that_was_handed_back_is_not_running_until_it_begins_again() -> None:
    shown = board(EVENTS[0], {"run": "r_1", "stage": "", "message": "handed back: the worker was stopped"})
    assert shown.running == []
    shown.hear(EVENTS[2])
    assert [line.message for line in shown.running] == ["Read setup.py"]


def test_requests_add_up_and_the_runs_own_figure_counts_when_it_is_more() -> None:
    request = {"run": "r_1", "cost_micro_usd": 30_000}
    assert board(request, request).money == "$0.06"
    assert board(request, request, {"run": "r_1", "cost_usd": "0.090000"}).money == "$0.09"
    assert board(request, request, {"run": "r_1", "cost_usd": "0.010000"}).money == "$0.06"


def test_the_same_end_told_twice_counts_once() -> None:
    shown = board(EVENTS[-1], EVENTS[-1])
    assert (shown.ended, shown.money) == (1, "$0.50")


def test_an_event_without_a_run_changes_nothing() -> None:
    assert board({"message": "hello", "cost_usd": "1"}) == board()


def test_hostile_text_is_neither_markup_nor_control_characters() -> None:
    event = {"run": "r", "target": "[red]x[/]", "stage": "steps", "message": "\x1b]0;owned\x07a\n[link=http://x]b\u202e\x9b2J"}
    (line,) = drawn(board(event))[1:]
    assert line.split()[0] == "[red]x[/]"
    assert "[link=http://x]b" in line
    assert line.isprintable()


def test_on_a_terminal_the_display_is_live_and_gone_at_the_end() -> None:
    console, file = terminal()
    progress = RichProgress(console=console)
    progress.start("migrate on acme", 3)
    for event in EVENTS[:4]:
        progress.update(event)
    progress.update({"run": "r_2", "target": "report-cli", "stage": "steps", "message": "\x1b]0;owned\x07"})
    progress.finish()
    text = file.getvalue()
    assert "migrate on acme" in text
    assert "Write pyproject.toml" in text
    assert "\x1b]" not in text
    assert text.endswith("\x1b[2K")
    assert "\x1b[?25h" in text


def test_elsewhere_a_line_for_each_stage_and_each_end() -> None:
    console, file = pipe()
    progress = RichProgress(cap=MicroUsd(2_000_000), console=console)
    progress.start("migrate on acme", 3)
    for event in EVENTS:
        progress.update(event)
    progress.finish()
    assert file.getvalue().splitlines() == [
        "migrate on acme: 3 to do",
        "ledger-api  checkout",
        "report-cli  checkout",
        "ledger-api  steps: Read setup.py",
        "report-cli  steps: claude: 900 tokens",
        "[1/3] ledger-api  published: #1 Move it",
        "migrate on acme: 1 of 3 ended, $0.52 of $2.00",
    ]


def test_plain_lines_hold_no_markup_and_no_control_characters() -> None:
    console, file = pipe()
    progress = RichProgress(console=console)
    progress.start("x", 1)
    progress.update({"run": "r", "target": "a", "stage": "", "outcome": "failed", "reason": "[bold]no[/]\r\x1b[2Joh\nno"})
    assert file.getvalue().splitlines()[1:] == ["[1/1] a  failed: [bold]no[/] oh no"]


def test_a_second_campaign_starts_from_nothing_with_the_same_cap() -> None:
    console, file = pipe()
    progress = RichProgress(cap=MicroUsd(2_000_000), console=console)
    progress.start("first", 1)
    progress.update(EVENTS[-1])
    progress.finish()
    progress.start("second", 5)
    progress.finish()
    assert file.getvalue().splitlines()[-1] == "second: 0 of 5 ended, $0.00 of $2.00"


def test_json_lines_keep_every_key_and_stay_lines() -> None:
    stream = io.StringIO()
    progress = JsonLinesProgress(stream)
    progress.start("migrate", 2)
    progress.update({"run": "r_1", "message": "a\nb\x1b[2J\u2028", "at": datetime(2025, 1, 2, tzinfo=UTC), "outcome": None})
    progress.finish()
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"progress": "start", "title": "migrate", "total": 2},
        {
            "progress": "update",
            "run": "r_1",
            "message": "a\nb\x1b[2J\u2028",
            "at": "2025-01-02 00:00:00+00:00",
            "outcome": None,
        },
        {"progress": "finish"},
    ]


def test_json_lines_and_plain_lines_go_to_stderr_and_silence_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    loud: list[Progress] = [JsonLinesProgress(), RichProgress()]
    for progress in loud:
        _play(progress)
        heard = capsys.readouterr()
        assert heard.out == ""
        assert "ledger-api" in heard.err
    _play(SilentProgress())
    assert capsys.readouterr() == ("", "")


def _play(progress: Progress) -> None:
    progress.start("migrate", 2)
    for event in EVENTS:
        progress.update(event)
    progress.finish()
