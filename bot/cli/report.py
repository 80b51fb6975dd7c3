"""report: what a campaign that makes reports has found, as one document or a file a repository."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from bot.cli.common import as_json
from bot.config import Settings, assemble
from bot.domain.markdown import cell, fenced
from bot.domain.money import dollars, micro_usd
from bot.domain.redaction import visible
from bot.errors import ChangeRefused, UsageError
from bot.git import write_file
from bot.pipeline.gathering import Gathered, Gathering, gather, places


@click.command(
    epilog="""\b
Examples:
  whimbrel report c0ffee1234
  whimbrel report c0ffee1234 --json | jq '.repositories[] | select(.report == null) | .reason'
  whimbrel report c0ffee1234 --output findings.md
  whimbrel report c0ffee1234 --output findings/        (each report by its own path)"""
)
@click.argument("campaign")
@click.option("--output", metavar="FILE|DIR", help="Write it there; a DIR is there already, or ends with a slash.")
@click.option("--format", "kind", type=click.Choice(["md", "json"]), help="Default: as the file's name ends, else md.")
@as_json
def report(campaign: str, output: str | None, kind: str | None, as_json: bool) -> None:
    """The reports of a CAMPAIGN whose policy has `output:`, and why a repository has none."""
    folder = Path(output) if output and (output.endswith("/") or Path(output).is_dir()) else None
    if folder and (kind or as_json):
        raise UsageError("a folder gets each report as it is", mend="leave out --format and --json")
    with assemble(Settings.from_environment()) as services:
        found = gather(services, campaign)
    if folder:
        written = write_reports(folder, found.runs)
        click.echo(f"{written} report{'' if written == 1 else 's'} written to {folder}")
    elif as_json or kind == "json" or (kind is None and output and output.endswith(".json")):
        _put(json.dumps(report_json(found), indent=2, ensure_ascii=False) + "\n", output)
    else:
        _put(document(found) if output else visible(document(found)), output)


def report_json(found: Gathering) -> dict[str, Any]:
    """The contract of `report --json`; `report` is a text, the value of one in JSON, or null where there is none."""
    is_json = found.output.format == "json"
    return {
        "campaign": found.campaign.id,
        "policy": found.campaign.policy.name,
        "repositories": [
            {
                "name": each.name,
                "outcome": each.row["outcome"],
                "reason": each.reason,
                "cost_usd": each.row["cost_usd"],
                "report": json.loads(each.text) if each.text is not None and is_json else each.text,
            }
            for each in found.runs
        ],
    }


def document(found: Gathering) -> str:
    """One Markdown document: outcomes and cost first, then each report below its repository's name.

    Reports are quoted or fenced: no heading of one can pass for another repository's.
    """
    return "\n".join([*_overview(found), *(line for each in found.runs for line in _section(each, found.output.format))])


def write_reports(folder: Path, found: Sequence[Gathered]) -> int:
    """Each report by its path below the folder, following no link; how many. Raises UsageError."""
    by_path = places(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, each in by_path.items():
            write_file(folder, path, (each.text or "").encode())
    except (OSError, ChangeRefused) as error:
        raise UsageError(f"--output {folder} cannot be written: {error}") from error
    return len(by_path)


def _overview(found: Gathering) -> Iterator[str]:
    campaign, policy = found.campaign, found.campaign.policy
    spent = micro_usd(sum((Decimal(each.row["cost_usd"]) for each in found.runs), Decimal(0)))
    made = sum(each.text is not None for each in found.runs)
    yield f"# {policy.name} on {campaign.org}\n"
    yield f"{policy.description}\n"
    yield f"Campaign `{campaign.id}`: {made} of {len(found.runs)} repositories have a report, for {dollars(spent)}.\n"
    yield "| Repository | Outcome | Cost | Reason |"
    yield "|---|---|--:|---|"
    for each in found.runs:
        outcome = each.row["outcome"] or each.row["state"]
        yield f"| {cell(each.name)} | {outcome} | {dollars(micro_usd(each.row['cost_usd']))} | {cell(each.reason)} |"
    yield ""


def _section(each: Gathered, kind: str) -> Iterator[str]:
    if each.text is None:
        return
    yield f"## {cell(each.name)}\n"
    yield textwrap.indent(each.text.strip(), "> ", lambda _: True) if kind == "md" else fenced(each.text, kind)
    yield ""


def _put(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror}") from error
