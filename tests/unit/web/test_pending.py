from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.web import pending
from tests.fakes.clock import ManualClock

GITHUB = "https://github.com"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def begin(home: Path, clock: ManualClock, org: str = "acme") -> str:
    return pending.begin(home, url=GITHUB, org=org, callback="https://b/c", webhook_url="https://b/w", now=clock.now())


def finish(home: Path, state: str, clock: ManualClock) -> str | None:
    """The org of the setup that this state ends."""
    with pending.finishing(home, state, clock.now()) as ended:
        return ended and ended.org


def state_of(home: Path, token: str, clock: ManualClock) -> str:
    entered = pending.enter(home, token, clock.now())
    assert entered is not None
    return entered[1]


def test_the_token_opens_the_setup_and_the_state_ends_it(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    entered = pending.enter(tmp_path, token, clock.now())
    assert entered is not None
    opened, state = entered
    assert (opened.url, opened.org, opened.callback, opened.webhook_url) == (GITHUB, "acme", "https://b/c", "https://b/w")
    assert finish(tmp_path, state, clock) == "acme"


def test_neither_secret_is_in_the_file_and_nobody_else_may_read_it(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    state = state_of(tmp_path, token, clock)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert token not in file.read_text()
        assert state not in file.read_text()


@pytest.mark.parametrize("token", ["", "x", "é", "0" * 64])
def test_another_token_opens_nothing(tmp_path: Path, clock: ManualClock, token: str) -> None:
    begin(tmp_path, clock)
    assert pending.enter(tmp_path, token, clock.now()) is None


def test_the_hash_in_the_file_is_no_token(tmp_path: Path, clock: ManualClock) -> None:
    begin(tmp_path, clock)
    stored = json.loads((tmp_path / "setup-github.json").read_text())
    assert pending.enter(tmp_path, stored["token_hash"], clock.now()) is None


def test_no_state_ends_a_setup_that_nobody_has_opened(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    assert finish(tmp_path, "", clock) is None
    assert finish(tmp_path, token, clock) is None
    assert pending.is_pending(tmp_path, clock.now())


def test_opened_again_it_has_a_new_state_and_the_old_one_is_worth_nothing(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    old, new = state_of(tmp_path, token, clock), state_of(tmp_path, token, clock)
    assert old != new
    assert finish(tmp_path, old, clock) is None
    assert finish(tmp_path, new, clock) == "acme"


def test_it_ends_once(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    state = state_of(tmp_path, token, clock)
    with ThreadPoolExecutor(8) as threads:
        ended = list(threads.map(lambda _: finish(tmp_path, state, clock), range(8)))
    assert sorted(org for org in ended if org) == ["acme"]
    assert pending.enter(tmp_path, token, clock.now()) is None
    assert not pending.is_pending(tmp_path, clock.now())


def test_it_can_be_ended_again_when_that_has_failed(tmp_path: Path, clock: ManualClock) -> None:
    state = state_of(tmp_path, begin(tmp_path, clock), clock)
    with pytest.raises(ConnectionError), pending.finishing(tmp_path, state, clock.now()):
        raise ConnectionError
    assert finish(tmp_path, state, clock) == "acme"


def test_a_failure_does_not_bring_it_back_over_a_newer_one(tmp_path: Path, clock: ManualClock) -> None:
    state = state_of(tmp_path, begin(tmp_path, clock), clock)
    ending = pending.finishing(tmp_path, state, clock.now())
    ending.__enter__()
    newer = begin(tmp_path, clock, "other")
    assert not ending.__exit__(ConnectionError, ConnectionError(), None)
    assert finish(tmp_path, state_of(tmp_path, newer, clock), clock) == "other"


def test_it_is_over_after_its_time(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    state = state_of(tmp_path, token, clock)
    clock.advance(pending.LIFE.total_seconds())
    assert not pending.is_pending(tmp_path, clock.now())
    assert pending.enter(tmp_path, token, clock.now()) is None
    assert finish(tmp_path, state, clock) is None


def test_a_new_setup_takes_the_place_of_the_old_one(tmp_path: Path, clock: ManualClock) -> None:
    old = begin(tmp_path, clock)
    begin(tmp_path, clock, "other")
    assert pending.enter(tmp_path, old, clock.now()) is None
    pending.abandon(tmp_path, old)
    assert pending.is_pending(tmp_path, clock.now())


def test_an_abandoned_one_is_gone(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    pending.abandon(tmp_path, token)
    assert not pending.is_pending(tmp_path, clock.now())


def test_a_file_that_was_cut_is_no_setup(tmp_path: Path, clock: ManualClock) -> None:
    token = begin(tmp_path, clock)
    file = tmp_path / "setup-github.json"
    file.write_text(file.read_text()[:-20])
    assert pending.enter(tmp_path, token, clock.now()) is None
