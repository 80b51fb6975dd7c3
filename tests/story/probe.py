"""Says what can be reached from where it runs. It travels into a repository, so it needs Python alone.

    python3 probe.py PORT HOME SECRET...

prints one JSON object a line: what was found by each look-out. A secret is given in two halves, `begin+end`, so that looking
for it does not put it where it is looked for.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LOOKED_THROUGH = ("/etc", "/home", "/root", "/run", "/tmp", "/var", "/workspace")
LARGEST = 10_000_000


def connected(port: int, addresses: list[str]) -> list[str]:
    """The addresses of the host on which its port answers."""
    return [address for address in addresses if succeeds(lambda: socket.create_connection((address, port), 3).close())]  # noqa: B023


def resolved() -> list[str]:
    names = ("example.com", "api.anthropic.com")
    return [name for name in names if succeeds(lambda: socket.getaddrinfo(name, 443))]  # noqa: B023


def seen(paths: list[str]) -> list[str]:
    """Those of the host's paths that can be listed or read."""
    return [path for path in paths if succeeds(lambda: os.listdir(path) if os.path.isdir(path) else open(path).close())]  # noqa: B023, PTH


def sockets() -> list[str]:
    return sorted(str(path) for path in files() if succeeds(path.is_socket) and path.is_socket())


def told(secrets: list[bytes]) -> list[str]:
    """Where a secret is: in a process' environment or command line, or in a file."""
    places = [*Path("/proc").glob("[0-9]*/environ"), *Path("/proc").glob("[0-9]*/cmdline"), *files()]
    return sorted(str(place) for place in places if any(secret in content(place) for secret in secrets))


def files() -> Iterator[Path]:
    for root in LOOKED_THROUGH:
        for place, _, names in os.walk(root):
            yield from (Path(place) / name for name in names)


def content(path: Path) -> bytes:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            return b""
        return path.read_bytes()
    except OSError:
        return b""


def succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


def main(port: str, addresses: str, paths: str, *halves: str) -> None:
    secrets = ["".join(half.split("+")).encode() for half in halves]
    found = {
        "connected": connected(int(port), addresses.split(",")),
        "resolved": resolved(),
        "seen": seen(paths.split(",")),
        "sockets": sockets(),
        "told": told(secrets),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
