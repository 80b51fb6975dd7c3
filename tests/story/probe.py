"""Says what can be reached from where it runs. It travels into a repository, so it needs Python alone.

    python3 probe.py PORT ADDRESSES PATHS ROOTS SECRET...

prints a JSON object: what each look-out found. ADDRESSES, PATHS and ROOTS (folders to look through) are lists with commas. A
secret is given in two halves, `begin+end`, so that looking for it does not put it where it is looked for.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

LARGEST = 10_000_000
NAMES = ("example.com", "api.anthropic.com")


def main(port: str, addresses: str, paths: str, roots: str, *halves: str) -> None:
    files = list(files_below(roots.split(",")))
    secrets = ["".join(half.split("+")).encode() for half in halves]
    found = {
        "connected": [each for each in addresses.split(",") if succeeds(partial(connect, each, int(port)))],
        "resolved": [name for name in NAMES if succeeds(partial(socket.getaddrinfo, name, 443))],
        "seen": [path for path in paths.split(",") if succeeds(partial(look_at, Path(path)))],
        "sockets": [str(file) for file in files if file.is_socket()],
        "told": [str(file) for file in [*processes(), *files] if any(secret in content(file) for secret in secrets)],
    }
    print(json.dumps(found))  # noqa: T201


def connect(address: str, port: int) -> None:
    socket.create_connection((address, port), 3).close()


def look_at(path: Path) -> None:
    """Raises OSError for what is not there, or may not be read."""
    if path.is_dir():
        list(path.iterdir())
    else:
        path.open("rb").close()


def processes() -> list[Path]:
    """The environment and the command line of every process."""
    return [*Path("/proc").glob("[0-9]*/environ"), *Path("/proc").glob("[0-9]*/cmdline")]


def files_below(roots: list[str]) -> Iterator[Path]:
    for root in roots:
        for place, _, names in os.walk(root):
            yield from (Path(place) / name for name in names)


def content(file: Path) -> bytes:
    try:
        readable = file.is_file() and not file.is_symlink() and file.stat().st_size < LARGEST
        return file.read_bytes() if readable else b""
    except OSError:
        return b""


def succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
