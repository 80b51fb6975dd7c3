"""What labels, comments and reviews start: through real SQL and a local host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.campaigns import control
from bot.campaigns.activation import hold
from bot.campaigns.triggers import Trigger, handle
from bot.domain.markdown import neutral
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.pull_requests import CommentRef, PullRequestState, Reaction
from bot.domain.repositories import Repository
from bot.domain.states import CampaignState, RunState
from bot.errors import CommandFailed, HostUnavailable, NotFound
from bot.ports import StepContext
from bot.store import audit, campaigns, ledger, reports
from bot.store.ledger import Accounts
from bot.tracking.pull_requests import refresh_publications
from bot.tracking.telling import tell_due
from tests.fakes import repositories
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.talker import Talker, thread_of
from tests.fakes.world import World

ISSUE = 101
ON = {"label": "whimbrel:notes", "comment": True}


@pytest.fixture
def talker(world: World) -> Talker:
    return people(world)


@pytest.fixture
def words(world: World) -> list[str]:
    """What the agent was told, an attempt each: a `run:` step stands for it."""
    told: list[str] = []

    def act(_: Accounts, context: StepContext) -> None:
        told.append(context.words)
        (context.workspace.tree / "attempts").write_text(str(len(told)))

    world.acts["act"] = act
    return told


def people(world: World) -> Talker:
    """mia may write, in a world with two repositories and a policy that labels and comments start."""
    for name in ("one", "two"):
        world.repository(name)
    admit(world)
    talker = Talker(world.local, mia="write")
    world.talker = talker
    return talker


def admit(world: World, note: str = "Be kind.", **policy: Any) -> CampaignPolicy:
    """Put a policy on the operator's disk, in the place of the one with its name."""
    _, parsed = world.plan(note, **{"on": ON, **policy})
    world.policies[parsed.name] = parsed
    return parsed


def do(world: World, event: Trigger) -> str:
    """Handle it, attempt what it starts, and tell of that."""
    said = handle(world.services, event)
    settle(world)
    return said


def settle(world: World) -> None:
    world.work()
    world.clock.advance(120)
    tell_due(world.services, [world.org])


def the_world_ends(*_: object) -> None:
    raise NotFound("the end of the world")


def repositories_at_work(world: World) -> list[str]:
    with world.database.reading() as tx:
        found = [run["target"] for campaign in campaigns.recent(tx) for run in reports.campaign_runs(tx, campaign.id)]
    return sorted(found)


def events_of(world: World, action: str) -> list[dict[str, Any]]:
    with world.database.reading() as tx:
        return [event for event in audit.events(tx, "acme") if event["action"] == action]


class TestRun:
    def test_a_comment_starts_the_policy_on_its_own_repository_alone(self, world: World, talker: Talker) -> None:
        comment = talker.comment("one", ISSUE, "/whimbrel run notes\n\nThank you!")
        assert handle(world.services, comment) == ""
        assert talker.reactions == [(comment.comment, Reaction.EYES)]
        assert repositories_at_work(world) == ["one"]
        assert [event["actor"] for event in events_of(world, "campaign.started")] == ["local:mia"]
        world.work()
        assert [len(world.open_pull_requests(name)) for name in ("one", "two")] == [1, 0]

    def test_so_does_a_label(self, world: World, talker: Talker) -> None:
        assert do(world, talker.label("one", ISSUE, "whimbrel:notes")) == ""
        assert talker.reactions == [(CommentRef(thread_of(ISSUE), ISSUE, "thread"), Reaction.EYES)]
        assert len(world.open_pull_requests("one")) == 1

    def test_and_a_review_that_says_so(self, world: World, talker: Talker) -> None:
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        world.work()
        talker.reactions.clear()
        assert handle(world.services, talker.review("one", 1, "/whimbrel status")) == ""
        assert talker.reactions == [(CommentRef(thread_of(1), 1, "thread"), Reaction.EYES)]
        assert handle(world.services, talker.review("one", 1, "Looks good")) == "nothing was asked for"

    def test_one_comment_follows_the_work(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        tell_due(world.services, [world.org])
        (said,) = talker.said("one", ISSUE)
        assert "`notes`: waiting for its turn" in said
        settle(world)
        (said,) = talker.said("one", ISSUE)
        assert "`notes`: #1: 1 file changed, no checks to pass" in said
        edits = talker.edits
        assert tell_due(world.services, [world.org]) == 0
        assert talker.edits == edits

    def test_a_second_one_joins(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        handle(world.services, talker.label("two", ISSUE, "whimbrel:notes"))
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        with world.database.reading() as tx:
            (campaign,) = campaigns.recent(tx)
        assert repositories_at_work(world) == ["one", "two"]
        settle(world)
        assert world.campaign(campaign.id).state is CampaignState.COMPLETED
        assert len(talker.said("one", ISSUE)) == len(talker.said("two", ISSUE)) == 1

    def test_what_the_policy_does_not_select_is_told(self, world: World, talker: Talker) -> None:
        admit(world, select={"exclude": ["one"]})
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        (said,) = talker.said("one", ISSUE)
        assert said.startswith("`notes` has nothing to do on acme/one: excluded by `one`")
        assert repositories_at_work(world) == []

    def test_what_was_attempted_in_the_same_campaign_is_told(self, world: World, talker: Talker) -> None:
        world.acts["fail"] = the_world_ends
        admit(world, steps=[{"run": "fail"}])
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        world.attempt(world.dispatch()[0])
        handle(world.services, talker.comment("two", ISSUE, "/whimbrel run notes"))
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        tell_due(world.services, [world.org])
        (said,) = talker.said("one", ISSUE)
        assert (
            "failed: the end of the world (its campaign had attempted it before; `/whimbrel retry` does so once more)" in said
        )


class TestTheRestOfTheOrg:
    """An event on one repository changes nothing for another one."""

    @pytest.fixture
    def campaign(self, world: World, talker: Talker) -> str:
        """Of everything, under way."""
        plan, policy = world.plan(on=ON)
        started = world.activate(plan, policy).campaign_id
        world.repository("three")
        return started

    def refused(self, world: World, talker: Talker, reason: str) -> None:
        before = repositories_at_work(world)
        for event in (talker.comment("three", ISSUE, "/whimbrel run notes"), talker.label("three", ISSUE, "whimbrel:notes")):
            assert reason in handle(world.services, event)
        assert repositories_at_work(world) == before
        assert all(said.startswith("Nothing was done: campaign") for said in talker.said("three", ISSUE))

    def test_it_joins_what_is_under_way(self, world: World, talker: Talker, campaign: str) -> None:
        handle(world.services, talker.comment("three", ISSUE, "/whimbrel run notes"))
        assert world.run(campaign, 3).repository.name == "three"

    def test_an_earlier_revision_is_not_put_to_an_end(self, world: World, talker: Talker, campaign: str) -> None:
        admit(world, "Be brief.")
        self.refused(world, talker, "at work on an earlier revision of notes")
        assert world.campaign(campaign).state is CampaignState.RUNNING
        assert world.run(campaign, 1).state is RunState.PENDING

    def test_what_was_interrupted_stays_so(self, world: World, talker: Talker, campaign: str) -> None:
        hold(world.services, campaign, actor="alice")
        self.refused(world, talker, "is interrupted")
        assert world.campaign(campaign).state is CampaignState.INTERRUPTED

    def test_what_was_paused_stays_so(self, world: World, talker: Talker, campaign: str) -> None:
        control.pause(world.services, campaign, actor="alice")
        self.refused(world, talker, "is paused")
        assert world.campaign(campaign).state is CampaignState.PAUSED

    def test_the_campaigns_budget_stays_what_it_was(self, world: World, talker: Talker) -> None:
        plan, policy = world.plan(on=ON)
        campaign = world.activate(plan, policy, max_usd=5).campaign_id
        world.repository("three")
        handle(world.services, talker.comment("three", ISSUE, "/whimbrel run notes"))
        with world.database.reading() as tx:
            account = ledger.account(tx, "campaign", campaign)
        assert account is not None
        assert account.cap == 5_000_000

    def test_a_retry_wakes_no_campaign_that_is_held(self, world: World, talker: Talker, campaign: str) -> None:
        handle(world.services, talker.comment("three", ISSUE, "/whimbrel run notes"))
        taken = {item.run_id: item for item in world.dispatch()}
        world.attempt(taken[world.run(campaign, 3).id])
        control.pause(world.services, campaign, actor="alice")
        assert "is paused" in handle(world.services, talker.comment("three", 1, "/whimbrel retry"))
        assert world.campaign(campaign).state is CampaignState.PAUSED


class TestWhoMay:
    def test_who_may_not_write_is_told_so(self, world: World, talker: Talker) -> None:
        said = handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes", by="bob"))
        assert said == (
            "refused: bob has the permission `read` on acme/one, `write` is needed to start a campaign"
        )  # fmt: skip
        (reply,) = talker.said("one", ISSUE)
        assert reply.startswith("Nothing was done: bob has the permission `read` on acme/one")
        assert "may_trigger" in reply
        assert repositories_at_work(world) == []
        (event,) = events_of(world, "trigger.refused")
        assert (event["actor"], event["subject"]) == ("local:bob", f"acme/one#{ISSUE}")

    def test_nor_by_a_label_or_a_review(self, world: World, talker: Talker) -> None:
        assert "refused" in handle(world.services, talker.label("one", ISSUE, "whimbrel:notes", by="bob"))
        assert "refused" in handle(world.services, talker.review("one", ISSUE, "/whimbrel run notes", by="bob"))
        assert repositories_at_work(world) == []

    def test_who_is_named_may(self, world: World, talker: Talker) -> None:
        world.org = OrgPolicy.model_validate(
            world.org.model_dump() | {"may_trigger": {"permission": "admin", "users": ["Bob"]}}
        )
        assert handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes", by="bob")) == ""
        assert "refused" in handle(world.services, talker.comment("two", ISSUE, "/whimbrel run notes", by="mia"))

    def test_the_bot_answers_neither_itself_nor_another_bot(self, world: World, talker: Talker) -> None:
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes", by="Whimbrel"))
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes", by="mia", bot=True))
        handle(world.services, talker.label("one", ISSUE, "whimbrel:notes", by="whimbrel"))
        assert (talker.reactions, talker.said("one", ISSUE), repositories_at_work(world)) == ([], [], [])

    def test_an_org_or_a_host_without_a_policy_is_none_of_ours(self, world: World, talker: Talker) -> None:
        comment = talker.comment("one", ISSUE, "/whimbrel run notes")
        other_org = replace(comment, repository=replace(comment.repository, org="rival"))
        other_host = replace(comment, repository=replace(comment.repository, host="github.com"))
        assert handle(world.services, other_org) == "no org policy is for rival on local"
        assert handle(world.services, other_host) == "no org policy is for acme on github.com"
        assert talker.reactions == []

    def test_talk_costs_no_request(self, world: World, talker: Talker) -> None:
        asked: list[str] = []
        talker.watch = asked.append
        for event in (
            talker.comment("one", ISSUE, "Nice!"),
            talker.comment("one", ISSUE, "> /whimbrel run notes"),
            talker.label("one", ISSUE, "bug"),
            talker.label("one", ISSUE, "whimbrel"),
            talker.label("one", ISSUE, "whimbrel:notes", removed=True),
        ):
            assert handle(world.services, event) == "nothing was asked for"
        assert asked == []


class TestAnswers:
    def answer(self, world: World, talker: Talker, body: str, number: int = ISSUE) -> str:
        handle(world.services, talker.comment("one", number, body))
        return talker.said("one", number)[-1]

    def test_a_misspelt_command(self, world: World, talker: Talker) -> None:
        said = self.answer(world, talker, "/whimbrel rnu notes")
        assert said.startswith("Nothing was done: there is no command `rnu`.\n\nDid you mean `/whimbrel run POLICY`?")
        assert "`/whimbrel help` lists" in self.answer(world, talker, "/whimbrel explode")

    def test_an_unknown_policy_or_label(self, world: World, talker: Talker) -> None:
        assert "no policy `nots` of acme is started by comments.\n\ndid you mean `notes`?" in self.answer(
            world, talker, "/whimbrel run nots"
        )
        handle(world.services, talker.label("one", ISSUE, "whimbrel:note"))
        assert "started by the label `whimbrel:note`.\n\ndid you mean `whimbrel:notes`?" in talker.said("one", ISSUE)[-1]

    @pytest.mark.parametrize("on", [{}, {"label": "whimbrel:notes"}])
    def test_a_policy_that_comments_do_not_start(self, world: World, talker: Talker, on: dict[str, Any]) -> None:
        admit(world, on=on)
        assert "is started by comments" in self.answer(world, talker, "/whimbrel run notes")
        assert repositories_at_work(world) == []

    def test_nobody_is_mentioned_by_an_echo(self, world: World, talker: Talker) -> None:
        for body in ("/whimbrel @acme/all", "/whimbrel run @acme/all", "/whimbrel run <!--x"):
            said = self.answer(world, talker, body)
            assert "@acme" not in said
            assert "<!" not in said

    def test_a_plan(self, world: World, talker: Talker) -> None:
        said = self.answer(world, talker, "/whimbrel plan notes")
        assert said.startswith("`notes` would work on acme/one, base `main` at `")
        assert "It would cost nothing: no step asks a model." in said
        admit(world, steps=[{"prompt": "Do it."}])
        assert "It would cost about $2.0" in self.answer(world, talker, "/whimbrel plan notes")
        assert repositories_at_work(world) == []

    def test_help(self, world: World, talker: Talker) -> None:
        admit(world, name="silent", on={})
        admit(world, name="labelled", on={"label": "whimbrel:labelled"})
        said = self.answer(world, talker, "/whimbrel help")
        assert "- `/whimbrel close`\n" in said
        assert "| `notes`: Every repository has a note | yes | `whimbrel:notes` |" in said
        assert "| `labelled`: Every repository has a note | no | `whimbrel:labelled` |" in said
        assert "silent" not in said
        world.policies.clear()
        assert "No policy of acme is started by comments or labels." in self.answer(world, talker, "/whimbrel")

    def test_status(self, world: World, talker: Talker) -> None:
        assert self.answer(world, talker, "/whimbrel status").startswith("There was no run on acme/one yet.")
        handle(world.services, talker.comment("one", ISSUE, "/whimbrel run notes"))
        assert "- `notes`: waiting for its turn (run `c" in self.answer(world, talker, "/whimbrel status")
        settle(world)
        assert "- `notes`: #1: 1 file changed" in self.answer(world, talker, "/whimbrel status")
        assert "is completed)" in self.answer(world, talker, "/whimbrel status", number=1)


class TestPullRequests:
    """What is asked for on a pull request of the bot's."""

    @pytest.fixture
    def opened(self, world: World, talker: Talker, words: list[str]) -> int:
        admit(world, steps=[{"run": "act"}])
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        return world.open_pull_requests("one")[0].number

    def test_a_retry_tells_the_agent_what_the_person_said(
        self, world: World, talker: Talker, opened: int, words: list[str]
    ) -> None:
        before = world.open_pull_requests("one")[0].head
        assert do(world, talker.comment("one", opened, "/whimbrel retry keep setup.cfg")) == ""
        assert do(world, talker.comment("one", opened, "/whimbrel retry")) == ""
        assert words == ["", "keep setup.cfg", ""]
        (pull_request,) = world.open_pull_requests("one")
        assert pull_request.head != before
        assert [event["actor"] for event in events_of(world, "campaign.retried")] == ["local:mia"] * 2
        (status,) = talker.said("one", opened)
        assert f"`notes`: #{opened}: " in status

    def test_words_without_an_agent_are_in_vain(self, world: World, talker: Talker, opened: int) -> None:
        do(world, talker.comment("one", opened, "/whimbrel retry be nice"))
        assert "no step of it asks a model, so the words have no effect" in talker.said("one", opened)[-1]

    def test_on_the_issue_where_it_was_asked_for_a_failed_run_is_retried(
        self, world: World, talker: Talker, words: list[str]
    ) -> None:
        admit(world, steps=[{"run": "fail"}])
        world.acts["fail"] = the_world_ends
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        assert "failed: the end of the world" in talker.said("one", ISSUE)[-1]
        world.acts["fail"] = lambda *_: None
        assert do(world, talker.comment("one", ISSUE, "/whimbrel retry")) == ""
        (said,) = talker.said("one", ISSUE)
        assert "`notes`: #1: 1 file changed" in said

    def test_a_failure_comment_says_what_has_failed(self, world: World, talker: Talker) -> None:
        """OpenHands #5137: "an error has occurred" tells nobody anything."""

        def fail(*_: object) -> None:
            raise CommandFailed("`make codemod` ended with 2: no rule to make target", exit_status=2, tail="")

        admit(world, steps=[{"run": "act"}])
        world.acts["act"] = fail
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        assert "failed: `make codemod` ended with 2: no rule to make target" in talker.said("one", ISSUE)[-1]

    def test_what_has_not_ended_cannot_be_retried(self, world: World, talker: Talker, opened: int) -> None:
        handle(world.services, talker.comment("one", opened, "/whimbrel retry"))
        assert "have not ended" in handle(world.services, talker.comment("one", opened, "/whimbrel retry"))

    def test_nor_what_is_merged(self, world: World, talker: Talker, opened: int, words: list[str]) -> None:
        world.local.merge(Repository("acme", "one", "", None), opened, by="ann")
        assert (
            handle(world.services, talker.comment("one", opened, "/whimbrel retry")) == f"refused: #{opened} is merged already"
        )
        settle(world)
        assert len(words) == 1

    def test_what_a_person_closed_is_opened_again(self, world: World, talker: Talker, opened: int, words: list[str]) -> None:
        world.local.close(Repository("acme", "one", "", None), opened, by="ann")
        refresh_publications(world.services, world.local, "acme")
        assert do(world, talker.comment("one", opened, "/whimbrel retry")) == ""
        (pull_request,) = world.open_pull_requests("one")
        assert (pull_request.number, len(words)) == (opened, 2)
        found = world.publication("one")
        assert found is not None
        assert (found.state, found.number, found.closed_by) == ("open", opened, "")

    def test_or_a_new_one_is_where_the_host_does_not_let_that_be(
        self, world: World, talker: Talker, opened: int, words: list[str]
    ) -> None:
        world.local.close(Repository("acme", "one", "", None), opened, by="ann")
        refresh_publications(world.services, world.local, "acme")
        world.host = WatchedHost(world.local, lambda _: None)  # it can do no more than a host must
        assert do(world, talker.comment("one", opened, "/whimbrel retry")) == ""
        (pull_request,) = world.open_pull_requests("one")
        assert (pull_request.number, len(words)) == (opened + 1, 2)

    def test_a_ceiling_is_passed_by_no_retry(self, world: World, talker: Talker, opened: int) -> None:
        world.local.close(Repository("acme", "one", "", None), opened, by="ann")
        refresh_publications(world.services, world.local, "acme")
        world.limit(ceilings={"open_pull_requests": 1})
        do(world, talker.comment("two", ISSUE, "/whimbrel run notes"))
        assert handle(world.services, talker.comment("one", opened, "/whimbrel retry")) == ""
        assert not world.open_pull_requests("one")
        assert len(world.open_pull_requests("two")) == 1

    def test_nor_what_is_none_of_the_bots(self, world: World, talker: Talker) -> None:
        assert "no run is behind #7" in handle(world.services, talker.comment("one", 107, "/whimbrel retry")).replace(
            "107", "7"
        )
        assert "no pull request of the bot's" in handle(world.services, talker.comment("one", ISSUE, "/whimbrel close"))

    @pytest.mark.parametrize("command", ["retry", "rebase", "takeover", "close"])
    def test_a_policy_that_comments_do_not_direct(self, world: World, talker: Talker, opened: int, command: str) -> None:
        admit(world, steps=[{"run": "act"}], on={})
        said = handle(world.services, talker.comment("one", opened, f"/whimbrel {command}"))
        assert said == "refused: the policy notes is not directed by comments"
        assert len(world.open_pull_requests("one")) == 1

    def test_a_rebase_makes_the_change_anew_on_the_new_base(self, world: World, talker: Talker, opened: int) -> None:
        repository = repositories.opened(world.folder / "host" / "acme" / "one.git")
        base = repositories.commit(repository, {"README.md": b"# Moved on\n"}, branch="main", start="main")
        assert do(world, talker.comment("one", opened, "/whimbrel rebase")) == ""
        (pull_request,) = world.open_pull_requests("one")
        assert pull_request.number == opened
        assert str(repository[pull_request.head].parents[0].id) == base

    def test_a_takeover_gives_the_branch_to_the_bot_by_whoever_may(self, world: World, talker: Talker, opened: int) -> None:
        repository = repositories.opened(world.folder / "host" / "acme" / "one.git")
        repository.references.delete("refs/heads/whimbrel/notes")
        theirs = repositories.commit(repository, {"NOTE.md": b"mine\n"}, branch="whimbrel/notes", start="main")
        assert "refused: bob has the permission `read`" in handle(
            world.services, talker.comment("one", opened, "/whimbrel takeover", by="bob")
        )
        assert repositories.head(repository, "whimbrel/notes") == theirs
        assert do(world, talker.comment("one", opened, "/whimbrel takeover")) == ""
        (pull_request,) = world.open_pull_requests("one")
        assert pull_request.number == opened
        assert str(repository[pull_request.head].parents[0].id) == theirs
        (event,) = events_of(world, "pull_request.taken_over")
        assert (event["actor"], event["details"]["head"]) == ("local:mia", theirs)
        assert "no pull request of the bot's" in handle(world.services, talker.comment("one", ISSUE, "/whimbrel takeover"))

    def test_a_close_is_the_persons_and_lasts(self, world: World, talker: Talker, opened: int) -> None:
        assert handle(world.services, talker.comment("one", opened, "/whimbrel close")) == ""
        assert talker.said("one", opened)[-1].startswith("Closed, as mia asked.")
        (closed,) = world.pull_requests("one")
        assert closed.state is PullRequestState.CLOSED
        refresh_publications(world.services, world.local, "acme")
        (event,) = events_of(world, "pull_request.closed")
        assert event["actor"] == "local:mia"
        do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
        assert neutral("stays closed for this revision") in talker.said("one", ISSUE)[-1]

    def test_what_is_merged_is_not_closed(self, world: World, talker: Talker, opened: int) -> None:
        world.local.merge(Repository("acme", "one", "", None), opened, by="ann")
        assert "is merged already" in handle(world.services, talker.comment("one", opened, "/whimbrel close"))


def test_a_host_that_is_away_leaves_the_event_to_be_handled_again(world: World, talker: Talker) -> None:
    def away(moment: str) -> None:
        raise HostUnavailable("no answer")

    comment = talker.comment("one", ISSUE, "/whimbrel run notes")
    talker.watch = away
    with pytest.raises(HostUnavailable):
        handle(world.services, comment)
    talker.watch = lambda _: None
    assert handle(world.services, comment) == ""
    assert repositories_at_work(world) == ["one"]


class TestKills:
    """Killed at any moment and handled again, an event has had one effect and one answer."""

    def killed_everywhere(
        self,
        new_world: Callable[..., World],
        prepare: Callable[[World, Talker], Trigger],
        check: Callable[[World, Talker], None],
    ) -> None:
        blade = Blade(0)
        while blade.fallen:
            world: World = new_world(BladedDatabase)
            talker, blade = people(world), Blade(len(blade.moments) + 1)
            event = prepare(world, talker)
            assert isinstance(world.database, BladedDatabase)
            world.database.blade, talker.watch = blade, blade.pass_under
            try:
                handle(world.services, event)
                tell_due(world.services, [world.org])
            except Killed:
                handle(world.services, event)
            world.database.blade, talker.watch = None, lambda _: None
            settle(world)
            check(world, talker)
            world.require_tidy()
        assert len(blade.moments) > 5

    def test_a_run(self, new_world: Callable[..., World]) -> None:
        def prepare(world: World, talker: Talker) -> Trigger:
            return talker.comment("one", ISSUE, "/whimbrel run notes")

        def check(world: World, talker: Talker) -> None:
            assert repositories_at_work(world) == ["one"]
            assert len(world.pull_requests("one")) == 1
            (said,) = talker.said("one", ISSUE)
            assert "#1: 1 file changed" in said
            assert len(talker.reactions) == 1

        self.killed_everywhere(new_world, prepare, check)

    def test_a_retry(self, new_world: Callable[..., World]) -> None:
        told: list[str] = []

        def prepare(world: World, talker: Talker) -> Trigger:
            told.clear()
            world.acts["act"] = lambda _, context: told.append(context.words)
            admit(world, steps=[{"run": "act"}])
            do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
            return talker.comment("one", 1, "/whimbrel retry do better")

        def check(world: World, talker: Talker) -> None:
            assert told == ["", "do better"]
            assert len(events_of(world, "campaign.retried")) == 1
            assert len(talker.said("one", 1)) == 1

        self.killed_everywhere(new_world, prepare, check)

    def test_a_close(self, new_world: Callable[..., World]) -> None:
        def prepare(world: World, talker: Talker) -> Trigger:
            do(world, talker.comment("one", ISSUE, "/whimbrel run notes"))
            return talker.comment("one", 1, "/whimbrel close")

        def check(world: World, talker: Talker) -> None:
            assert [event["actor"] for event in events_of(world, "pull_request.closed")] == ["local:mia"]
            assert len(talker.said("one", 1)) == 1

        self.killed_everywhere(new_world, prepare, check)

    def test_a_refusal(self, new_world: Callable[..., World]) -> None:
        def prepare(world: World, talker: Talker) -> Trigger:
            return talker.comment("one", ISSUE, "/whimbrel run notes", by="bob")

        def check(world: World, talker: Talker) -> None:
            assert len(talker.said("one", ISSUE)) == 1
            assert len(events_of(world, "trigger.refused")) == 1
            assert repositories_at_work(world) == []

        self.killed_everywhere(new_world, prepare, check)
