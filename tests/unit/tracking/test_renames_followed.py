"""What a rename comes to on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.git import Mirror, move_mirror
from bot.tracking.renames import below, follow
from tests.fakes import repositories
from tests.fakes.world import World


def mirror(world: World, name: str) -> Path:
    return Mirror.open(world.services.mirrors, "acme", name).folder


def test_a_mirror_moves_with_its_repository(world: World) -> None:
    before = mirror(world, "one")
    follow(world.services, "acme", "one", "group/uno")
    assert not before.exists()
    assert (world.services.mirrors / "acme" / "group" / "uno.git" / "HEAD").is_file()


def test_one_that_is_in_use_or_in_the_way_stays(world: World) -> None:
    used, other = mirror(world, "one"), mirror(world, "two")
    commit = repositories.commit(Mirror.open(world.services.mirrors, "acme", "one").repository, {"a": b""})
    Mirror.open(world.services.mirrors, "acme", "one").keep("run.1", commit)
    follow(world.services, "acme", "one", "uno")
    follow(world.services, "acme", "two", "one")
    assert used.is_dir()
    assert other.is_dir()


def test_a_mirror_that_cannot_be_moved_is_only_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    before = mirror(world, "one")
    (before.parent / "group").write_text("a file is in the way")
    follow(world.services, "acme", "one", "group/uno")
    assert before.is_dir()
    assert "the mirror of acme/one stays behind" in caplog.text


def test_no_name_leads_out_of_the_mirrors(world: World) -> None:
    before = mirror(world, "one")
    move_mirror(world.services.mirrors, "acme", "one", "../../out")
    assert before.is_dir()


@pytest.mark.parametrize(
    ("full_name", "name"), [("acme/one", "one"), ("ACME/sub/one", "sub/one"), ("acme-2/one", None), ("acme", None)]
)
def test_what_is_below_an_org(full_name: str, name: str | None) -> None:
    assert below("acme", full_name) == name
