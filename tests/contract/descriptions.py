"""GitHub's own descriptions of its API, as it publishes them on npm: fetched once a machine, checked against a pinned digest.

They are kept in `$XDG_CACHE_HOME/whimbrel-tests` (or ~/.cache/whimbrel-tests). Fetching needs npm on PATH; what is kept needs
nothing.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema, build_ast_schema, parse

FETCH_SECONDS = 150


class Unavailable(Exception):
    """A description is neither kept nor to be fetched; the message says why."""


@dataclass(frozen=True)
class Description:
    """A file of a package at a version. `integrity` is the tarball's, as the registry and lock files have it."""

    package: str
    version: str
    integrity: str
    member: str

    @property
    def kept(self) -> Path:
        name = f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}-{Path(self.member).name}"
        return cache_folder() / name


REST = Description(
    "@octokit/openapi",
    "23.0.2",
    "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    "generated/api.github.com.json",
)
GRAPHQL = Description(
    "@octokit/graphql-schema",
    "15.26.1",
    "sha512-RFDC2MpRBd4AxSRvUeBIVeBU7ojN/SxDfALUd7iVYOSeEK3gZaqR2MGOysj4Zh2xj2RY5fQAUT+Oqq7hWTraMA==",
    "schema.graphql",
)
WEBHOOKS = Description(
    "@octokit/openapi-webhooks",
    "12.1.0",
    "sha512-Z5eDsLCUNbx1zHpZb1LNQirADqdMTvWJQ/deahi0ws+tWWnwHXB+Pr4jfmM9OrETS9Y5iW8ZRu1fdbudObhLrg==",
    "generated/api.github.com.json",
)
EXAMPLES = Description(
    "@octokit/webhooks-examples",
    "7.6.1",
    "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
    "api.github.com/index.json",
)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whimbrel-tests"


def path(wanted: Description) -> Path:
    """The description's file, fetched where it is not kept yet. Raises Unavailable."""
    if not wanted.kept.exists():
        with _alone():
            if not wanted.kept.exists():
                _fetch(wanted)
    return wanted.kept


@cache
def rest() -> dict[str, Any]:
    return _json(REST)


@cache
def webhooks() -> dict[str, Any]:
    return _json(WEBHOOKS)


@cache
def webhook_examples() -> list[dict[str, Any]]:
    """By event: `name`, and `examples`, which are payloads that GitHub has sent."""
    found: list[dict[str, Any]] = json.loads(path(EXAMPLES).read_bytes())
    return found


def _json(wanted: Description) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path(wanted).read_bytes())
    return found


@cache
def graphql() -> GraphQLSchema:
    document = parse(path(GRAPHQL).read_text(encoding="utf-8"), no_location=True)
    return build_ast_schema(document, assume_valid=True, assume_valid_sdl=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Other test processes wait here, and find what this one has fetched."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(wanted: Description) -> None:
    if shutil.which("npm") is None:
        raise Unavailable(f"{wanted.package}, GitHub's own description, cannot be fetched: npm is not on PATH (install Node)")
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        tarball = _packed(wanted, Path(scratch))
        check(wanted, tarball)
        with tarfile.open(tarball) as archive:
            content = archive.extractfile(f"package/{wanted.member}")
            assert content is not None
            fresh = Path(scratch) / "fresh"
            fresh.write_bytes(content.read())
        fresh.replace(wanted.kept)


def _packed(wanted: Description, scratch: Path) -> Path:
    command = ["npm", "pack", "--silent", f"{wanted.package}@{wanted.version}"]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm pack {wanted.package} took more than {FETCH_SECONDS} seconds") from None
    except subprocess.CalledProcessError as failed:
        raise Unavailable(f"npm pack {wanted.package}@{wanted.version} failed: {failed.stderr.strip()[-400:]}") from None
    return next(scratch.glob("*.tgz"))


def check(wanted: Description, tarball: Path) -> None:
    digest = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if digest != wanted.integrity:
        raise ValueError(f"{wanted.package}@{wanted.version} is {digest}, not the pinned {wanted.integrity}")
