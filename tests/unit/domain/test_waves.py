"""Waves, and the gates between them: every decision is explained, and what is decided does not change by waiting."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.rollout import Gate, Rollout, arrange, share
from bot.domain.verdicts import Decision, Verdict
from bot.domain.waves import WaveFacts, WaveState, after, assign, bounds, judge, why_closed

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
FULL = Gate(merged="50%", ci_passed="90%", rejected="20%", edited="30%", after="4h")
RAMP = Rollout(waves=[3, "10%", "50%", "100%"], gate=FULL)


def facts(**counts: object) -> WaveFacts:
    return WaveFacts(**{"opened_at": NOW - timedelta(hours=5), "runs": 10, **counts})  # type: ignore[arg-type]


def judged(gate: Gate = FULL, **counts: object) -> Verdict:
    return judge(gate, facts(**counts), NOW)


class TestSizes:
    @pytest.mark.parametrize(
        ("targets", "expected"), [(200, (3, 20, 100, 200)), (5, (3, 3, 3, 5)), (1, (1, 1, 1, 1)), (0, (0, 0, 0, 0))]
    )
    def test_they_are_shares_of_all_targets(self, targets: int, expected: tuple[int, ...]) -> None:
        assert bounds(RAMP, targets) == expected

    def test_each_target_has_a_wave(self) -> None:
        assert Counter(assign(RAMP, begun=0, waiting=200, open_wave=1)) == {1: 3, 2: 17, 3: 80, 4: 100}

    def test_without_waves_there_is_no_wave(self) -> None:
        assert assign(Rollout(), begun=0, waiting=3, open_wave=0) == [0, 0, 0]

    def test_whoever_joins_a_campaign_of_one_target_does_not_begin_all_at_once(self) -> None:
        assert Counter(assign(RAMP, begun=1, waiting=199, open_wave=1)) == {1: 2, 2: 17, 3: 80, 4: 100}

    def test_a_latecomer_is_in_no_wave_that_is_over(self) -> None:
        assert assign(RAMP, begun=20, waiting=1, open_wave=2) == [4]
        assert assign(RAMP, begun=2, waiting=1, open_wave=3) == [3]

    @given(
        st.lists(st.integers(1, 30), max_size=3, unique=True),
        st.lists(st.integers(1, 99), max_size=3, unique=True),
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(1, 7),
    )
    def test_no_wave_is_larger_than_the_policy_says(
        self, counts: list[int], shares: list[int], begun: int, waiting: int, open_wave: int
    ) -> None:
        rollout = Rollout(waves=[*sorted(counts), *(f"{each}%" for each in sorted(shares)), "100%"])
        open_wave = min(open_wave, len(rollout.waves))
        waves, ends = assign(rollout, begun=begun, waiting=waiting, open_wave=open_wave), bounds(rollout, begun + waiting)
        assert len(waves) == waiting
        assert waves == sorted(waves)
        assert all(wave >= open_wave for wave in waves)
        assert (ends[-1], list(ends)) == (begun + waiting, sorted(ends))
        for wave in range(open_wave, len(ends) + 1):
            so_far = begun + sum(each <= wave for each in waves)
            assert so_far <= max(begun, ends[wave - 1])


class TestGate:
    def test_it_holds_when_all_of_it_does(self) -> None:
        verdict = judged(published=10, merged=5, ci_passed=9, ci_failed=1, closed=2, edited=3)
        assert verdict.passed
        assert verdict.lines() == [
            f"✓ gate: {verdict.reason}",
            "  ✓ runs: 10 runs ended",
            "  ✓ merged: 5 of 10 merged, 50% needed",
            "  ✓ passed by CI: 9 of 10 passed by CI, 90% needed",
            "  ✓ rejected: 2 of 10 rejected, 20% allowed",
            "  ✓ edited by people: 3 of 10 edited by people, 30% allowed",
            "  ✓ age: it is 4h old",
        ]

    def test_without_a_gate_the_end_of_its_runs_is_enough(self) -> None:
        assert judged(Gate(), unfinished=1).reason == "1 of 10 runs have not ended"
        assert judged(Gate()).passed

    @pytest.mark.parametrize(
        ("counts", "reason"),
        [
            ({"unfinished": 2, "published": 8, "merged": 8, "ci_passed": 8}, "2 of 10 runs have not ended"),
            ({"published": 10, "merged": 4, "ci_passed": 10}, "4 of 10 merged, 50% needed"),
            ({"published": 10, "merged": 5, "ci_passed": 8, "ci_unknown": 2}, "8 of 10 passed by CI, 90% needed"),
        ],
    )
    def test_it_waits_for_what_may_yet_come(self, counts: dict[str, int], reason: str) -> None:
        verdict = judged(**counts)
        assert (verdict.decision, verdict.reason) == (Decision.WAIT, reason)

    @pytest.mark.parametrize(
        ("counts", "reason"),
        [
            ({"published": 10, "closed": 3}, "3 of 10 rejected, 20% allowed"),
            ({"published": 8, "refused": 2, "closed": 1, "merged": 7, "ci_passed": 8}, "3 of 10 rejected, 20% allowed"),
            ({"published": 10, "edited": 4, "merged": 6, "ci_passed": 10}, "4 of 10 edited by people, 30% allowed"),
            ({"published": 10, "merged": 6, "ci_passed": 8, "ci_failed": 2}, "8 of 10 passed by CI, 90% needed, and at most 8"),
            ({"failed": 10}, "none of it came to a pull request: 10 failed, 0 refused"),
        ],
    )
    def test_it_is_breached_by_what_cannot_be_made_good(self, counts: dict[str, int], reason: str) -> None:
        verdict = judged(**counts)
        assert verdict.decision is Decision.FAIL
        assert reason in verdict.reason

    def test_one_of_three_rejected_is_a_breach_only_when_the_others_cannot_outweigh_it(self) -> None:
        gate = Gate(rejected="20%")
        assert judged(gate, runs=10, unfinished=7, published=3, closed=1).decision is Decision.WAIT
        assert judged(gate, runs=3, published=3, closed=1).decision is Decision.FAIL

    def test_checks_may_be_mended_for_as_long_as_the_wave_is_young(self) -> None:
        counts = {"published": 10, "merged": 6, "ci_passed": 5, "ci_failed": 5}
        assert judge(FULL, facts(opened_at=NOW - timedelta(hours=3), **counts), NOW).decision is Decision.WAIT
        assert judge(FULL, facts(opened_at=NOW - timedelta(hours=4), **counts), NOW).decision is Decision.FAIL

    def test_it_says_when_it_will_be_old_enough(self) -> None:
        verdict = judge(Gate(after="2d"), facts(), NOW)
        assert verdict.reason == "it is to be 2d old, at 2026-01-17 07:00 UTC"

    def test_pull_requests_without_checks_are_no_reason_to_wait(self) -> None:
        assert judged(Gate(ci_passed="100%"), published=10).passed

    def test_nobody_in_it_is_nothing_against_it(self) -> None:
        assert judged(runs=0).passed

    def test_failures_are_counted_where_the_gate_names_them(self) -> None:
        assert judged(Gate(failed="10%"), published=8, failed=2).reason == "2 of 10 failed, 10% allowed"


class TestSteps:
    PASS, WAIT, FAIL = (Verdict("gate", decision, "") for decision in (Decision.PASS, Decision.WAIT, Decision.FAIL))

    def test_a_gate_that_holds_opens_the_next_wave(self) -> None:
        assert after(RAMP, last=False, verdict=self.PASS) is WaveState.PASSED
        assert after(RAMP, last=False, verdict=self.WAIT) is WaveState.OPEN
        assert after(RAMP, last=False, verdict=self.FAIL) is WaveState.HALTED

    def test_where_a_person_approves_the_gate_opens_nothing_but_halts_as_ever(self) -> None:
        manual = RAMP.model_copy(update={"approval": "manual"})
        assert after(manual, last=False, verdict=self.PASS) is WaveState.OPEN
        assert after(manual, last=False, verdict=self.FAIL) is WaveState.HALTED

    def test_after_the_last_one_comes_none(self) -> None:
        assert after(RAMP, last=True, verdict=self.PASS) is WaveState.OPEN
        assert after(RAMP, last=True, verdict=self.FAIL) is WaveState.HALTED

    def test_the_words_of_those_who_rejected_are_few(self) -> None:
        assert why_closed(facts()) == ""
        told = why_closed(facts(objections=tuple(f"#{number}: no" for number in range(12)))).splitlines()
        assert (told[0], told[-1], len(told)) == ("#0: no", "and 2 more", 11)


@st.composite
def stories(draw: st.DrawFn) -> list[WaveFacts]:
    """A wave of some targets as it goes on: each run ends once, each pull request is settled once."""
    runs = draw(st.integers(1, 8))
    counts: dict[str, int] = {"unfinished": runs, **dict.fromkeys(("published", "refused", "failed", "merged", "closed"), 0)}
    told = [facts(runs=runs, **counts)]
    for _ in range(draw(st.integers(0, 2 * runs))):
        possible = [name for name in ("published", "refused", "failed") if counts["unfinished"]]
        open_ones = counts["published"] - counts["merged"] - counts["closed"]
        possible += [name for name in ("merged", "closed") if open_ones]
        if not possible:
            break
        happened = draw(st.sampled_from(possible))
        counts[happened] += 1
        counts["unfinished"] -= happened in ("published", "refused", "failed")
        told.append(facts(runs=runs, **counts))
    return told


percents = st.none() | st.integers(0, 100).map(lambda number: f"{number}%")


@given(stories(), st.builds(Gate, merged=percents, rejected=percents, failed=percents))
def test_a_breach_stays_one_whatever_comes_after(story: list[WaveFacts], gate: Gate) -> None:
    """Nobody is halted for what time alone would have mended: failing early is failing for good."""
    decisions = [judge(gate, each, NOW).decision for each in story]
    if Decision.FAIL in decisions:
        first = decisions.index(Decision.FAIL)
        assert set(decisions[first:]) == {Decision.FAIL}


@given(stories(), st.builds(Gate, merged=percents, rejected=percents, failed=percents))
def test_a_gate_that_holds_keeps_what_it_says(story: list[WaveFacts], gate: Gate) -> None:
    for each in story:
        if not judge(gate, each, NOW).passed:
            continue
        assert each.unfinished == 0
        if gate.merged is not None and each.published:
            assert Fraction(each.merged, each.published) >= share(gate.merged)
        if gate.rejected is not None and each.published + each.refused:
            assert Fraction(each.closed + each.refused, each.published + each.refused) <= share(gate.rejected)
        if gate.failed is not None:
            assert Fraction(each.failed, each.runs) <= share(gate.failed)


class TestOrder:
    NAMES = ("app", "docs", "lib", "web")

    def test_listed_is_as_it_is(self) -> None:
        assert arrange(self.NAMES, {}, Rollout()) == list(self.NAMES)

    def test_small_ones_first(self) -> None:
        sizes = {"app": 30, "docs": 1, "lib": 20, "web": 1}
        assert arrange(self.NAMES, sizes, Rollout(order="small_first")) == ["docs", "web", "lib", "app"]

    def test_a_dependency_comes_before_what_depends_on_it(self) -> None:
        rollout = Rollout(order="dependencies", dependencies={"app": ["lib", "elsewhere"], "lib": ["web"]})
        assert arrange(self.NAMES, {}, rollout) == ["docs", "web", "lib", "app"]
