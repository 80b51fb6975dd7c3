"""init, doctor, db upgrade."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.markup import escape

from bot.cli.common import as_json, console, print_json
from bot.config import Settings, claude_binary, packaged, prepare_home
from bot.errors import UsageError, WhimbrelError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def init(folder: Path) -> None:
    """Write policies/ and templates/ into FOLDER, to start from. What is there already is kept."""
    for name, (written, kept) in write_starters(folder).items():
        click.echo(f"{folder / name}: {written} files written, {kept} kept as they were")
    click.echo("Next: name your org and its host in policies/orgs/, then `whimbrel doctor` and `whimbrel plan`.")


def write_starters(folder: Path) -> dict[str, tuple[int, int]]:
    """Copy the packaged policies and templates below `folder`; return how many files were written and kept, by name."""
    counts = {}
    for name in ("policies", "templates"):
        root = packaged(name)
        written = [_copy(file, folder / name / file.relative_to(root)) for file in sorted(root.rglob("*")) if file.is_file()]
        counts[name] = (sum(written), len(written) - sum(written))
    return counts


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of doctor's found; `mend` is empty where nothing is wrong."""

    subject: str
    fine: bool
    found: str
    mend: str = ""


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check what the bot needs on this machine, and name the mend for what is missing."""
    settings = Settings.from_environment()
    prepare_home(settings.home)
    findings = list(examine(settings))
    if as_json:
        print_json([{"subject": f.subject, "fine": f.fine, "found": f.found, "mend": f.mend} for f in findings])
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.fine else "[red]✗[/]"
            console().print(f"{mark} [bold]{finding.subject}[/]: {escape(finding.found)}", soft_wrap=True)
            if finding.mend:
                console().print(f"  mend: {escape(finding.mend)}", soft_wrap=True)
    return 0 if all(finding.fine for finding in findings) else 1


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this version's; safe to repeat."""
    from bot.store.database import Database

    settings = Settings.from_environment()
    prepare_home(settings.home)
    database = Database(settings.database_url)
    database.upgrade()
    database.dispose()
    click.echo("the database is up to date")


def examine(settings: Settings) -> Iterator[Finding]:
    """Each check in its turn; one that fails does not keep the next from being made."""
    checks: dict[str, Callable[[Settings], str]] = {
        "python": lambda _: sys.version.split()[0],
        "git": _git,
        "sandbox": _sandbox,
        "Claude Code": _claude,
        "database": _database,
        "redis": _redis,
        "policies": _policies,
        "model key": _key,
    }
    for subject, check in checks.items():
        yield _finding(subject, partial(check, settings))
    yield from _examine_hosts(settings)


def _examine_hosts(settings: Settings) -> Iterator[Finding]:
    from bot.cli.common import load
    from bot.cli.doctor_github import checks, fork_owners, instances

    try:
        orgs = load(settings).orgs.values()
    except WhimbrelError:  # what is wrong with the policies was told before
        return
    for url, names in instances(orgs).items():
        yield from _examine_host(url, partial(checks, settings, url, names, fork_owners(orgs, url)))
    for org in orgs:
        if org.host_kind == "gitlab":
            from bot.cli import doctor_gitlab  # python-gitlab takes its time

            yield from _examine_host(org.host_url, partial(doctor_gitlab.checks, settings, org))


def _examine_host(url: str, checks: Callable[[], Iterator[tuple[str, Callable[[], str]]]]) -> Iterator[Finding]:
    try:
        found = list(checks())
    except WhimbrelError as error:
        yield Finding(url, False, str(error), error.mend)
        return
    for subject, check in found:
        yield _finding(subject, check)


def _finding(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, check())
    except WhimbrelError as error:
        return Finding(subject, False, str(error), error.mend)


def _git(_: Settings) -> str:
    from git import Git
    from git.exc import GitCommandNotFound

    try:
        return str(Git().version())
    except GitCommandNotFound as error:
        raise UsageError("git is not on PATH", mend="apt-get install git") from error


def _sandbox(_: Settings) -> str:
    from bot.sandbox.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox().check()


def _claude(_: Settings) -> str:
    binary = claude_binary()
    version = binary.with_name("claude.version")
    return f"{version.read_text().strip()} at {binary}" if version.is_file() else str(binary)


def _database(settings: Settings) -> str:
    from bot.config import open_database

    database = open_database(settings)
    database.dispose()
    return f"{'SQLite' if database.is_sqlite else 'PostgreSQL'}, schema up to date"


def _redis(settings: Settings) -> str:
    from bot.queue.connection import connect_briefly
    from bot.queue.server import redis_server

    with redis_server(settings.home, settings.redis_url) as url:
        info = connect_briefly(url).info("server")
    name, version = info.get("server_name", "redis"), info.get("valkey_version") or info.get("redis_version")
    return f"{name} {version}, {'REDIS_URL' if settings.redis_url else 'embedded'}"


def _policies(settings: Settings) -> str:
    from bot.cli.common import load

    found = load(settings)
    return f"{len(found.orgs)} orgs, {len(found.campaigns)} campaigns in {settings.policies}"


def _key(settings: Settings) -> str:
    if not settings.api_key:
        raise UsageError(
            "ANTHROPIC_API_KEY is not set", mend="set it for the workers; policies without a Claude step need none"
        )
    return f"set; requests go to {settings.upstream}"


def _copy(source: Path, to: Path) -> bool:
    if to.exists():
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)
    return True
