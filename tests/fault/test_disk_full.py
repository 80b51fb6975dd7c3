"""The disk is full in the middle of an attempt: that is said, nothing is half done, and with room again the run goes on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.domain.money import MicroUsd
from bot.domain.repositories import Remote
from bot.domain.usage import Usage
from bot.errors import GitError, StoreError
from bot.git import Mirror, Signature, read_changeset, write_commit
from bot.store import ledger
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter
from tests.fakes import repositories
from tests.fakes.clock import ManualClock
from tests.fakes.queue_parts import alive, eventually
from tests.fault.boundaries import BOUNDARIES, held_at
from tests.fault.disks import SmallDisk, with_small_disk
from tests.fault.site import REQUESTS_AN_ATTEMPT, Site
from tests.story.conftest import Project

MEGABYTES = 64
KEPT_FREE = 256
"""What sandboxes leave to the host."""


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a short path: the server's socket is then in its home."""
    return tmp_path_factory.mktemp("d")


def test_a_mirror_says_that_it_will_do_later(place: Path) -> None:
    bare = place / "host" / "one.git"
    head = repositories.head(repositories.make(bare, {"README.md": b"# Hello\n"}))
    assert head is not None
    changeset = Changeset(head, (FileChange("NOTE.md", FileMode.REGULAR, os.urandom(1 << 20)),))
    author = Signature("Whimbrel", "whimbrel@localhost", datetime(2026, 3, 1, tzinfo=UTC))

    def test(disk: SmallDisk) -> None:
        mirror = Mirror.open(disk.folder, "acme", "one")
        mirror.fetch(Remote(str(bare)), ["main"])
        disk.fill()
        with pytest.raises(GitError, match="No space left on device") as full:
            write_commit(mirror, changeset, "Add a note\n", author)
        assert full.value.retryable
        disk.clear()
        commit = write_commit(mirror, changeset, "Add a note\n", author)
        assert mirror.has(commit)
        assert read_changeset(mirror, commit) == changeset

    with_small_disk(place / "mirrors", 8, test)


def test_a_ledger_reserves_nothing_and_forgets_nothing(place: Path, clock: ManualClock) -> None:
    folder = place / "ledger"

    def test(disk: SmallDisk) -> None:
        database = Database(f"sqlite:///{folder}/w.db")
        database.upgrade()
        with database.transaction() as tx:
            opened = [ledger.open_account(tx, scope, "k", "", MicroUsd(100)) for scope in ("org", "campaign", "attempt")]
        meter = LedgerMeter(database, Accounts(*opened), clock)
        first = meter.reserve(MicroUsd(60), model="m")
        with no_room_in_the_log(folder / "w.db", disk):
            for write in (partial(meter.reserve, MicroUsd(1), model="m"), partial(meter.release, first)):
                with pytest.raises(StoreError, match="disk is full") as full:
                    write()
                assert full.value.retryable
            assert held(database) == 60
        disk.clear()
        meter.settle(first, MicroUsd(10), Usage(), estimated=False, latency_ms=1)
        assert held(database) == 0

    with_small_disk(folder, 8, test)


def held(database: Database) -> int:
    with database.reading() as tx:
        found = ledger.account(tx, "attempt", "k")
    assert found is not None
    return found.reserved


@pytest.mark.slow
def test_under_the_mirrors_at_the_commit(place: Path) -> None:
    """It is said why the run waits, and the attempt costs none of those that are allowed."""

    def test(disk: SmallDisk) -> None:
        with site_in(place) as site:
            with held_at(site, BOUNDARIES["collect-commit"], "one"):
                disk.fill()
            eventually(lambda: site.run_of("one")["state"] != "running", "it is handed back")
            run = site.run_of("one")
            assert (run["state"], run["setbacks"], run["tries"], site.reserved()) == ("pending", 1, 0, 0)
            assert "No space left on device" in run["reason"]
            go_on(site, disk)
            git = ["git", "-C", disk.folder / "acme" / "one.git"]
            subprocess.run([*git, "fsck", "--full", "--strict"], check=True, capture_output=True)

    with_small_disk(place / ".whimbrel" / "mirrors", MEGABYTES, test)


@pytest.mark.slow
def test_under_the_ledger_in_the_middle_of_a_request(place: Path) -> None:
    """Money fails closed: what it cost cannot be written, so it stays reserved, and no other request leaves."""
    folder = place / "ledger"

    def test(disk: SmallDisk) -> None:
        with site_in(place / "p", DATABASE_URL=f"sqlite:///{folder}/w.db") as site:
            with held_at(site, BOUNDARIES["model request"], "one"), no_room_in_the_log(folder / "w.db", disk):
                in_flight, horse = site.reserved(), site.horse
                site.model.answers.set()
                eventually(lambda: not alive(horse.pid), "the attempt has ended")
                assert (site.model.asked["one"], site.reserved()) == (1, in_flight)
                assert site.run_of("one")["state"] == "running"
            go_on(site, disk)
            assert site.settled_unseen("one") == [(in_flight, in_flight)]
            assert site.model.asked["one"] == 1 + REQUESTS_AN_ATTEMPT

    with_small_disk(folder, MEGABYTES, test)


@pytest.mark.slow
def test_under_everything(place: Path) -> None:
    """Not even Redis can write: workers end, and are started again, until there is room."""
    folder = place / "p" / "small"

    def test(disk: SmallDisk) -> None:
        with site_in(place / "p", WHIMBREL_HOME=str(folder / "home")) as site:
            with held_at(site, BOUNDARIES["collect-commit"], "one"):
                horse = site.horse
                disk.fill()
            eventually(lambda: not alive(horse.pid), "the attempt has ended")
            go_on(site, disk)

    with_small_disk(folder, KEPT_FREE + MEGABYTES, test)


@contextmanager
def site_in(folder: Path, **environment: str) -> Iterator[Site]:
    """A site, all of which ends in good order in the end."""
    project = Project(folder, environment)
    project.begin()
    project.whimbrel("db", "upgrade")
    with ExitStack() as stack:
        site = Site(project, stack)
        site.tend()
        yield site
        site.stop()


@contextmanager
def no_room_in_the_log(database: Path, disk: SmallDisk) -> Iterator[None]:
    """A full disk on which SQLite cannot append one page, nor write where it has written before.

    The log is empty, and a reader of that state keeps it from being begun anew.
    """
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        eventually(lambda: reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "the log is empty")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts").fetchone()
        disk.fill()
        yield


def go_on(site: Site, disk: SmallDisk) -> None:
    disk.clear()
    site.finish_campaign()
    site.require_published("one", attempts=2)
    site.require_tidy()
    with site.services.database.reading() as tx:
        assert tx.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
