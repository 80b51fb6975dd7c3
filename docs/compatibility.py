"""Writes docs/host-compatibility.md from what the conformance suite finds on each host: `make compatibility`."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from bot import ports
from bot.hosts.github import GitHubHost
from bot.hosts.gitlab import GitLabHost
from bot.hosts.local import LocalHost
from tests.fakes.lacks import LACKS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "host-compatibility.md"
SUITES = [f"tests/conformance/test_{name}.py" for name in ("host", "conversation", "following")]
HOSTS: Mapping[str, type] = {"local": LocalHost, "github": GitHubHost, "gitlab": GitLabHost}
NAMES = {"local": "local", "github": "GitHub", "gitlab": "GitLab"}
ABILITIES = (
    ports.Host, ports.Conversation, ports.ReadsInBulk, ports.FollowsPullRequests, ports.DecidesPullRequests, ports.Forks,
    ports.VerifiedCommits, ports.KnowsProperties, ports.KnowsTeams, ports.KeepsIssues,
)  # fmt: skip
HEAD = """# What each host has

Made by `make compatibility`, from what the conformance suite found; `tests/unit/test_host_compatibility.py` holds that it is
current. GitHub and GitLab are stateful fakes there, held against the hosts' own descriptions of their APIs.

## Abilities

A policy that asks for one that a host has not does without it, or says so: each is optional but for the first two.
"""

Found = Mapping[str, Mapping[str, bool]]
"""By `Class::test` or `::test`, by kind of host: did it pass, as whoever the bot was there?"""


def run() -> Found:
    """The suite, as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.xml"
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={file}", *SUITES]
        subprocess.run(pytest, cwd=ROOT, check=False)
        cases = ElementTree.parse(file).getroot().iter("testcase")  # noqa: S314 - written just now
        return gather((f"{case.get('classname')}::{case.get('name')}", len(case) == 0) for case in cases)


def gather(cases: Iterable[tuple[str, bool]]) -> Found:
    found: dict[str, dict[str, bool]] = {}
    for name, passed in cases:
        place, _, test = name.rpartition("::")
        group = next((part for part in re.split(r"[.:]+", place) if part.startswith("Test")), "")
        function, _, arguments = test.rstrip("]").partition("[")
        kind = next((kind for kind in HOSTS if re.search(rf"(^|[-\[]){kind}", arguments)), None)
        if kind is not None:
            known = found.setdefault(f"{group}::{function}", {})
            known[kind] = known.get(kind, True) and passed
    return found


def page(found: Found) -> str:
    lines = [HEAD, _row("", *NAMES.values()), _rule()]
    lines += [_row(_what(ability), *(_has(host, ability) for host in HOSTS.values())) for ability in ABILITIES]
    group = ""
    for name, hosts in found.items():
        heading, _, test = name.partition("::")
        if heading != group or not lines:
            group = heading
            lines += ["", f"## {_heading(heading)}", "", _row("", *NAMES.values()), _rule()]
        lines.append(_row(_words(test), *(_cell(kind, test, hosts) for kind in HOSTS)))
    return "\n".join(lines) + "\n"


def _cell(kind: str, test: str, hosts: Mapping[str, bool]) -> str:
    if not hosts.get(kind, False):
        return "**fails**" if kind in hosts else "not tried"
    return next((lack.words for lack in LACKS[kind].values() if lack.test == test), "yes")


def _has(host: type, ability: type) -> str:
    methods = [name for name, _ in inspect.getmembers(ability) if not name.startswith("_")]
    return "yes" if all(hasattr(host, name) for name in methods) else "no"


def _what(ability: type) -> str:
    said = inspect.getdoc(ability) or ""
    return f"`{ability.__name__}`: {said.splitlines()[0].rstrip('.')}"


def _heading(group: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", group.removeprefix("Test"))
    return words.capitalize() if words else "The rest"


def _words(test: str) -> str:
    words = test.removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule() -> str:
    return "|---|" + "---|" * len(NAMES)


if __name__ == "__main__":
    PAGE.write_text(page(run()), encoding="utf-8")
