"""A repository on a host, its mirror, and a checkout of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.domain.changesets import Changeset
from bot.domain.repositories import Remote
from bot.git import Ceilings, Mirror, Signature, Snapshot, checkout, collect
from tests.fakes import repositories
from tests.fakes.repositories import Files


@dataclass
class Checkout:
    """A commit checked out at `tree`, as an attempt has it."""

    mirror: Mirror
    base: str
    tree: Path
    snapshot: Snapshot

    def collect(self, *paths: str, ceilings: Ceilings | None = None) -> Changeset:
        return collect(
            self.mirror, self.base, self.tree, self.snapshot, paths=paths or ("**",), ceilings=ceilings or Ceilings()
        )


@dataclass
class Origin:
    """A repository as its host has it, and a mirrors folder beside."""

    bare: Path
    mirrors: Path

    @property
    def remote(self) -> Remote:
        return Remote(str(self.bare))

    def commit(self, files: Files, *, branch: str = "main") -> str:
        return repositories.commit(repositories.opened(self.bare), files, branch=branch, start="main")

    def mirror(self) -> Mirror:
        return Mirror.open(self.mirrors, "acme", "tool")

    def checkout(self, tree: Path) -> Checkout:
        mirror = self.mirror()
        base = mirror.fetch(self.remote, ["main"])["main"]
        assert base is not None
        return Checkout(mirror, base, tree, checkout(mirror, base, tree))


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    repositories.make(tmp_path / "host" / "tool.git", {"README.md": b"# Tool\n"})
    return Origin(tmp_path / "host" / "tool.git", tmp_path / "mirrors")


@pytest.fixture
def make_checkout(tmp_path: Path) -> Callable[[Files], Checkout]:
    """A checkout of a new repository that holds just these files."""

    def make(files: Files) -> Checkout:
        repositories.make(tmp_path / "host" / "made.git", files)
        return Origin(tmp_path / "host" / "made.git", tmp_path / "mirrors").checkout(tmp_path / "tree")

    return make


@pytest.fixture
def when() -> Signature:
    return Signature("Whimbrel", "whimbrel@localhost", datetime(2026, 3, 1, 12, 30, 15, 999, timezone(timedelta(hours=-5))))
