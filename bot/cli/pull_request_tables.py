"""How pull requests are shown to people, made of the plain values that `prs --json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bot.cli.tables import REASON_LIMIT, Row
from bot.domain.redaction import one_line

STATE_STYLES = {"open": "green", "merged": "magenta", "closed": "red"}
CHECK_STYLES = {"passed": "green", "failed": "bold red", "pending": "yellow"}
REVIEW_STYLES = {"approved": "green", "changes_requested": "bold red"}


def pull_requests_table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Repository", overflow="fold", ratio=1, min_width=16)
    table.add_column("Pull request", no_wrap=True)
    table.add_column("Checks", no_wrap=True)
    table.add_column("Review", no_wrap=True)
    table.add_column("What else", overflow="fold", ratio=2)
    for row in rows:
        table.add_row(
            Text(one_line(row["repository"], REASON_LIMIT)),
            Text(f"#{row['number']} {row['state']}", style=STATE_STYLES.get(row["state"], "")),
            Text(row["checks"], style=CHECK_STYLES.get(row["checks"], "")),
            Text(row["review"].replace("_", " "), style=REVIEW_STYLES.get(row["review"], "")),
            Text(one_line("; ".join(_else(row)), REASON_LIMIT)),
        )
    return table


def _else(row: Row) -> Iterator[str]:
    if row["draft"]:
        yield "a draft"
    if row["conflicts"]:
        yield f"conflicts with {row['base']}"
    if row["edited"]:
        yield f"{row['edited']} commit{'s' if row['edited'] != 1 else ''} by people"
    if row["frozen"]:
        yield row["frozen"]
    if row["closed_by"]:
        yield f"{row['state']} by {row['closed_by']}"
    if row["closed_reason"]:
        yield row["closed_reason"]
