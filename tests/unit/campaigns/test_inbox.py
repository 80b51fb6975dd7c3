"""What was delivered is handled once: whoever dies of it, however often and in whatever delivery it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count

import pytest
from sqlalchemy import select

from bot.campaigns.inbox import KEPT, LEASE, TRIES_ALLOWED, Inbox, forget_old
from bot.domain.events import Event
from bot.domain.pull_requests import CheckReport, Reaction
from bot.domain.repositories import Repository
from bot.errors import HostLimited, HostUnavailable, NotFound, PolicyError
from bot.hosts.github_events import normalise_github
from bot.hosts.gitlab_events import normalise_gitlab
from bot.hosts.local import AUTHOR
from bot.store import audit, installations
from bot.store import deliveries as stored
from bot.store.publications import Facts
from bot.store.schema import deliveries as table
from bot.tracking.pull_requests import refresh_all, refresh_news
from tests.fakes import deliveries
from tests.fakes import gitlab_payloads as gitlab
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.deliveries import Payload, about, encode
from tests.fakes.talker import Talker
from tests.fakes.world import World

ISSUE = 101
TOOL = Repository("acme", "tool", "main", None)


class Post:
    """Deliveries in a world's inbox, and what became of them."""

    def __init__(self, world: World):
        self.world = world
        self.inbox = Inbox(world.services, {"github": normalise_github, "gitlab": normalise_gitlab})
        self.kind = "github"
        self._ids = count(1)

    def deliver(
        self, event: str, payload: Payload | bytes, delivery: str | None = None, signers: Sequence[str] = ("local",)
    ) -> str:
        body = payload if isinstance(payload, bytes) else encode(payload)
        name = delivery or f"d{next(self._ids)}"
        with self.world.database.transaction() as tx:
            about = {"host": self.kind, "event": event, "body": body, "signers": signers}
            stored.receive(tx, id=name, now=self.world.clock.now(), **about)
        return name

    def became(self, event: str, payload: Payload | bytes, *signers: str) -> str:
        """Deliver and handle it; `STATE: REASON`."""
        name = self.deliver(event, payload, signers=signers or ("local",))
        self.handle_all()
        return self.state(name)

    def handle_all(self) -> None:
        while self.inbox.handle_pending():
            pass

    def state(self, delivery: str) -> str:
        with self.world.database.reading() as tx:
            found = tx.execute(select(table).where(table.c.id == delivery)).one()
        return f"{found.state}: {found.reason}"


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


@pytest.fixture
def talker(world: World) -> Talker:
    return people(world)


def people(world: World) -> Talker:
    """alice may write, and the label whimbrel:notes starts the policy on the repository `tool`."""
    world.repository("tool")
    _, policy = world.plan(on={"label": "whimbrel:notes", "comment": True})
    world.policies[policy.name] = policy
    talker = Talker(world.local, alice="write")
    world.talker = talker
    return talker


def actions(world: World, org: str = "acme") -> list[str]:
    with world.database.reading() as tx:
        return [f"{event['action']} by {event['actor']}" for event in audit.events(tx, org)]


def state(world: World) -> str:
    found = world.publication("tool")
    assert found is not None
    return found.state


def facts(world: World) -> Facts:
    found = world.publication("tool")
    assert found is not None
    return found.facts


class TestTriggers:
    def test_a_label_starts_what_it_names(self, world: World, talker: Talker, post: Post) -> None:
        assert post.became("issues", deliveries.labelled("whimbrel:notes", ISSUE)) == "done: "
        world.work()
        assert len(world.open_pull_requests("tool")) == 1

    def test_the_same_told_again_has_no_second_effect(self, world: World, talker: Talker, post: Post) -> None:
        payload = deliveries.commented("/whimbrel help", number=ISSUE)
        assert post.became("issue_comment", payload) == "done: "
        edits = talker.edits
        for told in (payload, payload | {"by": "another hook"}):
            assert post.became("issue_comment", told) == "ignored: it was told by another delivery already"
        assert (talker.edits, [reaction for _, reaction in talker.reactions]) == (edits, [Reaction.EYES])

    def test_what_asks_for_nothing_is_ignored(self, talker: Talker, post: Post) -> None:
        assert post.became("issue_comment", deliveries.commented("Nice!", number=ISSUE)) == "ignored: nothing was asked for"

    def test_an_org_without_a_policy_is_nobodys(self, world: World, talker: Talker, post: Post) -> None:
        elsewhere = deliveries.labelled("whimbrel:notes", ISSUE)
        elsewhere["repository"]["html_url"] = "https://github.com/acme/tool"
        assert post.became("issues", elsewhere, "github.com") == "ignored: no org policy is for acme on github.com"
        assert talker.reactions == []

    def test_a_note_or_a_label_of_gitlab_asks_for_the_same(self, world: World, talker: Talker, post: Post) -> None:
        post.kind = "gitlab"
        assert post.became("Issue Hook", gitlab.thing("issue", "update", number=ISSUE, now=["whimbrel:notes"])) == "done: "
        world.work()
        assert len(world.open_pull_requests("tool")) == 1
        assert post.became("Note Hook", gitlab.note("/whimbrel status", on="merge_request", number=1)) == "done: "
        assert "`notes`: #1: 1 file changed" in talker.said("tool", 1)[-1]

    def test_an_issue_of_gitlab_is_no_merge_request_of_the_same_number(self, world: World, talker: Talker, post: Post) -> None:
        post.kind = "gitlab"
        post.became("Issue Hook", gitlab.thing("issue", "update", number=ISSUE, now=["whimbrel:notes"]))
        world.work()
        closed = post.became("Note Hook", gitlab.note("/whimbrel close", number=1))
        assert closed.startswith("done: refused: #1 is no pull request of the bot's") or closed.startswith(
            "ignored: refused: #1"
        )
        assert len(world.open_pull_requests("tool")) == 1

    @pytest.mark.parametrize("actor", [AUTHOR, "group_7_bot_1a2b3c"])
    def test_a_bot_is_not_answered_and_this_one_least_of_all(self, talker: Talker, post: Post, actor: str) -> None:
        post.kind = "gitlab"
        assert post.became("Note Hook", gitlab.note("/whimbrel help", actor=actor)).startswith("ignored: ")
        assert talker.reactions == []

    def test_whoever_has_signed_it_speaks_of_its_own_host_where_it_names_none(self, world: World, post: Post) -> None:
        post.kind = "gitlab"
        created = {"event_name": "project_create", "path_with_namespace": "Acme/platform/tool"}
        assert post.became("Project Hook", created) == "done: "
        assert post.became("Project Hook", created, "gitlab.com") == "ignored: no org policy is for Acme on gitlab.com"
        assert "its own host" in post.became("Project Hook", created, "gitlab.com", "local")

    def test_an_instance_speaks_of_itself_alone(
        self, world: World, talker: Talker, post: Post, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever has the secret of one server, and would start something on another."""
        label = deliveries.labelled("whimbrel:notes", ISSUE)
        with caplog.at_level(logging.WARNING):
            assert post.became("issues", label, "ghes.example.com") == (
                "failed: it speaks of local, and is signed with the secret of ghes.example.com"
            )
        assert "it speaks of local" in caplog.text
        assert talker.reactions == []
        assert post.became("issues", label, "ghes.example.com", "local") == "done: "

    def test_nor_of_where_it_is_installed(self, world: World, post: Post) -> None:
        elsewhere = post.became("installation", deliveries.installation("created"), "ghes.example.com")
        assert elsewhere == "failed: it speaks of local, and is signed with the secret of ghes.example.com"
        with world.database.reading() as tx:
            assert installations.find(tx, "local", "acme") is None

    def test_whoever_dies_of_it_another_one_has_the_effect_once(self, new_world: Callable[..., World]) -> None:
        """Wherever the handler is killed, between any two of its transactions, and before and after each call of the host."""
        moments = self.killed_at(new_world(BladedDatabase), 10_000)
        assert len(moments) > 10
        for at in range(1, len(moments) + 1):
            assert self.killed_at(new_world(BladedDatabase), at) == moments[:at]

    def killed_at(self, world: World, at: int) -> list[str]:
        talker, post, blade = people(world), Post(world), Blade(at)
        assert isinstance(world.database, BladedDatabase)
        first = post.deliver("issue_comment", deliveries.commented("/whimbrel help", number=ISSUE))
        again = post.deliver("issue_comment", deliveries.commented("/whimbrel help", number=ISSUE))
        world.database.blade, talker.watch = blade, blade.pass_under
        try:
            post.handle_all()
        except Killed:
            world.clock.advance(LEASE.total_seconds())
            post.handle_all()
        assert post.state(first).partition(":")[0] in ("done", "ignored")
        assert post.state(again).partition(":")[0] == "ignored"
        assert len(talker.said("tool", ISSUE)) == 1
        assert len(talker.reactions) == 1
        return blade.moments


class TestTracking:
    @pytest.fixture
    def opened(self, world: World) -> World:
        """A world with the pull request #1 open."""
        world.repository("tool")
        world.start()
        world.work()
        return world

    def test_a_merge_is_known_at_once(self, opened: World, post: Post) -> None:
        opened.local.merge(TOOL, 1, by="bob")
        assert post.became("pull_request", deliveries.pull_request("closed", merged=True)) == "done: "
        assert (state(opened), actions(opened)[-1]) == ("merged", "pull_request.merged by bob")

    def test_one_that_is_opened_again_is_followed_again(self, opened: World, post: Post) -> None:
        opened.local.close(TOOL, 1, by="bob")
        post.became("pull_request", deliveries.pull_request("closed"))
        assert state(opened) == "closed"
        opened.local.reopen(TOOL, 1)
        post.became("pull_request", deliveries.pull_request("reopened"))
        assert (state(opened), actions(opened)[-1]) == ("open", "pull_request.reopened by alice")

    def test_somebody_elses_is_not_asked_for(self, opened: World, post: Post) -> None:
        opened.host = WatchedHost(opened.local, pytest.fail)
        assert post.became("pull_request", deliveries.pull_request("closed", 2)) == "done: "

    @pytest.mark.parametrize("event", ["check_suite", "push", "pull_request", "pull_request_review"])
    def test_what_is_told_of_an_open_one_has_it_looked_at_soon(self, opened: World, post: Post, event: str) -> None:
        [pull_request] = opened.open_pull_requests("tool")
        payloads = {
            "check_suite": about("completed", check_suite={"head_sha": pull_request.head}),
            "push": about("", ref="refs/heads/main", before="a" * 40, after="b" * 40),
            "pull_request": deliveries.pull_request("synchronize"),
            "pull_request_review": about(
                "submitted", pull_request={"number": 1}, review={"id": 1, "state": "approved", "body": "Fine."}
            ),
        }
        refresh_all(opened.services, [opened.org])
        opened.local.report_check(TOOL, pull_request.head, CheckReport("ci", True, "t", ""))
        assert refresh_news(opened.services, [opened.org]) == 0
        assert facts(opened).ci == ""
        post.became(event, payloads[event])
        refresh_news(opened.services, [opened.org])
        assert facts(opened).ci == "passed"

    def test_in_an_archived_repository_nothing_takes_a_place(self, opened: World, post: Post) -> None:
        assert post.became("repository", about("archived")) == "done: "
        assert (state(opened), actions(opened)[-1]) == ("closed", "pull_request.closed by alice")
        assert post.became("repository", about("unarchived")) == "done: "
        assert (state(opened), actions(opened)[-1]) == ("open", "pull_request.reopened by alice")

    def test_a_repository_that_is_gone(self, opened: World, post: Post) -> None:
        bare = opened.folder / "host" / "acme" / "tool.git"
        bare.rename(bare.with_suffix(".gone"))
        assert post.became("repository", about("deleted")) == "done: "
        assert state(opened) == "closed"

    @pytest.mark.parametrize(
        ("event", "payload"),
        [
            ("repository", about("created")),
            ("ping", {}),
        ],
    )
    def test_of_the_rest_it_is_known_that_it_came(self, opened: World, post: Post, event: str, payload: Payload) -> None:
        assert post.became(event, payload) == "done: "


class TestInstallations:
    def test_it_is_kept_with_an_audit_event(self, world: World, post: Post) -> None:
        assert post.became("installation", deliveries.installation("created", "umbrella")) == "done: "
        with world.database.reading() as tx:
            found = installations.find(tx, "local", "umbrella")
        assert found is not None
        assert (found.number, found.state, found.permissions) == (5, "active", {"contents": "write"})
        assert actions(world, "umbrella") == ["installation.created by alice"]

    def test_told_again_it_is_no_second_event(self, world: World, post: Post) -> None:
        payload = deliveries.installation("created")
        post.became("installation", payload)
        assert post.became("installation", payload) == "ignored: it was told by another delivery already"
        assert len(actions(world)) == 1

    def test_killed_anywhere_it_is_one_event(self, new_world: Callable[..., World]) -> None:
        for at in range(1, 10):
            world = new_world(BladedDatabase)
            assert isinstance(world.database, BladedDatabase)
            post = Post(world)
            name = post.deliver("installation", deliveries.installation("created"))
            world.database.blade = Blade(at)
            try:
                post.handle_all()
            except Killed:
                world.clock.advance(LEASE.total_seconds())
                post.handle_all()
            assert post.state(name).partition(":")[0] in ("done", "ignored")
            assert actions(world) == ["installation.created by alice"]


class TestFailures:
    @pytest.fixture
    def talker(self, talker: Talker) -> Talker:
        self.error: Exception | None = None

        def watch(_: str) -> None:
            if self.error is not None:
                raise self.error

        talker.watch = watch
        return talker

    @pytest.fixture
    def delivery(self, talker: Talker, post: Post) -> str:
        return post.deliver("issue_comment", deliveries.commented("/whimbrel help", number=ISSUE))

    def test_what_passes_is_tried_again_after_longer_and_longer_waits(self, world: World, post: Post, delivery: str) -> None:
        self.error = HostUnavailable("503")
        for seconds in (5, 10, 20):
            post.handle_all()
            assert post.state(delivery) == "received: 503"
            world.clock.advance(seconds - 1)
            assert post.inbox.handle_pending() == 0
            world.clock.advance(1)
        self.error = None
        post.handle_all()
        assert post.state(delivery) == "done: "

    def test_for_as_long_as_the_host_says(self, world: World, post: Post, delivery: str) -> None:
        self.error = HostLimited("until half past", retry_after=1800)
        post.handle_all()
        world.clock.advance(1799)
        assert post.inbox.handle_pending() == 0

    def test_but_not_for_ever(self, world: World, post: Post, delivery: str) -> None:
        self.error = HostUnavailable("503")
        for _ in range(TRIES_ALLOWED):
            post.handle_all()
            world.clock.advance(3600)
        assert post.state(delivery) == f"failed: given up after {TRIES_ALLOWED} tries: 503"

    def test_what_does_not_pass_fails_with_its_reason(
        self, post: Post, delivery: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.error = NotFound("there is no such issue", mend="look for it")
        with caplog.at_level(logging.WARNING):
            post.handle_all()
        assert post.state(delivery) == "failed: there is no such issue (look for it)"
        assert "there is no such issue" in caplog.text

    def test_what_has_failed_is_taken_up_when_it_is_delivered_once_more(self, talker: Talker, post: Post) -> None:
        """By somebody's hand, after the cause was mended; what is done is not done a second time."""
        told, delivery = deliveries.commented("/whimbrel help", number=ISSUE), "by-hand"
        self.error = NotFound("there is no such issue")
        post.deliver("issue_comment", told, delivery)
        post.handle_all()
        assert post.state(delivery) == "failed: there is no such issue"
        self.error = None
        for _ in range(2):
            post.deliver("issue_comment", told, delivery)
            post.handle_all()
            assert post.state(delivery) == "done: "
        assert len(talker.said("tool", ISSUE)) == talker.edits == 1

    def test_a_policy_that_is_being_written_is_waited_for(self, post: Post, delivery: str) -> None:
        self.error = PolicyError("mapping values are not allowed here", place="acme.yaml:3")
        post.handle_all()
        assert post.state(delivery) == "received: acme.yaml:3: mapping values are not allowed here"

    def test_a_mistake_of_ours_fails_that_one_alone(self, post: Post, delivery: str, caplog: pytest.LogCaptureFixture) -> None:
        self.error = ZeroDivisionError("division by zero")
        with caplog.at_level(logging.ERROR):
            assert post.became("ping", {}) == "done: "
        assert post.state(delivery) == "failed: internal error: ZeroDivisionError: division by zero"
        assert "Traceback" in caplog.text

    def test_one_that_kills_whoever_takes_it_is_given_up(self, world: World, post: Post) -> None:
        name = post.deliver("ping", {})
        for _ in range(TRIES_ALLOWED):
            with world.database.transaction() as tx:
                assert stored.take(tx, now=world.clock.now(), lease=LEASE, limit=1)
            world.clock.advance(LEASE.total_seconds())
        post.handle_all()
        assert post.state(name) == f"failed: whoever took it died of it, {TRIES_ALLOWED} times"

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", encode({"action": "labeled"})])
    def test_a_malformed_one_names_the_place(self, post: Post, body: bytes) -> None:
        assert post.became("issues", body).startswith("failed: the payload of issues is not as documented: ")

    def test_an_event_that_nobody_knows_is_ignored(self, post: Post) -> None:
        assert post.became("star", {"action": "created"}) == "ignored: nothing follows such an event"


class TestBatches:
    def test_what_a_slow_one_leaves_is_another_ones(self, world: World) -> None:
        """Its lease has run out while the first of its deliveries was handled."""

        def slow(event: str, body: bytes) -> list[Event]:
            world.clock.advance(LEASE.total_seconds())
            return normalise_github(event, body)

        post = Post(world)
        names = [post.deliver("ping", {}) for _ in range(2)]
        Inbox(world.services, {"github": slow}).handle_pending()
        assert [post.state(name) for name in names] == ["done: ", "received: "]
        post.handle_all()
        assert post.state(names[1]) == "done: "

    def test_what_was_handled_long_ago_is_forgotten(self, world: World, post: Post) -> None:
        post.became("ping", {})
        assert forget_old(world.services) == 0
        world.clock.advance(KEPT.total_seconds() + 1)
        assert forget_old(world.services) == 1
