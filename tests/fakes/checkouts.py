"""A repository on a host, its mirror, and a checkout of it, as an attempt has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.domain.changesets import Changeset
from bot.domain.repositories import Remote
from bot.git import Ceilings, Mirror, Snapshot, checkout, collect
from tests.fakes import repositories
from tests.fakes.repositories import Files


@dataclass
class Checkout:
    """A commit checked out at `tree`."""

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
