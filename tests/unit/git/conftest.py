"""A repository on a host, its mirror, and a checkout of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.git import Signature
from tests.fakes import repositories
from tests.fakes.checkouts import Checkout, Origin
from tests.fakes.repositories import Files


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
