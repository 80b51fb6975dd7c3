"""A generated organization of small repositories: the same bytes for the same name, on every machine."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

FILES, COMMITS, LINES = 60, 40, 100
WORKFLOW = ".github/workflows/ci.yml"
ORG = "acme"

_BEGAN = 1_600_000_000
_FOLDERS = ("src", "src/core", "src/api", "tests", "docs", "scripts")
_SYLLABLES = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]
_NOBODYS_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def build(folder: Path, count: int) -> list[str]:
    """Make `count` bare repositories NAME.git in `folder`, and return their names."""
    folder.mkdir(parents=True)
    names = [f"service-{number:03d}" for number in range(count)]
    for name in names:
        _build(folder / f"{name}.git", name)
    return names


def workflow(name: str, version: str) -> str:
    """The file that the benchmark changes, with the `version` of one action in it."""
    return (
        f"name: CI\non: [push, pull_request]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n"
        f"      - uses: actions/checkout@{version}\n      - run: make test  # {name}\n"
    )


def _build(bare: Path, name: str) -> None:
    environment = os.environ | _NOBODYS_CONFIGURATION
    subprocess.run(["git", "init", "-q", "--bare", "--template=", "-b", "main", bare], env=environment, check=True)
    history = b"".join(_history(name))
    subprocess.run(["git", "-C", bare, "fast-import", "--quiet"], input=history, env=environment, check=True)
    subprocess.run(["git", "-C", bare, "pack-refs", "--all"], env=environment, check=True)


def _history(name: str) -> Iterator[bytes]:
    """For git fast-import: a first commit of all files, then commits that each change up to four of them."""
    chance = random.Random(name)
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(800)]

    def line() -> str:
        return " " * 4 * chance.randint(0, 3) + " ".join(chance.choices(words, k=chance.randint(1, 8))) + "\n"

    files = {WORKFLOW: [workflow(name, "v3")], "README.md": [f"# {name}\n"]}
    for number in range(FILES - len(files)):
        path = f"{chance.choice(_FOLDERS)}/{chance.choice(words)}_{number}.py"
        files[path] = [line() for _ in range(chance.randint(LINES // 4, LINES * 2))]
    changeable = sorted(files.keys() - {WORKFLOW})
    yield _commit(0, files)
    for number in range(1, COMMITS):
        changed = chance.sample(changeable, chance.randint(1, 4))
        for path in changed:
            files[path].insert(chance.randrange(len(files[path])) + 1, line())
        yield _commit(number, {path: files[path] for path in changed})


def _commit(number: int, files: dict[str, list[str]]) -> bytes:
    message = f"Change {number}\n".encode()
    head = b"commit refs/heads/main\ncommitter Dev <dev@example.org> %d +0000\ndata %d\n%s"
    return head % (_BEGAN + number * 3600, len(message), message) + b"".join(
        b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)
        for path, content in ((path, "".join(lines).encode()) for path, lines in files.items())
    )
