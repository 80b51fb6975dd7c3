"""Every repository is a target, or a skip with its reason."""

from __future__ import annotations

import json

from bot.campaigns.discovery import already_published, discover, listing
from bot.domain.policies import CampaignPolicy
from bot.errors import ChangeRefused
from bot.ports import StepContext
from bot.store.campaigns import Plan
from bot.store.ledger import Accounts
from bot.store.publications import Change, Publication
from tests.fakes import repositories
from tests.fakes.blade import WatchedHost
from tests.fakes.world import World


def skips(plan: Plan) -> dict[str, str | None]:
    return {entry.target.repository: entry.skip_reason for entry in plan.entries}


def describe(world: World, name: str, **about: object) -> None:
    meta = world.folder / "host" / "acme" / f"{name}.meta"
    meta.mkdir()
    (meta / "repository.json").write_text(json.dumps(about))


def test_every_repository_is_there_with_its_reason(world: World) -> None:
    world.repository("archived")
    describe(world, "archived", archived=True)
    world.repository("broken", {".whimbrel.yaml": b"enabld: false\n"})
    world.repository("latin", {".whimbrel.yaml": b"# caf\xe9\n"})
    world.repository("no-setup")
    world.repository("opted-out", {".whimbrel.yaml": b"campaigns: {notes: false}\n", "setup.py": b""})
    world.repository("target", {"setup.py": b""})
    plan, _ = world.plan(select={"files": {"exist": ["setup.py"]}})
    found = skips(plan)
    assert list(found) == ["archived", "broken", "latin", "no-setup", "opted-out", "target"]
    assert found["archived"] == "archived"
    assert (found["broken"] or "").startswith(
        "its own policy cannot be read, so it is left alone: acme/broken:.whimbrel.yaml:1: "
    )
    assert (found["latin"] or "").endswith("acme/latin:.whimbrel.yaml: is not UTF-8")
    assert found["no-setup"] == "no setup.py on main"
    assert found["opted-out"] == "opted out in .whimbrel.yaml: campaigns.notes is false"
    assert found["target"] is None
    assert [entry.target.repository for entry in plan.targets] == ["target"]
    assert plan.targets[0].target.head == plan.targets[0].repository.head


def test_nothing_is_read_of_what_its_listing_rules_out(world: World) -> None:
    world.repository("sandbox-1")
    asked: list[str] = []
    world.host = WatchedHost(world.local, asked.append)
    plan, _ = world.plan(select={"exclude": ["sandbox-*"]})
    assert skips(plan)["sandbox-1"] is not None
    assert set(asked) == {"before repositories", "after repositories"}


def test_nobody_lists_an_org_to_look_at_one_repository(world: World) -> None:
    for name in ("api", "tool"):
        world.repository(name)
    asked: list[str] = []
    host = WatchedHost(world.local, asked.append)
    policy = CampaignPolicy.model_validate({"name": "notes", "description": "x", "steps": [{"run": "true"}]})

    def found(*only: str) -> list[str]:
        asked.clear()
        return [
            entry.target.repository
            for entry in discover(host, world.org, policy, listing(host, world.org.org, only), revision="r1")
        ]

    assert found("tool") == ["tool"]
    assert "before repositories" not in asked
    assert found("tool", "gone") == ["tool"]
    assert found("t*") == ["tool"]
    assert found() == ["api", "tool"]


def publication(state: str, number: int | None = 3, revision: str = "r1") -> Publication:
    return Publication(1, Change("acme", "notes", "tool", "main"), "b", state, number, "", "", "", revision)


def test_what_an_earlier_pull_request_leaves_to_do() -> None:
    assert already_published(None, "r1") is None
    assert already_published(publication("open"), "r1") == "already open: #3"
    assert already_published(publication("open"), "r2") is None
    closed = "#3 was closed without being merged, and stays closed for this revision of the policy"
    assert already_published(publication("closed"), "r1") == closed
    assert already_published(publication("closed"), "r2") is None
    assert already_published(publication("closed", number=None), "r1") is None
    assert already_published(publication("merged"), "r1") is None
    assert already_published(publication("intent"), "r1") is None


def test_a_second_plan_sees_what_became_of_the_first(world: World) -> None:
    for name in ("one", "two"):
        world.repository(name)
    world.start()
    world.work()
    assert skips(world.plan()[0]) == {"one": "already open: #1", "two": "already open: #1"}
    assert set(skips(world.plan("Be brief.")[0]).values()) == {None}
    assert set(skips(world.plan(earlier="nothing")[0]).values()) == {None}


def test_what_was_rejected_is_not_tried_again_until_something_has_changed(world: World) -> None:
    def refuse(_: Accounts, __: StepContext) -> None:
        raise ChangeRefused(["'x' is a link"])

    world.acts["act"] = refuse
    folder = world.repository("one")
    steps = [{"run": "act"}]
    run = world.run(world.start(steps=steps))
    world.work()
    since = f"rejected before, and nothing has changed since: 'x' is a link (whimbrel retry {run.id})"
    assert skips(world.plan(steps=steps)[0]) == {"one": since}
    assert skips(world.plan("Be brief.", steps=steps)[0]) == {"one": None}
    assert skips(world.plan(steps=steps, earlier="nothing")[0]) == {"one": None}
    repositories.commit(repositories.opened(folder), {"README.md": b"# Moved on\n"})
    assert skips(world.plan(steps=steps)[0]) == {"one": None}


def test_a_policy_may_select_by_what_the_org_says_of_a_repository(world: World) -> None:
    for name in ("gold", "plain"):
        world.repository(name)
    describe(world, "gold", properties={"tier": ["gold"]})
    plan, _ = world.plan(select={"properties": {"tier": ["gold", "silver"]}})
    assert skips(plan) == {"gold": None, "plain": "its property tier is not set: wanted is gold or silver"}
