"""The circuit breaker, step by step and in every order that hypothesis can think of."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bot.domain.breaker import Circuit, CircuitState
from bot.domain.org_policies import BreakerPolicy

POLICY = BreakerPolicy(failures=3, reset_seconds=60)
NOW = 1_800_000_000.0


def fail(circuit: Circuit, times: int = 1, *, request: str = "r", now: float = NOW, retry_after: float = 0) -> Circuit:
    for _ in range(times):
        circuit = circuit.failed(request, "status 529", now, POLICY, retry_after=retry_after)
    return circuit


OPEN = fail(Circuit(), 3)


def probing(now: float = NOW + 60) -> Circuit:
    """Half-open, `probe` is on its way."""
    circuit, wait = OPEN.asked("probe", now, POLICY)
    assert wait == 0
    return circuit


def test_failures_in_a_row_open_it() -> None:
    assert fail(Circuit(), 2).asked("a", NOW, POLICY)[1] == 0
    assert OPEN.state(NOW) is CircuitState.OPEN
    assert OPEN.asked("a", NOW + 10, POLICY) == (OPEN, 50)


def test_an_answer_in_between_starts_the_count_anew() -> None:
    circuit = fail(fail(Circuit(), 2).completed(), 2)
    assert circuit.state(NOW) is CircuitState.CLOSED
    assert fail(circuit).state(NOW) is CircuitState.OPEN


def test_after_the_pause_one_request_at_a_time_tries() -> None:
    assert OPEN.state(NOW + 60) is CircuitState.HALF_OPEN
    assert probing().asked("b", NOW + 70, POLICY)[1] == 50


def test_the_probe_s_answer_closes_it_before_it_is_whole() -> None:
    circuit = probing().answered("probe")
    assert circuit.state(NOW + 60) is CircuitState.CLOSED
    assert circuit.failures == 0
    assert circuit.asked("b", NOW + 60, POLICY)[1] == 0


def test_a_probe_that_fails_opens_it_again_and_tells_since_when() -> None:
    circuit = fail(probing(), request="probe", now=NOW + 65)
    assert circuit.state(NOW + 65) is CircuitState.OPEN
    assert circuit.asked("b", NOW + 65, POLICY)[1] == 60
    assert circuit.opened_at == NOW


def test_a_probe_that_nobody_hears_of_again_gives_way_and_is_late_for_ever() -> None:
    circuit, wait = probing().asked("next", NOW + 120, POLICY)
    assert wait == 0
    assert circuit.answered("probe") == circuit
    assert fail(circuit, request="probe", now=NOW + 121).asked("third", NOW + 121, POLICY)[1] == 59
    assert circuit.answered("next").state(NOW + 121) is CircuitState.CLOSED


def test_a_probe_that_is_not_sent_makes_room_at_once() -> None:
    assert probing().withdrawn("somebody else") == probing()
    assert probing().withdrawn("probe").asked("b", NOW + 60, POLICY)[1] == 0


def test_what_was_asked_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    assert OPEN.completed() == OPEN.answered("early") == OPEN
    assert fail(OPEN, now=NOW + 59).asked("b", NOW + 59, POLICY)[1] == 1


@pytest.mark.parametrize("circuit", [Circuit(), OPEN, probing()])
def test_what_the_api_asks_for_holds_in_every_state(circuit: Circuit) -> None:
    now = NOW + 60
    held = fail(circuit, now=now, retry_after=300)
    assert held.asked("b", now, POLICY)[1] == 300
    assert held.answered("probe").completed().asked("b", now + 299, POLICY)[1] == 1
    assert fail(held, now=now + 1, retry_after=5).asked("b", now + 1, POLICY)[1] == 299


def test_a_longer_pause_that_the_api_asks_for_counts_for_the_probe_too() -> None:
    circuit = fail(probing(), request="probe", now=NOW + 60, retry_after=600)
    assert circuit.state(NOW + 659) is CircuitState.OPEN
    assert circuit.state(NOW + 660) is CircuitState.HALF_OPEN


def test_it_explains_itself() -> None:
    assert Circuit().to_json(NOW) == {"state": "closed", "since": None, "until": None, "failures": 0, "reason": ""}
    held = fail(Circuit(), retry_after=30)
    assert held.explain(NOW) == "the API asks to hold back (status 529)"
    assert held.explain(NOW + 30) == ""
    assert OPEN.to_json(NOW) == {
        "state": "open",
        "since": "2027-01-15T08:00:00+00:00",
        "until": "2027-01-15T08:01:00+00:00",
        "failures": 3,
        "reason": "the circuit breaker is open, failures in a row: 3, the last one: status 529",
    }
    half = probing().to_json(NOW + 60)
    assert (half["state"], half["since"], half["until"]) == ("half-open", "2027-01-15T08:00:00+00:00", None)
    assert "one request at a time" in half["reason"]


waits = st.integers(min_value=0, max_value=200)


class BreakerMachine(RuleBasedStateMachine):
    """Many workers ask, and their requests end in some order, or are never heard of again."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now = NOW
        self.names = count()
        self.in_a_row = 0
        self.held_until = 0.0
        self.probes: dict[str, float] = {}

    @rule(target=under_way)
    def ask(self) -> object:
        name = f"r{next(self.names)}"
        was = self.circuit
        state = was.state(self.now)
        self.circuit, wait = was.asked(name, self.now, POLICY)
        if wait:
            assert self.circuit == was
            assert self.now < self.held_until or self.probes
            return multiple()
        assert self.now >= self.held_until
        assert state is not CircuitState.OPEN
        if state is CircuitState.HALF_OPEN:
            self._forget_expired()
            assert self.probes == {}
            self.probes[name] = self.now + POLICY.reset_seconds
        return name

    @rule(name=consumes(under_way))
    def succeed(self, name: str) -> None:
        self.circuit = self.circuit.answered(name).completed()
        if self._was_probe(name) or self.circuit.state(self.now) is CircuitState.CLOSED:
            self.in_a_row = 0
            self.probes.clear()
            assert self.circuit.state(self.now) is CircuitState.CLOSED

    @rule(name=consumes(under_way), retry_after=st.one_of(st.just(0), waits))
    def fail(self, name: str, retry_after: int) -> None:
        was_closed = self.circuit.state(self.now) is CircuitState.CLOSED
        self.circuit = self.circuit.failed(name, "no", self.now, POLICY, retry_after=retry_after)
        self.held_until = max(self.held_until, self.now + retry_after)
        if was_closed:
            self.in_a_row += 1
        if (was_closed and self.in_a_row == POLICY.failures) or self._was_probe(name):
            self.held_until = max(self.held_until, self.now + POLICY.reset_seconds)
            assert self.circuit.state(self.now) is CircuitState.OPEN
        elif was_closed:
            assert self.circuit.state(self.now) is CircuitState.CLOSED

    @rule(name=consumes(under_way))
    def withdraw(self, name: str) -> None:
        self.circuit = self.circuit.withdrawn(name)
        self._was_probe(name)

    @rule(name=consumes(under_way))
    def die(self, name: str) -> None:
        """Its worker is killed: nobody tells the breaker."""

    @rule(seconds=waits)
    def let_time_pass(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def it_is_never_wedged(self) -> None:
        """Whatever happened, somebody may ask once the longest pause is over."""
        later = max(self.now, self.held_until) + POLICY.reset_seconds
        assert self.circuit.asked("patient", later, POLICY)[1] == 0

    @invariant()
    def a_wait_is_as_long_as_it_says(self) -> None:
        _, wait = self.circuit.asked("x", self.now, POLICY)
        if wait:
            assert self.circuit.asked("x", self.now + wait, POLICY)[1] == 0
            assert self.circuit.explain(self.now) != ""

    def _was_probe(self, name: str) -> bool:
        """Was it the probe, and did none take its place? It is none any more."""
        return self.probes.pop(name, None) is not None

    def _forget_expired(self) -> None:
        self.probes = {name: until for name, until in self.probes.items() if until > self.now}


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
