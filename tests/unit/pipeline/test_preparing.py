"""What is prepared is there for the checks, with no network; a real pip, in a real sandbox, from a registry on loopback."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.preparing import recipe_of
from bot.domain.registries import Registry
from bot.pipeline.prepared_cache import MAX_ENTRIES, entry
from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.store import records
from tests.fakes.registry import Served, index_of, serve
from tests.fakes.world import World

FETCH = """
import os, re, urllib.request
index = os.environ["PIP_INDEX_URL"] + "kindness/"
page = urllib.request.urlopen(index).read().decode()
wheel = re.search('href="([^"]+)"', page)[1]
open("/prepared/kindness.whl", "wb").write(urllib.request.urlopen(wheel).read())
"""
PREPARE = [f"python3 -c {shlex.quote(FETCH)}"]
PIP = ["python3 -m venv /prepared/venv", "/prepared/venv/bin/pip install --quiet kindness"]
IMPORTED = "import kindness; assert kindness.WORDS"
CHECK = {"run": f"PYTHONPATH=/prepared/kindness.whl python3 -c '{IMPORTED}' && ! touch /prepared/x 2>&-", "required": True}
NO_NETWORK = {
    "run": "! python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128))' 2>/dev/null",
    "required": True,
}


@pytest.fixture
def registry() -> Iterator[Served]:
    with serve(index_of("kindness", "WORDS = 1\n")) as served:
        yield served


@pytest.fixture
def prepared(world: World, registry: Served) -> World:
    world.org = world.org.model_copy(update={"registries": {"pypi": Registry(url=f"{registry.url}/simple")}})
    world.services = replace(world.services, sandbox=BubblewrapSandbox())
    return world


def ended(world: World, note: str = "Be kind.", **policy: object) -> str:
    world.clock.advance(1)
    campaign = world.start(note, **policy)
    world.work()
    return world.ended(world.run(campaign))


def test_the_checks_have_it_and_no_network(prepared: World, registry: Served) -> None:
    prepared.repository("tool")
    assert ended(prepared, prepare=PREPARE, checks=[CHECK, NO_NETWORK]) == "published: 1 file changed, all 2 checks passed"
    assert registry.asked == ["/simple/kindness/", "/files/kindness-1.0-py3-none-any.whl"]
    assert ended(prepared, "Be kinder.", prepare=PREPARE, checks=[CHECK]).startswith("published: ")
    assert len(registry.asked) == 2, "it is kept"
    prepared.repository("twin")
    ended(prepared, "Be kindest.", prepare=PREPARE, checks=[CHECK])
    assert len(registry.asked) == 4, "and by each repository for itself"
    prepared.require_tidy()


@pytest.mark.slow
def test_pip_installs_from_it(prepared: World, registry: Served) -> None:
    prepared.repository("tool")
    check = {"run": f"python -c '{IMPORTED}'", "required": True}
    assert ended(prepared, prepare=PIP, checks=[check, NO_NETWORK]) == "published: 1 file changed, all 2 checks passed"
    assert registry.asked == ["/simple/kindness/", "/files/kindness-1.0-py3-none-any.whl"]


@pytest.mark.slow
def test_what_is_detected_is_there_for_the_checks(prepared: World) -> None:
    prepared.repository("tool", {"requirements.txt": b"kindness\n", "tool.py": b"import kindness\n"})
    check = {"run": "python -c 'import tool'"}
    told = ended(prepared, prepare="auto", checks=[{**check, "required": True}])
    assert told == "published: 1 file changed, its check passed"


def test_what_was_fetched_is_on_record(prepared: World, registry: Served) -> None:
    prepared.repository("tool")
    campaign = prepared.start(prepare=PREPARE)
    prepared.work()
    with prepared.database.reading() as tx:
        [told] = [entry for entry in records.entries_of_run(tx, f"{campaign}-1") if "urls" in entry.data]
    assert told.message == "prepare: 2 fetched"
    assert told.data["urls"][0] == f"200 {registry.url}/simple/kindness/"


def test_commands_that_fail_end_the_run_and_nothing_is_kept(prepared: World) -> None:
    prepared.repository("tool")
    said = ended(prepared, prepare=["echo no such thing >&2; exit 3"])
    assert said.startswith("failed: prepare: `echo no such thing >&2; exit 3` ended with 3: no such thing")
    assert [found for found in (prepared.services.home / "prepared").iterdir() if found.is_dir()] == []


@pytest.mark.slow
def test_what_is_detected_and_fails_is_done_without(prepared: World) -> None:
    prepared.repository("tool", {"requirements.txt": b"there-is-no-such-thing\n"})
    assert ended(prepared, prepare="auto", checks=[{"run": "true"}]) == "published: 1 file changed, its check passed"


def test_the_disk_of_a_preparation_is_bounded(prepared: World) -> None:
    prepared.repository("tool")
    fill = "head -c 40000000 /dev/zero > /prepared/zero; sleep 60"
    assert "disk" in ended(prepared, prepare=[fill], limits={"disk_mb": 16})


@pytest.mark.parametrize(
    ("paths", "decided_by", "within"),
    [
        (["README.md", "sub/setup.py"], None, ""),
        (["setup.py", "a.py"], ("setup.py",), "--editable"),
        (["requirements.txt", "requirements-dev.txt"], ("requirements-dev.txt", "requirements.txt"), "-r requirements-dev.txt"),
        (["package.json"], ("package.json",), "npm install --no-package-lock --ignore-scripts"),
        (["package.json", "package-lock.json"], ("package-lock.json", "package.json"), "npm ci --ignore-scripts"),
        (["package-lock.json"], None, ""),
    ],
)
def test_what_files_show(paths: list[str], decided_by: tuple[str, ...] | None, within: str) -> None:
    recipe = recipe_of("auto", paths)
    assert (recipe and recipe.decided_by) == decided_by
    assert recipe is None or within in " ; ".join(recipe.commands)
    assert recipe_of("none", paths) is None


def test_only_those_used_last_are_kept(tmp_path: Path) -> None:
    made: list[str] = []

    def make(place: Path) -> None:
        made.append(place.stem)

    (tmp_path / "dead.part").mkdir()
    with entry(tmp_path, "0", make):
        assert not (tmp_path / "dead.part").exists(), "who made it is gone"
        for number in range(1, MAX_ENTRIES + 3):
            with entry(tmp_path, str(number), make):
                pass
        assert (tmp_path / "0").is_dir(), "it is in use"
    assert sum(found.is_dir() for found in tmp_path.iterdir()) <= MAX_ENTRIES + 1
    with entry(tmp_path, "0", make):
        pass
    assert made == [str(number) for number in range(MAX_ENTRIES + 3)]
