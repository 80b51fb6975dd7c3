"""What the commands show to people, made of the same plain values that `--json` prints.

Every text that came from a repository, a host or a model goes through `_text` or `visible`: it is never markup, and no
control character of it reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bot.domain.money import MicroUsd, dollars, micro_usd
from bot.domain.redaction import one_line, visible
from bot.progress import OUTCOME_STYLES, outcome_counts

Row = Mapping[str, Any]

REASON_LIMIT = 500
VERDICT_STYLES = {"pass": ("✓", "green"), "fail": ("✗", "bold red"), "wait": ("…", "yellow")}
WAVE_STYLES = {"waiting": "dim", "open": "cyan", "passed": "green", "halted": "bold red"}
SPENT_STYLES = ((0.95, "bold red"), (0.8, "yellow"), (0.0, "green"))


def runs_table(rows: Sequence[Row]) -> Table:
    """The rows of `runs CAMPAIGN --json`, and their sums. The reason stands below the repository, where there is room."""
    table = _table()
    table.show_footer = len(rows) > 1
    table.add_column("Repository and reason", f"{len(rows)} runs", ratio=1, overflow="fold", min_width=24)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Pull\nrequest", no_wrap=True)
    table.add_column("Files", _number(_sum(rows, "files_changed")), justify="right", no_wrap=True)
    table.add_column("Tokens", _number(_sum(rows, "tokens")), justify="right", no_wrap=True)
    table.add_column("Cost", _money(sum(_cost(row) for row in rows)), justify="right", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            _target(row),
            _outcome(row),
            _pull_request(row["pull_request"]),
            _number(row["files_changed"]),
            _number(row["tokens"]),
            _money(_cost(row)) if _cost(row) else "",
            duration(row["duration_ms"]),
        )
    return table


def status_panel(status: Row) -> Panel:
    """The object of `status CAMPAIGN --json`."""
    rate, average = status["success_rate"], status["avg_duration_ms"]
    facts = _facts(
        ("state", Text(status["state"] + (", and every target has its end" if status.get("finished") else ""))),
        ("policy", _source(status)),
        ("targets", Text(f"{status['targets']:,}")),
        ("outcomes", outcome_counts(status["outcomes"])),
        ("pull requests", _pull_requests(status["pull_requests"]) if status.get("pull_requests") else Text()),
        ("cost", Text(f"{_money(_cost(status))} for {status['tokens']:,} tokens")),
        ("success", Text("nothing attempted yet" if rate is None else f"{rate:.0%} of the attempted runs")),
        ("time", Text("" if average is None else f"{duration(average)} a run, on average")),
        ("waiting", _text(status["waiting"])),
        ("breaker", _breaker(status["breaker"]) if status["breaker"] else Text()),
    )
    title = Text.assemble((status["policy"], "bold"), " on ", (status["org"], "bold"), "  ", (status["id"], "dim"))
    return Panel(facts, title=title, title_align="left", border_style="dim", expand=False)


def waves_table(waves: Sequence[Row]) -> Table:
    """The `waves` of `status CAMPAIGN --json`: how each stands, why, and below the words of those who rejected."""
    table = _table()
    for name in ("Wave", "Targets", "Ended"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Why", ratio=1, overflow="fold")
    for wave in waves:
        said = Text("\n").join([_text(wave["reason"]), *(_text(f"  {each}") for each in wave["objections"])])
        state = Text(wave["state"], style=WAVE_STYLES[wave["state"]])
        table.add_row(str(wave["number"]), f"{wave['targets']:,}", f"{wave['ended']:,}", state, said)
    return table


def _source(found: Row) -> Text:
    """Where a campaign's policy is from; nothing, where that is the operator's disk."""
    return _text(f"revision {found['revision']} from {found['source']}") if found["source"] else Text()


def campaigns_table(statuses: Sequence[Row]) -> Table:
    """A line for each object of `status --json`."""
    table = _table()
    table.add_column("Campaign", no_wrap=True)
    table.add_column("Policy", overflow="fold", max_width=24)
    table.add_column("Org", overflow="fold", max_width=16)
    table.add_column("State", no_wrap=True)
    table.add_column("Outcomes", ratio=1)
    table.add_column("Cost", justify="right", no_wrap=True)
    for status in statuses:
        table.add_row(
            status["id"],
            status["policy"],
            status["org"],
            status["state"],
            outcome_counts(status["outcomes"]),
            _money(_cost(status)),
        )
    return table


def breaker_line(org: str, breaker: Row | None) -> Text:
    """How the way to the model stands for an org: the `breaker` of `status --json`."""
    stands = _breaker(breaker) if breaker else Text("not known, for no Redis answers", style="dim")
    return Text.assemble("circuit breaker of ", _text(org), ": ", stands)


def left_alone_line(org: str, left_alone: Sequence[Row]) -> Text:
    """The repositories of an org that people have the bot leave alone: `left_alone` of `status --json`."""
    each = (f"{visible(one['repository'])} ({visible(one['actor'])}, {visible(one['place'])})" for one in left_alone)
    return Text(f"left alone on {visible(org)}: {', '.join(each)}")


def _pull_requests(counted: Mapping[str, int]) -> Text:
    """Such as: 3 open (1 with failed checks), 2 merged."""
    words = {"checks_failed": "failed checks", "changes_requested": "changes asked for", "conflicts": "conflicts"}
    ways = [f"{counted[name]} with {word}" for name, word in words.items() if counted[name]]
    states = [f"{counted[state]} {state}" for state in ("open", "merged", "closed") if counted[state]]
    if ways and counted["open"]:
        states[0] += f" ({', '.join(ways)})"
    return Text(", ".join(states))


def deliveries_line(counted: Mapping[str, int]) -> Text:
    """What became of the webhooks that were delivered, by state; what still waits comes first."""
    words = {"received": "waiting", "failed": "failed", "done": "handled", "ignored": "not for the bot"}
    return Text("webhooks: " + ", ".join(f"{counted[state]} {word}" for state, word in words.items() if state in counted))


def quota_table(rows: Sequence[Row]) -> Table:
    """The rows of `quota --json`, with what is left."""
    table = _table()
    table.add_column("Org", ratio=1, overflow="fold")
    table.add_column("Month", no_wrap=True)
    for name in ("Allowance", "Spent", "Reserved", "Left", "Used"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cap, spent, reserved = (micro_usd(row[key]) for key in ("cap_usd", "spent_usd", "reserved_usd"))
        used = (spent + reserved) / cap if cap else 1.0
        style = next(style for share, style in SPENT_STYLES if used >= share)
        left = MicroUsd(max(0, cap - spent - reserved))
        money = [_money(amount) for amount in (cap, spent, reserved, left)]
        table.add_row(_text(row["org"]), row["period"], *money, Text(f"{used:.1%}", style=style))
    return table


def schedule_table(rows: Sequence[Row]) -> Table:
    """The rows of `schedule --json`. Times are in each org's time zone."""
    table = _table()
    table.add_column("Policy and org", ratio=2, overflow="fold", min_width=22)
    table.add_column("Starts by", overflow="fold", max_width=20)
    table.add_column("Next", no_wrap=True)
    table.add_column("Last", ratio=3, overflow="fold")
    for row in rows:
        causes = [row["schedule"], *(cause for cause in ("repository_created", "template_changed") if row[cause])]
        table.add_row(
            Text.assemble(_text(row["policy"]), (f"\n{visible(row['org'])}, {row['timezone']}", "dim")),
            _text(", ".join(filter(None, causes))),
            _minute(row["next_at"]),
            _last(row["last"]) if row["last"] else "",
        )
    return table


def _last(last: Row) -> Text:
    came = " ".join(filter(None, (_minute(last["slot"]), last["state"], last["campaign"])))
    return _text(f"{came}: {last['reason']}" if last["reason"] else came)


def source_line(in_use: str, seen: str, problem: str) -> Text:
    """What is in use of an org's own policies, and what is wrong with what was read last."""
    said = Text.assemble("policies from git: ", _text(in_use), " is in use")
    wrong = f"{seen[:12]} is refused: {problem}" if seen else problem
    return said if not problem else said + Text.assemble("; ", _text(wrong), style="yellow")


def _minute(instant: str | None) -> str:
    return "" if instant is None else instant[:16].replace("T", " ")


def plan_table(plan: Row) -> Group:
    """The object of `plan --json`: targets first, then skips with their reasons, and what it may cost."""
    table = _table()
    table.add_column("Repository", overflow="fold", max_width=40)
    table.add_column("Base", overflow="fold", max_width=20)
    table.add_column("Decision", ratio=1, overflow="fold")
    for target in plan["targets"]:
        name = f"{target['repository']}/{target['path']}" if target["path"] else target["repository"]
        table.add_row(_text(name), _text(target["base"]), Text("target", style="green"))
    for skip in plan["skipped"]:
        reason = Text.assemble(("skipped: ", "yellow"), _text(skip["reason"]))
        table.add_row(Text(one_line(skip["repository"]), style="dim"), "", reason)
    return Group(table, Padding(_estimate(plan), (0, 2)))


def estimate_panel(found: Row) -> Panel:
    """The object of `estimate --json`."""
    facts = _facts(
        ("targets", Text(f"{found['targets']:,}, and {found['skipped']:,} skipped")),
        ("expected", Text(_money(micro_usd(found["usd_expected"])), style="bold")),
        ("p50", Text(f"{_money(micro_usd(found['usd_p50']))} if each run costs what half of them do not exceed")),
        ("p90", Text(f"{_money(micro_usd(found['usd_p90']))} if each run costs what nine in ten do not exceed")),
        ("at most", Text(f"{_money(micro_usd(found['usd_at_most']))} by the policy's budgets")),
        ("basis", _text(found["basis"])),
    )
    title = Text.assemble((found["policy"], "bold"), " on ", (found["org"], "bold"))
    return Panel(facts, title=title, title_align="left", border_style="dim", expand=False)


def print_run(console: Console, found: Row) -> None:
    """The object of `show RUN --json`: what it came to, its timeline, checks, requests and diff."""
    console.print(runs_table([found["run"]]))
    if found["campaign"]["source"]:
        console.print(Padding(_source(found["campaign"]), (0, 2)))
    for title, section in _sections(found):
        console.print(Rule(title, align="left", style="dim"))
        console.print(Padding(section, (0, 2)))


def diff_text(diff: str) -> Text:
    """A unified diff in colours. A character that does not show as itself is spelled out: nothing hides from a reviewer."""
    return Text("\n").join(Text(line, style=_diff_style(line)) for line in visible(diff).rstrip("\n").split("\n"))


def duration(milliseconds: int | None) -> str:
    """`0.4 s`, `12 s`, `3:05`, `1:02:03`; empty for None and for 0, which took no attempt."""
    if not milliseconds:
        return ""
    if milliseconds < 9_950:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}" if minutes else f"{seconds} s"


def _sections(found: Row) -> Iterable[tuple[str, RenderableType]]:
    if found["run"]["pull_request"]:
        yield "pull request", _text(found["run"]["pull_request"]["url"])
    if found["timeline"]:
        yield "timeline", _timeline(found["timeline"])
    if found.get("pull_request_timeline"):
        yield "pull request, since it was opened", _followed(found["pull_request_timeline"])
    verdicts = [attempt["verdict"] for attempt in found["attempts"] if attempt["verdict"]]
    if verdicts:
        yield "verdict", Text("\n").join(_verdict_lines(verdicts[-1]))
    if found["requests"]:
        yield "requests to the model", _requests(found["requests"])
    for traceback in found["artifacts"].get("traceback", []):
        yield "error", Text(visible(traceback))
    for report in found["artifacts"].get("report", [])[-1:]:
        yield "report", Text(visible(report).rstrip())
    for diff in found["artifacts"].get("diff", [])[-1:]:
        yield "diff", diff_text(diff)


def _followed(events: Sequence[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for event in events:
        said = Text.assemble(_text(event["kind"]), (f" by {visible(event['actor'])}" if event["actor"] else "", "dim"))
        grid.add_row(Text(event["at"][:16].replace("T", " "), style="dim"), said, _text(one_line(event["words"], REASON_LIMIT)))
    return grid


def _timeline(entries: Sequence[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for entry in entries:
        clock_time = entry["at"][11:19]
        grid.add_row(clock_time, f"#{entry['attempt']}", entry["stage"], _text(entry["message"]))
    return grid


def _verdict_lines(verdict: Row, depth: int = 0) -> Iterable[Text]:
    mark, style = VERDICT_STYLES[verdict["decision"]]
    yield Text.assemble("  " * depth, (mark, style), " ", _text(verdict["name"]), ": ", _text(verdict["reason"]))
    for child in verdict["children"]:
        yield from _verdict_lines(child, depth + 1)


def _requests(requests: Sequence[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold")
    for _ in range(3):
        grid.add_column(justify="right", no_wrap=True)
    for request in requests:
        cost = _money(_cost(request))
        shown = f"at most {cost}" if request["estimated"] else cost
        grid.add_row(_text(request["model"]), f"{request['tokens']:,} tokens", shown, duration(request["latency_ms"]))
    return grid


def _breaker(breaker: Row) -> Text:
    style = {"closed": "green", "open": "bold red", "half-open": "yellow"}[breaker["state"]]
    times = [f"{name} {breaker[name]}" for name in ("since", "until") if breaker[name]]
    said = Text(" ".join([breaker["state"], *times]), style=style)
    return Text.assemble(said, ": ", _text(breaker["reason"])) if breaker["reason"] else said


def _target(row: Row) -> RenderableType:
    name = Text.assemble(_text(row["target"]), "  ", (row["id"], "dim"))
    return (
        Group(name, Padding(Text(one_line(row["reason"], REASON_LIMIT), style="dim"), (0, 0, 0, 2))) if row["reason"] else name
    )


def _outcome(row: Row) -> Text:
    """The outcome; for a run that goes on, the stage that it is in, or its state."""
    if row["outcome"] is None:
        return Text(row["stage"] or row["state"], style="cyan")
    return Text(row["outcome"], style=OUTCOME_STYLES.get(row["outcome"], ""))


def _pull_request(pull_request: Row | None) -> Text:
    if pull_request is None:
        return Text("")
    return Text(f"#{pull_request['number']} {pull_request['state']}")


def _estimate(plan: Row) -> Text:
    estimate = plan["estimate"]
    expected, at_most = (_money(micro_usd(estimate[key])) for key in ("usd_expected", "usd_at_most"))
    targets = len(plan["targets"])
    counts = f"{targets} target{'' if targets == 1 else 's'}, {len(plan['skipped'])} skipped. "
    return Text(f"{counts}Expected cost {expected}, at most {at_most} ({estimate['basis']}).")


def _facts(*facts: tuple[str, Text]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(name, value)
    return grid


def _table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD, header_style="bold", footer_style="bold", padding=(0, 1, 0, 0), pad_edge=False, expand=True
    )


def _text(text: object) -> Text:
    return Text(one_line(str(text), REASON_LIMIT))


def _sum(rows: Sequence[Row], key: str) -> int:
    return sum(row[key] or 0 for row in rows)


def _number(value: int | None) -> str:
    """Empty for none; millions in short."""
    if not value:
        return ""
    return f"{value:,}" if value < 1_000_000 else f"{value / 1_000_000:.2f}M"


def _cost(row: Row) -> int:
    return micro_usd(row["cost_usd"])


def _money(amount: int) -> str:
    return dollars(MicroUsd(amount))


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
