"""What a template gave is where the next three-way merge starts from: once it is in the base, and no sooner."""

from __future__ import annotations

from bot.domain.repositories import Repository
from bot.store import records
from tests.fakes import repositories
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)


def kept(world: World) -> bytes | None:
    with world.database.reading() as tx:
        return records.rendering(tx, ("acme", "notes", "tool", "NOTE.md"))


def run(world: World, note: str) -> None:
    world.clock.advance(1)
    world.start(note)
    world.work()


def test_a_proposal_is_not_kept_and_a_merge_is_with_the_next_attempt(world: World) -> None:
    world.repository("tool")
    run(world, "Be kind.")
    assert kept(world) is None
    run(world, "Be brief.")
    assert kept(world) is None
    world.local.merge(TOOL, 1, by="bob")
    run(world, "Be right.")
    assert kept(world) == b"# tool\n\nBe brief.\n"


def test_a_proposal_that_was_closed_is_never_kept(world: World) -> None:
    world.repository("tool")
    run(world, "Be kind.")
    world.local.close(TOOL, 1, by="bob")
    run(world, "Be brief.")
    assert kept(world) is None


def test_what_was_there_already_is_kept(world: World) -> None:
    bare = world.repository("tool")
    repositories.commit(repositories.opened(bare), {"NOTE.md": b"# tool\n\nBe kind.\n"})
    run(world, "Be kind.")
    assert kept(world) == b"# tool\n\nBe kind.\n"
