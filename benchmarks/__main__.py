"""`python -m benchmarks`: run all of it and write docs/benchmarks.md."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from benchmarks import changes, claude, report
from benchmarks.organization import build

ROOT = Path(__file__).parent.parent


@click.command()
@click.option("--repositories", default=100, show_default=True, help="How many to change with a template.")
@click.option("--attempts", default=12, show_default=True, help="How many to let Claude Code change.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--all-repos", type=Path, default=ROOT / ".venv-bench" / "bin", help="The folder with all-repos' commands.")
@click.option("--output", type=Path, default=ROOT / "docs" / "benchmarks.md", show_default=True)
def main(repositories: int, attempts: int, rounds: int, all_repos: Path, output: Path) -> None:
    """Measure, and write what was measured."""
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as scratch:
        organization = Path(scratch) / "organization"
        click.echo(f"Building {max(repositories, attempts)} repositories ...")
        names = build(organization, max(repositories, attempts))
        everyone = changes.contestants(all_repos.absolute())
        loads = [os.getloadavg()[0]]
        click.echo("Counting git commands; nothing is timed yet ...")
        git = changes.count_git(organization, names[:repositories], everyone)
        click.echo(f"A template change, {rounds} rounds ...")
        loads.append(os.getloadavg()[0])
        template = changes.compete(organization, names[:repositories], everyone, rounds)
        click.echo(f"Claude Code, {rounds} rounds ...")
        loads.append(os.getloadavg()[0])
        agent = claude.compete(organization, names[:attempts], rounds)
        loads.append(os.getloadavg()[0])
        report.write(output, report.Setting(repositories, attempts, rounds, Path(scratch), loads), template, git, agent)
    click.echo(f"Written: {output}")


main()
