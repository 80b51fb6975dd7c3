"""What is unchanged since it was looked at is not looked at again, and what has changed is seen in the listing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.domain.repositories import Repository
from bot.store.campaigns import Plan
from tests.fakes import repositories
from tests.fakes.blade import WatchedHost
from tests.fakes.world import World

NOTE = b"# tool\n\nBe kind.\n"


def skips(plan: Plan) -> dict[str, str | None]:
    return {entry.target.repository: entry.skip_reason for entry in plan.entries}


def run(world: World, note: str = "Be kind.", **policy: object) -> str:
    world.clock.advance(1)
    campaign = world.start(note, **policy)
    world.work()
    return world.ended(world.run(campaign))


@pytest.fixture
def bare(world: World) -> Path:
    """A repository that is as the policy wants it, and was found so."""
    bare = world.repository("tool", {"NOTE.md": NOTE})
    assert run(world).startswith("no_change: ")
    return bare


def test_what_needs_no_change_is_skipped_with_its_reason_and_nothing_is_read(world: World, bare: Path) -> None:
    asked: list[str] = []
    world.host = WatchedHost(world.local, asked.append)
    plan, _ = world.plan()
    said = skips(plan)["tool"] or ""
    assert said.startswith("unchanged since run c")
    assert said.endswith(": nothing to change: the repository already is as the policy wants it (--anew looks again)")
    assert {each.split()[1] for each in asked} == {"repositories"}


def test_a_moved_base_another_revision_and_other_facts_are_looked_at(world: World, bare: Path) -> None:
    assert skips(world.plan("Be brief.")[0]) == {"tool": None}
    meta = bare.with_suffix(".meta")
    meta.mkdir(exist_ok=True)
    (meta / "repository.json").write_text(json.dumps({"description": "templates see this"}))
    assert skips(world.plan()[0]) == {"tool": None}
    (meta / "repository.json").unlink()
    assert skips(world.plan()[0])["tool"] is not None
    repositories.commit(repositories.opened(bare), {"README.md": b"# Moved on\n"})
    assert skips(world.plan()[0]) == {"tool": None}


def test_anew_looks_again_but_opens_nothing_twice(world: World, bare: Path) -> None:
    assert skips(world.plan(earlier="published")[0]) == {"tool": None}
    world.repository("open")
    world.start()
    world.work()
    assert skips(world.plan(earlier="published")[0]) == {"open": "already open: #1", "tool": None}


def test_what_was_merged_is_looked_at_once(world: World) -> None:
    world.repository("tool")
    assert run(world).startswith("published: ")
    world.local.merge(Repository("acme", "tool", "main", None), 1, by="bob")
    assert run(world).startswith("no_change: ")
    assert (skips(world.plan()[0])["tool"] or "").startswith("unchanged since run ")


def test_a_preview_is_nothing_that_was_looked_at(world: World) -> None:
    world.repository("tool", {"NOTE.md": NOTE})
    world.activate(*world.plan(), preview=True)
    assert skips(world.plan()[0]) == {"tool": None}
