"""A campaign of many days in a minute: the real store, pump, gates and tracker; a host in memory; people by a script.

Only what an attempt does between its claim and its intent is left out: nothing is checked out, and no sandbox is started.
Whoever writes to SQL or to the host may die there, and is followed by another one like it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, cast

from sqlalchemy import Connection, select

from bot.campaigns import control
from bot.domain.pull_requests import ChecksState, PullRequest, PullRequestState, PullRequestText
from bot.domain.retries import again
from bot.domain.rollout import Rollout, duration, share
from bot.domain.states import CampaignState, Outcome
from bot.domain.waves import bounds
from bot.errors import CeilingReached, FenceLost
from bot.pipeline.lease import LEASE
from bot.queue.jobs import JobQueue, job_id
from bot.scheduler import Scheduler
from bot.store import campaigns, publications, runs, waves
from bot.store.admission import require_admitted
from bot.store.database import Database
from bot.store.publications import Change
from bot.store.runs import Run
from bot.store.schema import publications as publications_table
from bot.store.schema import runs as runs_table
from bot.tracking.pull_requests import refresh_all
from tests.fakes.memory_host import MemoryHost
from tests.fakes.world import World

BRANCH = "whimbrel/notes"
NOTE = "NOTE.md"
HOUR = timedelta(hours=1)


class Died(BaseException):
    """kill -9, as far as one process can play it: nothing catches it but who plays the machine."""


@dataclass
class Fate:
    """Says where somebody dies: by chance, or at one boundary, counted from 0."""

    chance: float = 0
    at: int = -1
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    passed: int = 0
    deaths: int = 0

    def __call__(self, what: str) -> None:
        self.passed += 1
        if self.passed - 1 == self.at or (self.chance and self.rng.random() < self.chance):
            self.deaths += 1
            raise Died(what)


class MortalDatabase(Database):
    """Whoever writes to it may die before, within or after the transaction."""

    boundary: Callable[[str], None] = staticmethod(lambda _: None)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        self.boundary("before the transaction")
        with super().transaction(durable=durable) as tx:
            yield tx
            self.boundary("before the commit")
        self.boundary("after the commit")


class Jobs:
    """What the scheduler asks of a queue."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[str, int]] = {}

    def enqueue(self, run_id: str, fence: int, *, timeout_seconds: int) -> None:
        self.waiting[job_id(run_id, fence)] = (run_id, fence)

    def known(self, job_ids: Iterable[str]) -> set[str]:
        return self.waiting.keys() & set(job_ids)

    def workers(self) -> list[str]:
        return []


@dataclass(frozen=True)
class Script:
    """What becomes of a repository's pull request, in hours after it was opened; None: it does not happen."""

    merged: float | None = None
    closed: float | None = None
    edited: float | None = None
    broken: bool = False
    """CI fails at first; `mended` hours later it passes."""
    mended: float | None = None
    words: str = ""
    outcome: Outcome = Outcome.PUBLISHED


Casting = Callable[[str, random.Random], Script]


def usual(name: str, rng: random.Random) -> Script:
    """Most are merged within two days; some are closed, ignored or edited, have a broken CI, or come to nothing at all."""
    kind = rng.random()
    if kind < 0.04:
        return Script(outcome=rng.choice([Outcome.NO_CHANGE, Outcome.REJECTED, Outcome.FAILED]))
    if kind < 0.08:
        return Script(closed=rng.uniform(1, 30), words=f"{name} is on its own schedule")
    if kind < 0.10:
        return Script()
    edited = rng.uniform(1, 4) if kind < 0.18 else None
    broken = kind > 0.94
    return Script(merged=rng.uniform(1, 40) + 6 * broken, edited=edited, broken=broken, mended=5 if broken else None)


class Simulation:
    """One campaign, its people, and an oracle that looks at the host and never at what the bot thinks."""

    def __init__(self, world: World, *, repositories: int, seed: int, rollout: dict[str, Any], casting: Casting = usual):
        self.world, self.host, self.jobs = world, MemoryHost(now=world.clock.now), Jobs()
        self.rng, self.seed, self.casting = random.Random(seed), seed, casting
        self.fate = Fate(rng=random.Random(seed + 1))
        world.host = self.host
        self.host.acting = self._may_die
        cast(MortalDatabase, world.database).boundary = self._may_die
        self.rollout = Rollout.model_validate(rollout)
        self.scripts: dict[str, Script] = {}
        for number in range(repositories):
            self.add_repository(f"r{number:04}")
        self.mortal = False
        self.waves_seen: set[int] = {1}
        self.halts = 0
        self.halted_since: datetime | None = None
        self.most: Counter[str] = Counter()
        self.campaign = self.start()

    # --- what happens ---

    def add_repository(self, name: str) -> None:
        self.host.create(name, {"README.md": b"hello\n"})
        self.scripts[name] = self.casting(name, random.Random(f"{self.seed} {name}"))

    def start(self) -> str:
        """As a schedule does: the campaign is started, or joined."""
        return self.world.start(rollout=self.rollout.model_dump())

    def day(self, *, ticks: int = 24) -> None:
        for _ in range(ticks):
            self.tick(timedelta(days=1) / ticks)

    def tick(self, passing: timedelta) -> None:
        """Time passes, people act, and the machine works; then all that was promised is looked at."""
        self.world.clock.advance(passing.total_seconds())
        self._people_act()
        self.mortal = True
        with suppress(Died):
            refresh_all(self.world.services, [self.world.org])
        for _ in range(3):
            with suppress(Died):
                self._machine_works()
        self.mortal = False
        self._operator_looks()
        self.check()

    def finished(self) -> bool:
        return self.world.campaign(self.campaign).state is CampaignState.COMPLETED

    def _may_die(self, what: str) -> None:
        if self.mortal:
            self.fate(what)

    def _machine_works(self) -> None:
        services, jobs = self.world.services, cast(JobQueue, self.jobs)
        Scheduler(services, jobs, [self.world.org], lambda: None, workers=50).round()
        if self.rng.random() < 0.02:
            self.jobs.waiting.clear()  # Redis was wiped
        for key in list(self.jobs.waiting):
            if self.rng.random() < 0.9:  # else no worker is free before the next time
                run_id, fence = self.jobs.waiting.pop(key)
                with suppress(Died):
                    self._attempt(run_id, fence)

    def _people_act(self) -> None:
        now = self.world.clock.now()
        for name, found in self.open_ones():
            script, age = self.scripts[name], (now - self.host.opened_at[name, found.number]) / HOUR
            if age >= 1:
                broken = script.broken and (script.mended is None or age < script.mended)
                self.host.check(name, found.number, ChecksState.FAILED if broken else ChecksState.PASSED)
            if script.edited is not None and age >= script.edited and "edit.txt" not in self._tree(name, found):
                self.host.commit(name, {"edit.txt": b"mine\n"}, branch=BRANCH)
            if script.merged is not None and age >= script.merged:
                self.host.merge(name, found.number, by="mia")
            elif script.closed is not None and age >= script.closed:
                self.host.say(name, found.number, script.words, author="bob")
                self.host.close(name, found.number, by="bob")

    def _operator_looks(self) -> None:
        """Once a day, somebody reads why the campaign was halted, and lets it go on."""
        now = self.world.clock.now()
        if self.world.campaign(self.campaign).state is not CampaignState.HALTED:
            self.halted_since = None
        elif self.halted_since is None:
            self.halted_since, self.halts = now, self.halts + 1
        elif now - self.halted_since >= timedelta(days=1):
            control.resume(self.world.services, self.campaign, actor="olga")

    # --- an attempt, as far as SQL and the host see one ---

    def _attempt(self, run_id: str, fence: int) -> None:
        with self.world.database.transaction() as tx:
            run = runs.claim(tx, run_id, fence, worker="worker", now=self.world.clock.now(), lease=LEASE)
        if run is None:
            return
        with suppress(FenceLost):
            try:
                self._change(run)
            except CeilingReached as error:
                following = again(error, tries=run.tries, setbacks=run.setbacks, tries_allowed=1)
                assert following is not None
                assert following.counts_as is None
                now = self.world.clock.now()
                with self.world.database.transaction() as tx:
                    runs.hand_back(tx, run, error.explanation, now=now, not_before=now + following.after)

    def _change(self, run: Run) -> None:
        name, kept = run.repository.name, self.host.kept[run.repository.name]
        outcome, reason = self._without_publishing(run, self.scripts[name])
        if outcome is not None:
            return self._end(run, outcome, reason)
        base, now = kept.branches[run.base], self.world.clock.now()
        commit = f"{run.id}.{run.fence}".encode().hex().ljust(40, "0")[:40]
        with self.world.database.transaction() as tx:
            runs.note_attempt(tx, run, base_head=base, commit=commit)
        publication = self._intend(run)
        pushed = kept.branches.get(BRANCH)
        head = pushed or self.host.push(name, BRANCH, {NOTE: b"note\n"}, expected=None, commit=commit)
        with self.world.database.transaction() as tx:
            runs.require(tx, run)
            publications.record_push(tx, publication, head=head, base_head=base, now=now)
        opened = self.host.open_pull_request(run.repository, branch=BRANCH, base=run.base, text=PullRequestText("T", "B"))
        with self.world.database.transaction() as tx:
            runs.require(tx, run)
            publications.record_open(tx, publication, opened, campaigns.get(tx, run.campaign_id).revision, now)
        return self._end(run, Outcome.PUBLISHED, "published", publication.id)

    def _without_publishing(self, run: Run, script: Script) -> tuple[Outcome | None, str]:
        kept = self.host.kept[run.repository.name]
        if NOTE in kept.commits[kept.branches[run.base]].tree:
            return Outcome.NO_CHANGE, "as the policy wants it"
        if script.outcome is not Outcome.PUBLISHED:
            return script.outcome, f"it is {script.outcome}"
        found = self.host.pull_requests(run.repository, BRANCH)
        if found and found[-1].state is PullRequestState.CLOSED:
            return Outcome.SKIPPED, "closed by a person"
        return None, ""

    def _intend(self, run: Run) -> publications.Publication:
        now = self.world.clock.now()
        with self.world.database.transaction() as tx:
            runs.require(tx, run)
            rollout = require_admitted(tx, run.id, now)
            change = Change(run.org, "notes", run.repository.name, run.base)
            ceilings = self.world.org.ceilings
            return publications.intend(tx, change, branch=BRANCH, ceilings=ceilings, now=now, rollout=rollout)

    def _end(self, run: Run, outcome: Outcome, reason: str, publication_id: int | None = None) -> None:
        with self.world.database.transaction() as tx:
            runs.end(tx, run, outcome, reason, now=self.world.clock.now(), publication_id=publication_id)

    # --- the oracle ---

    def open_ones(self) -> list[tuple[str, PullRequest]]:
        return [
            (name, found)
            for name, kept in self.host.kept.items()
            for found in kept.pull_requests.values()
            if found.state is PullRequestState.OPEN
        ]

    def check(self) -> None:
        """What holds at every moment, by the host's own books."""
        campaign = self.world.campaign(self.campaign)
        opened = self.host.opened_at
        reached = {name for name, _ in opened}
        allowed = bounds(self.rollout, self._targets())[campaign.open_wave - 1] if self.rollout.waves else len(self.scripts)
        assert len(reached) <= allowed, f"wave {campaign.open_wave} reaches {allowed}, and {len(reached)} have pull requests"
        open_ones = Counter(name for name, _ in self.open_ones())
        assert set(open_ones.values()) <= {1}, "two pull requests of a repository are open"
        ceilings = self.world.org.ceilings
        assert open_ones.total() <= min(self.rollout.max_open or len(opened) + 1, ceilings.open_pull_requests)
        hour = [at for at in opened.values() if at > self.world.clock.now() - HOUR]
        assert len(hour) <= min(self.rollout.per_hour or len(opened) + 1, ceilings.pull_requests_per_hour)
        assert all(_in_office(at) for at in hour) or not self.rollout.windows
        self.most |= Counter({"open": open_ones.total(), "an hour": len(hour), "waves": campaign.open_wave})
        self._check_gates(campaign.open_wave)

    def _check_gates(self, open_wave: int) -> None:
        with self.world.database.reading() as tx:
            begun = {wave.number: wave for wave in waves.of_campaign(tx, self.campaign)}
        for number in sorted(begun.keys() - self.waves_seen):
            self.waves_seen.add(number)
            before = max(each for each in begun if each < number)
            if begun[number].opened_by == waves.OWN and not begun[before].waived:
                self._check_gate(before, begun[number].opened_at - begun[before].opened_at)
        assert open_wave == max(begun, default=0)

    def _check_gate(self, wave: int, age: timedelta) -> None:
        """A wave that was left behind by its gate: the host's books agree with every minimum and maximum."""
        gate, there = self.rollout.gate, self._pull_requests_of(wave)
        merged = sum(found.state is PullRequestState.MERGED for found in there)
        closed = sum(found.state is PullRequestState.CLOSED for found in there)
        refused = self._outcomes(wave)[Outcome.REJECTED]
        assert set(self._outcomes(wave)) <= set(Outcome), "a run of the wave has not ended"
        if there and gate.merged:
            assert Fraction(merged, len(there)) >= share(gate.merged)
        if there and gate.rejected and not self.fate.deaths:
            assert Fraction(closed + refused, len(there) + refused) <= share(gate.rejected)
        if there and gate.edited and not self.fate.deaths:
            assert Fraction(self._edited(wave), len(there)) <= share(gate.edited)
        if gate.failed:
            outcomes = self._outcomes(wave)
            assert outcomes[Outcome.FAILED] <= share(gate.failed) * outcomes.total()
        if there and gate.ci_passed and not self.fate.deaths:
            assert self._passed_by_ci(wave) >= share(gate.ci_passed) * len(there)
        if gate.after:
            assert age >= duration(gate.after)

    def _edited(self, wave: int) -> int:
        """How many of the wave's pull requests have a commit by people."""
        return sum("edit.txt" in kept.commits[head].tree for kept, head in self._heads(wave))

    def _passed_by_ci(self, wave: int) -> int:
        return sum(kept.checks.get(head) is ChecksState.PASSED for kept, head in self._heads(wave))

    def _heads(self, wave: int) -> list[tuple[Any, str]]:
        """Each pull request's repository, as the host keeps it, and where its branch is."""
        kept = [self.host.kept[name] for name in self._names_of(wave)]
        return [(each, each.branches.get(found.branch, found.head)) for each in kept for found in each.pull_requests.values()]

    def require_nobody_lost(self) -> None:
        """At the end of all: each target has come to what its script says, and is known to have."""
        refresh_all(self.world.services, [self.world.org])
        with self.world.database.reading() as tx:
            rows = tx.execute(select(runs_table).where(runs_table.c.campaign_id == self.campaign)).all()
            known = {row.repository: row.state for row in tx.execute(select(publications_table))}
        assert Counter(row.repository for row in rows) == Counter(self.scripts.keys())
        for row in rows:
            assert row.state == "ended", f"{row.id} is {row.state}: {row.reason}"
            found = list(self.host.kept[row.repository].pull_requests.values())
            if row.outcome == Outcome.PUBLISHED:
                assert len(found) == 1
                assert found[0].state.value == known[row.repository]
            elif self.scripts[row.repository].outcome is Outcome.PUBLISHED:
                # Its worker died after the pull request was opened, and people were quicker than the next one.
                assert row.outcome in (Outcome.NO_CHANGE, Outcome.SKIPPED, Outcome.FAILED)
                assert self.fate.deaths

    def _targets(self) -> int:
        with self.world.database.reading() as tx:
            return sum(targets for targets, _ in waves.sizes(tx, self.campaign).values())

    def _pull_requests_of(self, wave: int) -> list[PullRequest]:
        return [found for name in self._names_of(wave) for found in self.host.kept[name].pull_requests.values()]

    def _names_of(self, wave: int) -> list[str]:
        of_wave = (runs_table.c.campaign_id == self.campaign, runs_table.c.wave == wave)
        with self.world.database.reading() as tx:
            return list(tx.execute(select(runs_table.c.repository).where(*of_wave)).scalars())

    def _outcomes(self, wave: int) -> Counter[str]:
        of_wave = (runs_table.c.campaign_id == self.campaign, runs_table.c.wave == wave)
        with self.world.database.reading() as tx:
            return Counter(tx.execute(select(runs_table.c.outcome).where(*of_wave)).scalars())

    def _tree(self, name: str, found: PullRequest) -> Any:
        kept = self.host.kept[name]
        return kept.commits[kept.branches[found.branch]].tree


def _in_office(at: datetime) -> bool:
    return at.weekday() < 5 and 9 <= at.hour < 17
