"""A new repository is planned by itself, as soon as it has a commit, and once."""

from __future__ import annotations

from typing import Any

import pytest

from bot.campaigns import control
from bot.campaigns.arrivals import arrived, has_arrived
from bot.campaigns.inbox import Inbox
from bot.domain.events import Pushed, RepositoryChanged, RepositoryRef
from bot.errors import UsageError
from bot.hosts.github_events import normalise_github
from bot.store import audit, deliveries
from tests.fakes import repositories
from tests.fakes.deliveries import about, encode
from tests.fakes.world import World

NEW = RepositoryRef("local", "acme", "fresh")


def adopt(world: World, name: str = "notes", **policy: Any) -> None:
    _, world.policies[name] = world.plan(name=name, on={"repository_created": True}, **policy)


def told(world: World) -> list[str]:
    with world.database.reading() as tx:
        return [f"{event['action']} by {event['actor']}" for event in audit.events(tx, "acme")]


def deliver(world: World, event: str, payload: dict[str, Any]) -> None:
    """As a webhook, handled by a scheduler."""
    with world.database.transaction() as tx:
        deliveries.receive(
            tx, host="github", id=f"{event} {payload}"[:200], event=event, body=encode(payload), now=world.clock.now(),
            signers=frozenset({"local"}),
        )  # fmt: skip
    while Inbox(world.services, {"github": normalise_github}).handle_pending():
        pass


def test_a_new_repository_alone_starts_a_campaign(world: World) -> None:
    world.repository("old")
    adopt(world)
    world.repository("fresh")
    deliver(world, "repository", about("created", name="fresh"))
    assert told(world) == ["campaign.started by repository_created"]
    world.work()
    assert len(world.open_pull_requests("fresh")) == 1
    assert world.pull_requests("old") == []


def test_it_joins_the_campaign_that_is_active(world: World) -> None:
    world.repository("old")
    adopt(world)
    campaign = world.start(on={"repository_created": True})
    world.repository("fresh")
    assert arrived(world.services, world.org, "fresh") == ""
    assert world.run(campaign, 2).repository.name == "fresh"
    assert told(world)[-1] == "campaign.joined by repository_created"


def test_one_without_a_commit_is_taken_up_with_its_first_push_and_once(world: World) -> None:
    adopt(world)
    bare = repositories.make(world.folder / "host" / "acme" / "fresh.git")
    deliver(world, "repository", about("created", name="fresh"))
    assert told(world) == []
    commit = repositories.commit(bare, {"README.md": b"# Hello\n"})
    pushed = about("", name="fresh") | {"ref": "refs/heads/main", "before": "0" * 40, "after": commit}
    deliver(world, "push", pushed)
    assert told(world) == ["campaign.started by repository_created"]
    world.work()
    arrived(world.services, world.org, "fresh")
    assert told(world).count("campaign.started by repository_created") == 1


def test_what_is_no_target_says_why(world: World) -> None:
    adopt(world, select={"exclude": ["fresh"]})
    world.repository("fresh")
    assert "excluded" in arrived(world.services, world.org, "fresh")
    assert arrived(world.services, world.org, "gone") == "notes: gone is not there any more"
    assert told(world) == []


def test_one_that_may_not_start_holds_up_no_other(world: World) -> None:
    world.repository("old")
    adopt(world, "held")
    adopt(world, "notes")
    control.pause(world.services, world.start(name="held", on={"repository_created": True}), actor="alice")
    world.repository("fresh")
    with pytest.raises(UsageError, match="is paused"):
        arrived(world.services, world.org, "fresh")
    assert told(world)[-1] == "campaign.started by repository_created"


@pytest.mark.parametrize(
    ("event", "new"),
    [
        (RepositoryChanged(NEW, "created", "mia"), True),
        (RepositoryChanged(NEW, "renamed", "mia", "acme/old"), False),
        (Pushed(NEW, "main", "0" * 40, "a" * 40, "mia"), True),
        (Pushed(NEW, "main", "b" * 40, "a" * 40, "mia"), False),
    ],
)
def test_what_is_new(event: RepositoryChanged | Pushed, new: bool) -> None:
    assert has_arrived(event) is new
