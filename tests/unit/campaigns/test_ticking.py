"""Control issues: what they show, and what ticking a box in one does. Through real SQL and a local host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from bot.campaigns import ticking
from bot.campaigns.inbox import Inbox
from bot.domain.boxes import Act, Box
from bot.domain.events import IssueEdited
from bot.domain.org_policies import Control, OrgPolicy
from bot.domain.states import CampaignState
from bot.errors import AgentFailed, HostUnavailable
from bot.hosts.github_events import normalise_github
from bot.hosts.gitlab_events import normalise_gitlab
from bot.store import audit, reports
from bot.store import deliveries as stored
from bot.store.schema import deliveries
from bot.tracking.controlling import EVERY, tell_control
from bot.tracking.pull_requests import refresh_publications
from tests.fakes import deliveries as github_payloads
from tests.fakes import gitlab_payloads
from tests.fakes.blade import Blade, BladedDatabase, Killed
from tests.fakes.deliveries import encode
from tests.fakes.talker import KeptIssue, Talker
from tests.fakes.world import World

PLATFORM = "platform"
ROLLOUT = {"waves": [1, "100%"], "approval": "manual"}


class Directed:
    """A campaign with a control issue in acme/platform. mia may start campaigns, bob may not."""

    def __init__(self, world: World, **policy: Any):
        self.world, self.talker = world, Talker(world.local, mia="admin")
        world.talker = self.talker
        for name in ("one", "two"):
            world.repository(name)
        self.campaign = world.start(**policy)
        world.repository(PLATFORM)
        may = world.org.may_trigger.model_copy(update={"users": ["mia"], "permission": "admin"})
        control = Control(repository=f"acme/{PLATFORM}")
        world.org = world.org.model_copy(update={"control": control, "may_trigger": may})
        self.tell()

    def tell(self) -> int:
        self.world.clock.advance(EVERY.total_seconds())
        return tell_control(self.world.services, [self.world.org])

    @property
    def number(self) -> int:
        ((_, number),) = self.talker.kept
        return number

    @property
    def issue(self) -> KeptIssue:
        return self.talker.kept[PLATFORM, self.number]

    def edit(self, act: Act, subject: str = "", **options: Any) -> IssueEdited:
        return self.talker.tick(PLATFORM, self.number, Box(act, subject), **options)

    def tick(self, act: Act, subject: str = "", **options: Any) -> str:
        """Tick it, have that handled, and have the issue written anew."""
        event = self.edit(act, subject, **options)
        assert ticking.has_ticks(event)
        said = ticking.handle(self.world.services, event)
        self.tell()
        assert "- [x]" not in self.issue.body
        return said

    @property
    def state(self) -> CampaignState:
        return self.world.campaign(self.campaign).state

    def outcomes(self) -> dict[str, tuple[str, str]]:
        with self.world.database.reading() as tx:
            rows = reports.campaign_runs(tx, self.campaign)
        return {row["target"]: (row["state"], row["outcome"] or "") for row in rows}

    def acts(self) -> list[tuple[str, str]]:
        with self.world.database.reading() as tx:
            return [(event["action"], event["actor"]) for event in audit.events(tx, "acme") if event["actor"] == "local:mia"]


@pytest.fixture
def directed(world: World) -> Directed:
    return Directed(world)


class TestIssue:
    def test_there_is_one_and_it_tells_how_the_campaign_goes(self, directed: Directed) -> None:
        assert directed.issue.title == f"Whimbrel: notes ({directed.campaign})"
        assert "**running**: 0 of 2 " in directed.issue.body
        edits = directed.talker.edits
        assert directed.tell() == 0
        directed.world.work()
        assert directed.tell() == 1
        assert directed.talker.edits == edits + 1
        assert "**completed**: 2 of 2 " in directed.issue.body
        assert "\n| 2 | 0 | 0 |" in directed.issue.body

    def test_it_is_not_written_all_the_time(self, directed: Directed) -> None:
        directed.world.work()
        assert tell_control(directed.world.services, [directed.world.org]) == 0
        directed.world.clock.advance(EVERY.total_seconds())
        assert tell_control(directed.world.services, [directed.world.org]) == 1

    def test_it_is_closed_with_the_last_pull_request(self, directed: Directed) -> None:
        directed.world.work()
        directed.tell()
        assert directed.issue.is_open
        for name in ("one", "two"):
            directed.world.local.merge(directed.world.local.repository("acme", name), 1, by="ann")
        refresh_publications(directed.world.services, directed.world.local, "acme")
        directed.tell()
        assert not directed.issue.is_open
        assert "tick a box" not in directed.issue.body
        edits = directed.talker.edits
        assert (directed.tell(), directed.talker.edits) == (0, edits)

    def test_waves_are_told(self, world: World) -> None:
        directed = Directed(world, rollout=ROLLOUT)
        assert "| 1 | open | 0 of 1 |" in directed.issue.body
        assert "- [ ] begin wave 2 now" in directed.issue.body

    def test_a_host_that_is_away_is_written_to_later(self, directed: Directed) -> None:
        def away(moment: str) -> None:
            raise HostUnavailable("no answer")

        directed.world.work()
        directed.talker.watch = away
        assert directed.tell() == 0
        directed.talker.watch = lambda _: None
        assert directed.tell() == 1

    @pytest.mark.parametrize(
        ("host", "repository", "said"),
        [("local:host", "acme/platform", "no issues"), ("github", "others/platform", "the org's own")],
    )
    def test_where_it_cannot_be_is_refused(self, host: str, repository: str, said: str) -> None:
        data = {"org": "acme", "host": host, "quota": {"usd_per_month": 1}, "control": {"repository": repository}}
        with pytest.raises(ValidationError, match=said):
            OrgPolicy.model_validate(data)

    def test_it_is_intended_when_the_campaign_is_started(self, world: World) -> None:
        """However soon that is over."""
        data = world.org.model_dump(mode="json") | {"host": "github", "control": {"repository": f"acme/{PLATFORM}"}}
        world.org = OrgPolicy.model_validate(data)
        world.talker = talker = Talker(world.local)
        nothing = world.start()
        for name in ("one", PLATFORM):
            world.repository(name)
        campaign = world.start(name="others")
        world.work()
        assert tell_control(world.services, [world.org]) == 1
        assert [kept.title for kept in talker.kept.values()] == [f"Whimbrel: others ({campaign})"]
        assert nothing != campaign


class TestTicks:
    def test_pause_and_go_on(self, directed: Directed) -> None:
        assert directed.tick(Act.PAUSE) == ""
        assert directed.state is CampaignState.PAUSED
        assert "mia, `pause`: it is paused" in directed.issue.body
        assert directed.tick(Act.RESUME) == ""
        assert directed.state is CampaignState.RUNNING
        assert directed.acts() == [("campaign.paused", "local:mia"), ("campaign.resumed", "local:mia")]

    def test_the_next_wave(self, world: World) -> None:
        directed = Directed(world, rollout=ROLLOUT)
        assert directed.tick(Act.APPROVE, "2") == ""
        assert world.campaign(directed.campaign).open_wave == 2
        assert "begin wave" not in directed.issue.body

    def test_retry_what_failed(self, world: World) -> None:
        def fail(*_: object) -> None:
            raise AgentFailed("the end of the world")

        world.acts["act"] = fail
        directed = Directed(world, steps=[{"run": "act"}])
        world.work()
        directed.tell()
        world.acts["act"] = lambda *_: None
        assert directed.tick(Act.RETRY) == ""
        world.work()
        assert directed.outcomes() == dict.fromkeys(("one", "two"), ("ended", "published"))

    def test_skip_a_repository(self, directed: Directed) -> None:
        assert directed.tick(Act.SKIP, "one") == ""
        assert directed.outcomes()["one"] == ("ended", "skipped")
        directed.world.work()
        assert directed.outcomes()["two"] == ("ended", "published")
        assert directed.acts() == [("campaign.skipped", "local:mia")]

    def test_close_all(self, directed: Directed) -> None:
        item, _ = directed.world.dispatch()
        directed.world.attempt(item)
        directed.tell()
        assert directed.tick(Act.CLOSE) == ""
        assert directed.state is CampaignState.CANCELLED
        assert not [each for name in ("one", "two") for each in directed.world.open_pull_requests(name)]
        assert "it has ended, and 1 pull requests are closed" in directed.issue.body
        assert not directed.issue.is_open

    def test_the_same_edit_told_twice_is_one(self, directed: Directed) -> None:
        event = directed.edit(Act.PAUSE)
        ticking.handle(directed.world.services, event)
        directed.tell()
        directed.tick(Act.RESUME)
        assert ticking.handle(directed.world.services, event) == ""
        assert directed.state is CampaignState.RUNNING

    def test_ticked_again_it_is_another_one(self, directed: Directed) -> None:
        for _ in range(2):
            directed.tick(Act.PAUSE)
            directed.tick(Act.RESUME)
        assert len(directed.acts()) == 4


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_by_what_a_webhook_tells(directed: Directed, kind: str) -> None:
    """A tick, the same told again, and an edit that ticks nothing."""
    services, edit = directed.world.services, directed.edit(Act.PAUSE)
    inbox = Inbox(services, {"github": normalise_github, "gitlab": normalise_gitlab})

    def told(name: str, before: str) -> str:
        body = {"github": github_edit, "gitlab": gitlab_edit}[kind](edit.number, before, edit.after)
        with services.database.transaction() as tx:
            now = services.clock.now()
            stored.receive(tx, id=name, host=kind, event="issues", body=encode(body), signers=["local"], now=now)
        assert inbox.handle_pending() == 1
        with services.database.reading() as tx:
            return str(tx.execute(select(deliveries.c.reason).where(deliveries.c.id == name)).scalar_one())

    assert told("first", edit.before) == ""
    assert directed.state is CampaignState.PAUSED
    assert told("second", edit.before) == "it was told by another delivery already"
    assert told("third", edit.after) == ticking.NO_TICK


def github_edit(number: int, before: str, after: str) -> dict[str, Any]:
    issue = {"number": number, "updated_at": "2026-01-15T12:00:00Z", "body": after}
    return github_payloads.about("edited", "mia", PLATFORM, issue=issue, changes={"body": {"from": before}})


def gitlab_edit(number: int, before: str, after: str) -> dict[str, Any]:
    changes = {"description": {"previous": before, "current": after}}
    return gitlab_payloads.thing("issue", "update", number=number, actor="mia", path=f"acme/{PLATFORM}") | {"changes": changes}


class TestWhoMay:
    def test_who_may_not_is_refused_in_the_issue_and_the_audit_trail(self, directed: Directed) -> None:
        said = directed.tick(Act.CLOSE, by="bob")
        assert said.startswith("refused: bob has the permission `")
        assert directed.state is CampaignState.RUNNING
        assert "bob, `close`: refused: bob has the permission" in directed.issue.body
        with directed.world.database.reading() as tx:
            refused = [event for event in audit.events(tx, "acme") if event["action"] == "trigger.refused"]
        assert [(event["actor"], event["subject"]) for event in refused] == [("local:bob", directed.campaign)]

    def test_to_skip_a_repository_that_one_is_enough(self, directed: Directed) -> None:
        assert directed.tick(Act.SKIP, "one", by="bob").startswith("refused: bob")
        directed.talker.permissions["bob"] = "admin"
        assert directed.tick(Act.SKIP, "one", by="bob") == ""
        assert directed.tick(Act.PAUSE, by="bob").startswith("refused: bob")

    def test_the_bots_own_edits_are_no_ticks(self, directed: Directed) -> None:
        assert not ticking.has_ticks(directed.edit(Act.PAUSE, bot=True))
        directed.tell()
        directed.issue.body = directed.issue.body.replace("[x]", "[ ]")
        by_itself = directed.edit(Act.PAUSE, by=directed.talker.own_login)
        assert ticking.handle(directed.world.services, by_itself) == "the bot does not answer itself"
        assert directed.state is CampaignState.RUNNING

    def test_another_issue_with_the_same_text_is_none(self, directed: Directed) -> None:
        directed.talker.kept[PLATFORM, 999] = KeptIssue("mine", directed.issue.body)
        forged = directed.talker.tick(PLATFORM, 999, Box(Act.PAUSE))
        assert ticking.handle(directed.world.services, forged).endswith("is no control issue of the bot's")
        assert directed.state is CampaignState.RUNNING

    def test_other_edits_are_nothing(self, directed: Directed) -> None:
        event = directed.edit(Act.PAUSE)
        untold = IssueEdited(event.repository, 5, "- [ ] a", "- [x] a", "mia", actor_is_bot=False, at="now")
        assert not ticking.has_ticks(untold)


def test_a_public_issue_names_no_other_repository(directed: Directed) -> None:
    assert "skip one" in directed.issue.body
    about = directed.world.folder / "host" / "acme" / f"{PLATFORM}.meta" / "repository.json"
    about.parent.mkdir(exist_ok=True)
    about.write_text('{"visibility": "public"}')
    directed.tell()
    assert "skip" not in directed.issue.body.split("<sub>")[0]


@pytest.mark.parametrize("act", [Act.PAUSE, *(pytest.param(act, marks=pytest.mark.slow) for act in (Act.RETRY, Act.CLOSE))])
def test_killed_anywhere_a_tick_has_one_effect(new_world: Callable[..., World], act: Act) -> None:
    blade = Blade(0)
    while blade.fallen:
        world: World = new_world(BladedDatabase)
        tries: list[str] = []

        def fail(*_: object, tries: list[str] = tries) -> None:
            tries.append("tried")
            raise AgentFailed("the end of the world")

        world.acts["act"] = fail
        directed = Directed(world, steps=[{"run": "act"}] if act is Act.RETRY else [])
        if act is not Act.PAUSE:
            world.work()
            directed.tell()
        event, blade = directed.edit(act), Blade(len(blade.moments) + 1)
        assert isinstance(world.database, BladedDatabase)
        world.database.blade = blade
        directed.talker.watch = blade.pass_under
        try:
            ticking.handle(world.services, event)
            directed.tell()
        except Killed:
            ticking.handle(world.services, event)
        world.database.blade, directed.talker.watch = None, lambda _: None
        world.work()
        directed.tell()
        assert len(directed.talker.kept) == 1
        assert directed.issue.body.count(f"`{act}`:") == 1
        assert len(tries) == (4 if act is Act.RETRY else 0)
        wanted = {Act.PAUSE: "campaign.paused", Act.RETRY: "campaign.retried", Act.CLOSE: "bulk.close"}[act]
        assert [action for action, _ in directed.acts()].count(wanted) in ((1, 2) if act is Act.CLOSE else (1,))
        world.require_tidy()
    assert len(blade.moments) > 3
