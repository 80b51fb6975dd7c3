"""How far a long command is: `bot.ports.Progress` for a terminal, for machines, for nobody.

An event is a mapping; every key is optional, and unknown ones are ignored:

    run, target      which run it is about; an event without a run is about no line of the display
    stage            the stage of its attempt; "" when nothing works on it
    message          what happens just now, one line
    outcome, reason  set once, when the run has ended
    cost_usd         what the run has cost so far, a decimal string
    cost_micro_usd   what one more request to a model cost, in micro-USD

Messages come from repositories and models: they are printed as they are, never as markup, and without control characters.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bot.domain.money import ZERO, MicroUsd, dollars, micro_usd
from bot.domain.redaction import one_line
from bot.domain.states import Outcome

OUTCOME_STYLES: Mapping[str, str] = {
    Outcome.PUBLISHED: "green",
    Outcome.REPORTED: "green",
    Outcome.NO_CHANGE: "cyan",
    Outcome.SKIPPED: "dim",
    Outcome.REJECTED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.BUDGET_EXHAUSTED: "bold magenta",
}


@dataclass(slots=True)
class RunLine:
    """What the display knows of one run."""

    target: str = "?"
    stage: str = ""
    message: str = ""
    outcome: str = ""
    reason: str = ""
    cost: MicroUsd = ZERO

    def hear(self, event: Mapping[str, Any]) -> None:
        self.target = one_line(str(event.get("target") or self.target))
        self.message = one_line(str(event.get("message") or self.message))
        if event.get("stage") is not None:
            self.stage = one_line(str(event["stage"]))
        if event.get("outcome"):
            self.outcome = one_line(str(event["outcome"]))
            self.reason = one_line(str(event.get("reason") or event.get("message") or ""))
        self._charge(event)

    def _charge(self, event: Mapping[str, Any]) -> None:
        requests = self.cost + int(event.get("cost_micro_usd") or 0)
        said = micro_usd(event.get("cost_usd") or 0)
        self.cost = MicroUsd(max(requests, said))


@dataclass(slots=True)
class Board:
    """All that a display shows. `cap` is what the campaign may cost, None where nobody said."""

    title: str = ""
    total: int = 0
    cap: MicroUsd | None = None
    lines: dict[str, RunLine] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any]) -> RunLine | None:
        """Take an event in; return the line of its run."""
        if not event.get("run"):
            return None
        line = self.lines.setdefault(str(event["run"]), RunLine())
        line.hear(event)
        return line

    @property
    def running(self) -> list[RunLine]:
        return [line for line in self.lines.values() if line.stage and not line.outcome]

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(line.outcome for line in self.lines.values() if line.outcome)

    @property
    def ended(self) -> int:
        return self.outcomes.total()

    @property
    def money(self) -> str:
        spent = dollars(MicroUsd(sum(line.cost for line in self.lines.values())))
        return spent if self.cap is None else f"{spent} of {dollars(self.cap)}"


class RichProgress:
    """On a terminal a live display, elsewhere a line whenever a run enters a stage or ends; both on stderr."""

    def __init__(self, cap: MicroUsd | None = None, console: Console | None = None):
        self._console = console or Console(stderr=True, highlight=False)
        self._board = Board(cap=cap)
        self._spinner = Spinner("dots", style="cyan")
        self._lock = Lock()
        self._live: Live | None = None

    def start(self, title: str, total: int) -> None:
        self._board = Board(one_line(title), total, self._board.cap)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        else:
            self._print(f"{self._board.title}: {total} to do")

    def update(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            known = self._board.lines.get(str(event.get("run")))
            before = (known.stage, known.outcome) if known else ("", "")
            line = self._board.hear(event)
        if self._live is None and line is not None and before != (line.stage, line.outcome):
            self._print_line(line)

    def finish(self) -> None:
        if self._live is None:
            self._print(f"{self._board.title}: {self._board.ended} of {self._board.total} ended, {self._board.money}")
        else:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        with self._lock:
            return display(self._board, self._spinner)

    def _print_line(self, line: RunLine) -> None:
        if line.outcome:
            reason = f": {line.reason}" if line.reason else ""
            self._print(f"[{self._board.ended}/{self._board.total}] {line.target}  {line.outcome}{reason}")
        elif line.stage:
            said = f": {line.message}" if line.message != line.stage else ""
            self._print(f"{line.target}  {line.stage}{said}")

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def display(board: Board, spinner: RenderableType = "") -> RenderableType:
    """The bar and the money, how the runs ended, and a line for each run that is being worked on."""
    outcomes = [Padding(outcome_counts(board.outcomes), (0, 2))] if board.ended else []
    return Group(_bar(board, spinner), *outcomes, _running(board))


def _bar(board: Board, spinner: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(max_width=40, no_wrap=True, style="bold")
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    bar = ProgressBar(total=max(board.total, 1), completed=board.ended)
    grid.add_row(spinner, Text(board.title), bar, f"{board.ended}/{board.total}", board.money)
    return grid


def _running(board: Board) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(max_width=30, no_wrap=True)
    grid.add_column(width=8, no_wrap=True, style="cyan")
    grid.add_column(ratio=1, no_wrap=True, style="dim")
    for line in board.running:
        grid.add_row("", Text(line.target), Text(line.stage), Text(line.message))
    return grid


def outcome_counts(outcomes: Mapping[str, int]) -> Text:
    """`5 published · 1 failed`, each in its colour."""
    parts = [Text(f"{number} {outcome}", style=OUTCOME_STYLES.get(outcome, "")) for outcome, number in outcomes.items()]
    return Text(" · ", style="dim").join(parts)


class JsonLinesProgress:
    """One JSON object a line on stderr: `progress` is start, update or finish; an update has the event's own keys besides."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr

    def start(self, title: str, total: int) -> None:
        self._write({"progress": "start", "title": title, "total": total})

    def update(self, event: Mapping[str, Any]) -> None:
        self._write({"progress": "update", **event})

    def finish(self) -> None:
        self._write({"progress": "finish"})

    def _write(self, event: Mapping[str, Any]) -> None:
        print(json.dumps(event, default=str), file=self._stream, flush=True)


class SilentProgress:
    """Says nothing."""

    def start(self, title: str, total: int) -> None: ...
    def update(self, event: Mapping[str, Any]) -> None: ...
    def finish(self) -> None: ...
