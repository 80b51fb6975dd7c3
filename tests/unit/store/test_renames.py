from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.domain.org_policies import Ceilings
from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText, Thread
from bot.store import publications, records, renames, tellings
from bot.store.database import Database
from bot.store.publications import Change, Publication
from bot.store.schema import looked
from bot.store.schema import publications as table
from tests.databases import Databases
from tests.fakes.clock import ManualClock

CHANGE = Change("acme", "notes", "one", "main")
TEXT = PullRequestText("A note", "Because.")


@pytest.fixture
def database(databases: Databases) -> Database:
    return Database(databases.upgraded())


def opened(tx: Connection, clock: ManualClock, name: str, number: int, *, state: str = "open") -> Publication:
    change = replace(CHANGE, repository=name)
    intent = publications.intend(tx, change, branch="whimbrel/notes", ceilings=Ceilings(), now=clock.now())
    url = f"https://github.com/acme/{name}/pull/{number}"
    made = PullRequest(number, PullRequestState.OPEN, "whimbrel/notes", "main", "c0ffee", TEXT, url)
    publications.record_open(tx, intent, made, "r1", clock.now())
    tx.execute(update(table).where(table.c.id == intent.id).values(state=state))
    clock.advance(60)
    return intent


class TestPublications:
    def test_they_follow_with_their_address(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            before = opened(tx, clock, "one", 7)
            assert renames.rename(tx, "acme", "one", "uno")
            assert not renames.rename(tx, "acme", "one", "uno")
            after = publications.find(tx, replace(CHANGE, repository="uno"))
            assert publications.find(tx, CHANGE) is None
        assert after is not None
        assert (after.id, after.url) == (before.id, "https://github.com/acme/uno/pull/7")

    @pytest.mark.parametrize(
        ("old", "new", "kept"),
        [("open", "closed", "old"), ("closed", "open", "new"), ("closed", "closed", "new"), ("open", "intent", "old")],
    )
    def test_of_two_the_open_one_is_kept_or_the_newer(
        self, database: Database, clock: ManualClock, old: str, new: str, kept: str
    ) -> None:
        with database.transaction() as tx:
            ids = {"old": opened(tx, clock, "one", 7, state=old).id, "new": opened(tx, clock, "uno", 8, state=new).id}
            publications.add_event(tx, ids["old"], clock.now(), "opened", "", "")
            publications.add_event(tx, ids["new"], clock.now(), "opened", "", "")
            renames.rename(tx, "acme", "one", "uno")
            (found,) = publications.of_repository(tx, "acme", "uno")
            assert found.id == ids[kept]
            assert publications.of_repository(tx, "acme", "one") == []

    def test_another_org_keeps_its_own(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            opened(tx, clock, "one", 7)
            assert not renames.rename(tx, "rival", "one", "uno")
            assert publications.find(tx, CHANGE) is not None


def test_renderings_follow_and_the_newer_one_stays(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        for name, file, content in (("one", "A", b"old"), ("uno", "A", b"new"), ("one", "B", b"old"), ("uno", "C", b"new")):
            records.save_rendering(tx, ("acme", "notes", name, file), content, clock.now())
            clock.advance(1)
        records.save_rendering(tx, ("acme", "notes", "one", "C"), b"newest", clock.now())
        renames.rename(tx, "acme", "one", "uno")
        found = {file: records.rendering(tx, ("acme", "notes", "uno", file)) for file in "ABC"}
    assert found == {"A": b"new", "B": b"old", "C": b"newest"}


def test_what_was_looked_at_follows(database: Database, clock: ManualClock) -> None:
    row = {"org": "acme", "policy": "notes", "repository": "one", "base": "main", "path": "", "revision": "r1", "head": "h"}
    more = {"inputs": "i", "outcome": "no_change", "reason": "", "run_id": "r", "at": clock.now()}
    with database.transaction() as tx:
        tx.execute(insert(looked).values(row | more))
        renames.rename(tx, "acme", "one", "uno")
        assert tx.execute(select(looked.c.repository)).scalar_one() == "uno"


def test_a_comment_that_follows_a_run_goes_on(database: Database, clock: ManualClock) -> None:
    thread = Thread(7, "issue")
    with database.transaction() as tx:
        for name in ("one", "one_two"):
            tellings.follow(tx, "acme", name, thread, f"run of {name}", "", clock.now())
        renames.rename(tx, "acme", "one", "uno")
        assert tellings.followed(tx, "acme", "uno", thread) == ["run of one"]
        assert tellings.followed(tx, "acme", "one", thread) == []
        assert tellings.followed(tx, "acme", "one_two", thread) == ["run of one_two"]
        assert {each.data["repository"] for each in tellings.waiting(tx, "status", ["acme"], clock.now())} == {"uno", "one_two"}


class TestNames:
    def test_a_new_name_under_a_known_id_is_followed(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            opened(tx, clock, "one", 7)
            assert renames.note_names(tx, "acme", {"1": "one", "2": "two"}) == []
            assert renames.note_names(tx, "acme", {"1": "uno", "2": "two", "3": "three"}) == [("one", "uno")]
            assert renames.note_names(tx, "acme", {"1": "uno"}) == []
            assert publications.find(tx, replace(CHANGE, repository="uno")) is not None

    def test_two_that_have_changed_theirs_keep_what_is_theirs(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            renames.note_names(tx, "acme", {"1": "one", "2": "two"})
            opened(tx, clock, "one", 7)
            opened(tx, clock, "two", 8)
            assert renames.note_names(tx, "acme", {"1": "two", "2": "one"}) == [("one", "two"), ("two", "one")]
            found = {name: publications.of_repository(tx, "acme", name)[0].number for name in ("one", "two")}
        assert found == {"one": 8, "two": 7}

    def test_what_an_event_has_told_is_known_to_the_listing(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            renames.note_names(tx, "acme", {"1": "one"})
            assert renames.rename(tx, "acme", "one", "uno")
            assert renames.note_names(tx, "acme", {"1": "uno"}) == []
