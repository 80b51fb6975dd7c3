"""Somebody who may write has the bot leave their repository alone: by a comment, by a label; and takes that back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.campaigns.triggers import handle
from bot.domain.policies import OFF_LABEL
from bot.domain.repositories import Repository
from bot.domain.states import Outcome
from bot.pipeline.lease import LEASE
from bot.store import audit, opt_outs, reports, runs
from bot.tracking.pull_requests import refresh_all
from tests.fakes.talker import Talker
from tests.fakes.world import World

ISSUE = 107
ONE = Repository("acme", "one", "main", None)


@pytest.fixture
def talker(world: World) -> Talker:
    """mia may write, in a world with two repositories."""
    for name in ("one", "two"):
        world.repository(name)
    talker = Talker(world.local, mia="write")
    world.talker = talker
    return talker


def reasons(world: World) -> dict[str, str | None]:
    plan, _ = world.plan()
    return {entry.target.repository: entry.skip_reason for entry in plan.entries}


def left_alone(world: World) -> list[str]:
    with world.database.reading() as tx:
        return list(opt_outs.of_org(tx, "acme"))


def outcome(world: World, campaign: str) -> tuple[str, str]:
    """Of its first run."""
    with world.database.reading() as tx:
        first = reports.campaign_runs(tx, campaign)[0]
    return first["target"], first["outcome"]


def last_event(world: World) -> tuple[str, str, str, str]:
    with world.database.reading() as tx:
        *_, event = audit.events(tx, "acme")
    return event["actor"], event["action"], event["subject"], event["reason"]


class TestBeforeAnything:
    def test_a_comment_is_a_skip_in_the_plan_with_who_and_where(self, world: World, talker: Talker) -> None:
        assert handle(world.services, talker.comment("one", ISSUE, "/whimbrel off")) == ""
        assert reasons(world) == {"one": "mia has the bot leave it alone: a comment on #107", "two": None}
        assert last_event(world) == ("mia", "repository.opted_out", "acme/one", "a comment on #107")
        (said,) = talker.said("one", ISSUE)
        assert "left alone from now on, as mia asked" in said

    def test_a_preview_leaves_it_alone_too(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        plan, _ = world.plan(earlier="nothing")
        assert [entry.target.repository for entry in plan.targets] == ["two"]

    def test_it_is_taken_back(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        assert handle(world.services, talker.comment("one", ISSUE, "/whimbrel on")) == ""
        assert reasons(world)["one"] is None
        assert last_event(world)[:3] == ("mia", "repository.opted_in", "acme/one")
        assert handle(world.services, talker.comment("one", ISSUE, "/whimbrel on")) == ""
        assert "Nothing had kept the bot off" in talker.said("one", ISSUE)[-1]

    def test_a_label_and_its_end(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.label("one", ISSUE, OFF_LABEL))
        assert reasons(world)["one"] == "mia has the bot leave it alone: the label whimbrel:off on #107"
        handle(world.services, talker.label("one", ISSUE + 1, OFF_LABEL, removed=True))
        assert left_alone(world) == ["one"]  # another issue's
        handle(world.services, talker.label("one", ISSUE, OFF_LABEL, removed=True))
        assert left_alone(world) == []

    @pytest.mark.parametrize("words", ["/whimbrel off", "/whimbrel on"])
    def test_nobody_who_may_not_write(self, world: World, talker: Talker, words: str) -> None:
        handle(world.services, talker.comment("two", ISSUE, "/whimbrel off"))
        place = "one" if words.endswith("off") else "two"
        said = handle(world.services, talker.comment(place, ISSUE, words, by="eve"))
        assert said == f"refused: eve has the permission `read` on acme/{place}, `write` is needed to turn the bot off or on"
        assert left_alone(world) == ["two"]

    def test_whoever_may_write_may_though_campaigns_are_for_admins_alone(self, world: World, talker: Talker) -> None:
        world.org = world.org.model_copy(
            update={"may_trigger": world.org.may_trigger.model_copy(update={"permission": "admin"})}
        )
        assert handle(world.services, talker.comment("one", ISSUE, "/whimbrel off")) == ""
        assert left_alone(world) == ["one"]


class TestWorkThatIsOpen:
    def test_what_waits_is_ended_and_nothing_is_begun(self, world: World, talker: Talker) -> None:
        campaign = world.start()
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        world.work()
        assert outcome(world, campaign) == ("one", Outcome.SKIPPED)
        assert not world.open_pull_requests("one")
        assert len(world.open_pull_requests("two")) == 1

    def test_an_attempt_under_way_publishes_nothing(self, world: World, talker: Talker) -> None:
        campaign = world.start()
        first = next(item for item in world.dispatch() if item.run_id.endswith("-1"))
        with world.database.transaction() as tx:
            claimed = runs.claim(tx, first.run_id, first.fence, worker="w", now=world.clock.now(), lease=LEASE)
        assert claimed is not None
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        assert outcome(world, campaign) == ("one", Outcome.SKIPPED)
        world.require_tidy()

    def test_a_run_that_is_begun_later_is_skipped(self, world: World, talker: Talker) -> None:
        """Its plan was made before."""
        plan, policy = world.plan()
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        world.activate(plan, policy)
        world.work()
        assert not world.open_pull_requests("one")

    def test_an_open_pull_request_stays_open_and_is_frozen_until_it_is_taken_back(self, world: World, talker: Talker) -> None:
        world.start()
        world.work()
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel off"))
        found = world.publication("one")
        assert found is not None
        assert (found.state, found.frozen) == ("open", "mia has the bot leave it alone: a comment on #107")
        assert "yours to merge or to close: #1." in talker.said("one", ISSUE)[0]
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel on"))
        found = world.publication("one")
        assert found is not None
        assert found.frozen == ""

    def test_a_label_counts_within_one_sweep_though_no_webhook_told_of_it(self, world: World, talker: Talker) -> None:
        world.start()
        world.work()
        self.label(world, (OFF_LABEL,))
        refresh_all(world.services, [world.org])
        assert reasons(world)["one"] == "somebody has the bot leave it alone: the label whimbrel:off on #1"
        self.label(world, ())
        refresh_all(world.services, [world.org])
        assert left_alone(world) == []

    def label(self, world: World, labels: tuple[str, ...]) -> None:
        [pull_request] = world.open_pull_requests("one")
        world.local.update_pull_request(ONE, pull_request.number, replace(pull_request.text, labels=labels))


def test_no_policy_is_started_by_that_label(world: World) -> None:
    about: dict[str, Any] = {"on": {"label": OFF_LABEL}}
    with pytest.raises(ValueError, match="has the bot leave a repository alone"):
        world.plan(**about)
