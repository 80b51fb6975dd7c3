"""The audit trail holds, and tells when somebody has been at it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update

from bot.clock import SystemClock
from bot.domain.money import ZERO
from bot.errors import ConfigurationError, StoreError
from bot.store import audit, ledger
from bot.store.audit import GENESIS, AuditKey, Broken, Head
from bot.store.database import Database
from bot.store.schema import accounts, audit_events, audit_heads
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.racing import race

ORG = "acme"
FORGER = AuditKey(b"not the operator's secret")
ALTERED: dict[str, object] = {
    "org": "other",
    "seq": 30,
    "audit_id": "f" * 32,
    "at": datetime(2026, 1, 15, 12, tzinfo=timezone(timedelta(hours=1))),
    "actor": "mallory",
    "action": "attempt.failed",
    "subject": "another",
    "reason": "another",
    "details": '{"n": 9}',
    "previous": "1" * 64,
    "mac": "1" * 64,
}


def append(tx: Connection, key: AuditKey, clock: ManualClock | SystemClock, **fields: object) -> str:
    event = {"org": ORG, "actor": "alice", "action": "attempt.succeeded", "subject": "c1-1.1", "reason": "all checks passed"}
    return audit.append(tx, key, clock, **(event | fields))  # type: ignore[arg-type]


def append_many(number: int, url: str, secret: str, times: int) -> list[str]:
    database = Database(url)
    ids = []
    for n in range(times):
        with database.transaction() as tx:
            ids.append(append(tx, AuditKey(secret.encode()), SystemClock(), actor=f"worker {number}", details={"n": n}))
    database.dispose()
    return ids


@pytest.fixture
def trail(database: Database, audit_key: AuditKey, clock: ManualClock) -> Database:
    """Five events."""
    with database.transaction() as tx:
        for n in range(1, 6):
            append(tx, audit_key, clock, details={"n": n})
            clock.advance(1.5)
    return database


def verify(database: Database, key: AuditKey, known: Head | None = None) -> Broken | None:
    with database.reading() as tx:
        return audit.verify(tx, key, ORG, known=known)


def head(database: Database) -> Head:
    with database.reading() as tx:
        return audit.head(tx, ORG)


def cut(tx: Connection, seq: int) -> None:
    """Every event after `seq`."""
    tx.execute(delete(audit_events).where(audit_events.c.seq > seq))


def cut_with_head(tx: Connection, seq: int) -> None:
    """As somebody does who knows that there is a head."""
    cut(tx, seq)
    mac = tx.execute(select(audit_events.c.mac).where(audit_events.c.seq == seq)).scalar_one()
    tx.execute(update(audit_heads).values(seq=seq, mac=mac))


class TestWhatHolds:
    def test_nothing_at_all(self, database: Database, audit_key: AuditKey) -> None:
        assert verify(database, audit_key) is None
        assert head(database) == Head(0, GENESIS)

    def test_a_chain_and_every_head_that_it_ever_had(self, database: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        heads = [head(database)]
        for _ in range(3):
            with database.transaction() as tx:
                append(tx, audit_key, clock)
            heads.append(head(database))
        assert [known.seq for known in heads] == [0, 1, 2, 3]
        assert [verify(database, audit_key, known) for known in heads] == [None] * 4

    def test_each_org_has_a_chain_of_its_own(self, trail: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        with trail.transaction() as tx:
            append(tx, audit_key, clock, org="zeta")
            assert audit.head(tx, "zeta").seq == 1
            assert audit.orgs(tx) == ["acme", "zeta"]
            assert audit.verify(tx, audit_key, "zeta") is None
        assert head(trail).seq == 5

    def test_an_event_as_it_is_exported(self, database: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        with database.transaction() as tx:
            audit_id = append(tx, audit_key, clock, details={"files": ["a.py"], "cost_usd": "0.120000"})
        with database.reading() as tx:
            (event,) = audit.events(tx, ORG)
        assert event == {
            "org": "acme",
            "seq": 1,
            "audit_id": audit_id,
            "at": "2026-01-15T12:00:00+00:00",
            "actor": "alice",
            "action": "attempt.succeeded",
            "subject": "c1-1.1",
            "reason": "all checks passed",
            "details": {"files": ["a.py"], "cost_usd": "0.120000"},
            "previous": GENESIS,
            "mac": head(database).mac,
        }

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("Zoë\tsaid:\r\n\"no\", 'never' 🐦\u2028", "Zoë\tsaid:\r\n\"no\", 'never' 🐦\u2028"),
            # Neither of these can be kept by Postgres.
            ("a\0b", "a\\0b"),
            ("na\udcefve.txt", "na\\udcefve.txt"),
        ],
    )
    def test_any_text(self, database: Database, audit_key: AuditKey, clock: ManualClock, written: str, kept: str) -> None:
        with database.transaction() as tx:
            append(tx, audit_key, clock, actor=written, subject=written, reason=written, details={"file": written})
        assert verify(database, audit_key) is None
        with database.reading() as tx:
            (event,) = audit.events(tx, ORG)
        assert (event["actor"], event["subject"], event["reason"]) == (kept, kept, kept)
        assert event["details"] == {"file": written}

    def test_a_clock_of_another_time_zone(self, database: Database, audit_key: AuditKey) -> None:
        abroad = ManualClock(datetime(2026, 1, 15, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30))))
        with database.transaction() as tx:
            append(tx, audit_key, abroad)
        assert verify(database, audit_key) is None

    def test_an_event_of_a_change_that_was_rolled_back_never_was(
        self, trail: Database, audit_key: AuditKey, clock: ManualClock
    ) -> None:
        before = head(trail)
        with pytest.raises(StoreError, match="is no reservation"), trail.transaction() as tx:
            change_and_fail(tx, audit_key, clock)
        with trail.reading() as tx:
            assert tx.execute(select(func.count()).select_from(accounts)).scalar_one() == 0
        assert head(trail) == before
        with trail.transaction() as tx:
            append(tx, audit_key, clock)
        assert verify(trail, audit_key, before) is None
        assert head(trail).seq == 6

    def test_eight_processes_write_one_chain(self, database_url: str) -> None:
        ids = [audit_id for each in race(append_many, 8, database_url, "secret", 20) for audit_id in each]
        database = Database(database_url)
        assert verify(database, AuditKey(b"secret")) is None
        with database.reading() as tx:
            events = list(audit.events(tx, ORG))
        database.dispose()
        assert [event["seq"] for event in events] == list(range(1, 161))
        assert sorted(event["audit_id"] for event in events) == sorted(ids)


class TestWhatIsFound:
    def test_every_column_has_an_alteration(self) -> None:
        assert set(ALTERED) == {column.name for column in audit_events.columns}

    @pytest.mark.parametrize("column", ALTERED)
    def test_an_altered_field(self, trail: Database, audit_key: AuditKey, column: str) -> None:
        with trail.transaction() as tx:
            for seq in range(1, 6):
                altered = tx.begin_nested()
                tx.execute(update(audit_events).where(audit_events.c.seq == seq).values({column: ALTERED[column]}))
                broken = audit.verify(tx, audit_key, ORG)
                assert broken is not None
                assert broken.seq == seq
                altered.rollback()
            assert audit.verify(tx, audit_key, ORG) is None

    @pytest.mark.parametrize("seq", [1, 3])
    def test_a_dropped_event(self, trail: Database, audit_key: AuditKey, seq: int) -> None:
        with trail.transaction() as tx:
            tx.execute(delete(audit_events).where(audit_events.c.seq == seq))
        assert verify(trail, audit_key) == Broken(seq, f"event {seq} is missing: the next one is {seq + 1}")

    def test_a_dropped_event_whose_place_was_closed_up(self, trail: Database, audit_key: AuditKey) -> None:
        with trail.transaction() as tx:
            tx.execute(delete(audit_events).where(audit_events.c.seq == 3))
            for seq in (4, 5):
                tx.execute(update(audit_events).where(audit_events.c.seq == seq).values(seq=seq - 1))
        assert verify(trail, audit_key) == Broken(
            3, "event 3 does not follow event 2: one of them was moved, altered or replaced"
        )

    def test_reordered_events(self, trail: Database, audit_key: AuditKey) -> None:
        with trail.transaction() as tx:
            for old, new in ((2, 100), (3, 2), (100, 3)):
                tx.execute(update(audit_events).where(audit_events.c.seq == old).values(seq=new))
        broken = verify(trail, audit_key)
        assert broken is not None
        assert broken.seq == 2

    def test_an_event_of_another_orgs_chain(self, trail: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        with trail.transaction() as tx:
            append(tx, audit_key, clock, org="zeta")
            tx.execute(delete(audit_events).where(audit_events.c.org == ORG))
            tx.execute(update(audit_events).values(org=ORG))
            tx.execute(update(audit_heads).where(audit_heads.c.org == ORG).values(seq=1))
        assert verify(trail, audit_key) == Broken(1, "event 1 was altered, or another key was used")

    def test_a_chain_that_was_replaced_with_another_key(self, trail: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        with trail.transaction() as tx:
            tx.execute(delete(audit_events))
            tx.execute(delete(audit_heads))
            for _ in range(5):
                append(tx, FORGER, clock)
        assert verify(trail, FORGER) is None
        assert verify(trail, audit_key) == Broken(1, "event 1 was altered, or another key was used")

    def test_a_cut_tail(self, trail: Database, audit_key: AuditKey) -> None:
        with trail.transaction() as tx:
            cut(tx, 3)
        assert verify(trail, audit_key) == Broken(4, "the chain ends at event 3, its stored head says 5: the tail was cut")

    def test_a_tail_that_was_cut_with_its_head_is_found_by_a_known_head_alone(
        self, trail: Database, audit_key: AuditKey
    ) -> None:
        known = head(trail)
        with trail.transaction() as tx:
            cut_with_head(tx, 3)
        assert verify(trail, audit_key) is None
        assert verify(trail, audit_key, known) == Broken(
            4, "the chain ends at event 3, the given head is 5: the tail was cut"
        )  # fmt: skip

    def test_a_cut_tail_that_grew_again(self, trail: Database, audit_key: AuditKey, clock: ManualClock) -> None:
        known = head(trail)
        with trail.transaction() as tx:
            cut_with_head(tx, 3)
            for _ in range(4):
                append(tx, audit_key, clock)
        assert verify(trail, audit_key) is None
        assert verify(trail, audit_key, known) == Broken(
            5, "event 5 is not the one that the given head names: the chain was rewritten"
        )  # fmt: skip

    def test_an_old_event_that_was_put_at_the_end_of_a_rewritten_chain(
        self, trail: Database, audit_key: AuditKey, clock: ManualClock
    ) -> None:
        """Its own MAC is the operator's, and so is the known head's; but another event came before it."""
        known = head(trail)
        fifth = audit_events.c.seq == 5
        with trail.transaction() as tx:
            old = dict(tx.execute(select(audit_events).where(fifth)).one()._mapping)
            cut_with_head(tx, 3)
            append(tx, audit_key, clock)
            tx.execute(insert(audit_events).values(old | {"previous": audit.head(tx, ORG).mac}))
            tx.execute(update(audit_heads).values(seq=5, mac=old["mac"]))
        assert verify(trail, audit_key, known) == Broken(5, "event 5 was altered, or another key was used")

    def test_everything_gone(self, trail: Database, audit_key: AuditKey) -> None:
        known = head(trail)
        with trail.transaction() as tx:
            tx.execute(delete(audit_events))
            tx.execute(delete(audit_heads))
        assert verify(trail, audit_key, known) == Broken(
            1, "the chain ends at event 0, the given head is 5: the tail was cut"
        )  # fmt: skip

    @pytest.mark.parametrize(
        "tamper",
        [
            lambda tx: tx.execute(delete(audit_heads)),
            lambda tx: tx.execute(update(audit_heads).values(seq=4)),
            lambda tx: tx.execute(update(audit_heads).values(mac="0" * 64)),
        ],
        ids=["gone", "set back", "another mac"],
    )
    def test_an_altered_head(self, trail: Database, audit_key: AuditKey, tamper: Callable[[Connection], object]) -> None:
        with trail.transaction() as tx:
            tamper(tx)
        assert verify(trail, audit_key) == Broken(
            6, "the chain ends at event 5, its stored head is another one: the head was altered"
        )  # fmt: skip

    @pytest.mark.parametrize("written", ["at = 'yesterday'", "reason = x'00ff'", "mac = 'é'"])
    def test_what_was_never_written_by_us(
        self, sqlite_databases: SqliteDatabases, audit_key: AuditKey, clock: ManualClock, written: str
    ) -> None:
        """SQLite keeps whatever it is given."""
        database = Database(sqlite_databases.upgraded())
        with database.transaction() as tx:
            append(tx, audit_key, clock)
            tx.exec_driver_sql(f"UPDATE audit_events SET {written}")
        assert verify(database, audit_key) == Broken(
            1, "an event after event 0 was altered: it holds what was never written"
        )  # fmt: skip
        database.dispose()


class TestTheKey:
    def test_an_empty_one_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="the audit key is empty"):
            AuditKey(b"")

    def test_it_is_not_in_its_repr(self) -> None:
        assert "operator" not in f"{AuditKey(b'operator')!r}{AuditKey(b'operator')}"


def change_and_fail(tx: Connection, key: AuditKey, clock: ManualClock) -> None:
    ledger.ensure_account(tx, "org", ORG, "", ZERO)
    append(tx, key, clock)
    ledger.release(tx, 999, clock=clock)
