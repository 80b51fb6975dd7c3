"""Checks on the base and on the change, with a sandbox that plays them; the last ones in a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.sandbox.bubblewrap import BubblewrapSandbox
from bot.sandbox.toolchain import digest_of
from bot.store.schema import attempts, baselines
from tests.fakes.world import World

CHECK = {"run": "check"}
CASES = {"run": "check", "junit": ["reports/*.xml"]}


class Played:
    """Answers a check by which side it is on, in the order of the runs; the last answer is repeated."""

    def __init__(self, *, base: list[str], change: list[str]):
        self._answers: dict[str, Iterator[str]] = {
            "base": chain(base, repeat(base[-1])),
            "change": chain(change, repeat(change[-1])),
        }
        self.runs: list[str] = []

    def __call__(self, tree: Path) -> int:
        """An answer is an exit status, or the letters of cases of which the capital ones fail."""
        side = "change" if (tree / "NOTE.md").exists() else "base"
        self.runs.append(side)
        answer = next(self._answers[side])
        if answer.isdigit():
            return int(answer)
        (tree / "reports").mkdir(exist_ok=True)
        cases = "".join(f'<testcase name="{x.lower()}">{"<failure/>" if x.isupper() else ""}</testcase>' for x in answer)
        (tree / "reports" / "a.xml").write_text(f"<testsuite>{cases}</testsuite>")
        return int(any(x.isupper() for x in answer))


def ended(world: World, played: Callable[[Path], int], check: dict[str, object], note: str = "Be kind.") -> str:
    world.sandbox.answers["check"] = played
    world.clock.advance(1)
    campaign = world.start(note, checks=[check])
    world.work()
    return world.ended(world.run(campaign))


@pytest.mark.parametrize(
    ("base", "change", "check", "told", "runs"),
    [
        (["0"], ["0"], CHECK, "published: 1 file changed, its check passed", "base change"),
        (["1"], ["1"], CHECK, "published: 1 file changed, no new failure: check: exit 1: failed on", "base change"),
        (["1"], ["1"], {**CHECK, "required": True}, "rejected: a check failed: check: exit 1", "change"),
        (["1"], ["0"], CHECK, "published: 1 file changed, its check passed", "base change"),
        (["0"], ["1"], CHECK, "rejected: a check failed: check: exit 1", "base change change base"),
        (["0"], ["1", "0"], CHECK, "published: 1 file changed, no new failure: check: exit 1: flaky", "base change change"),
        (["0", "1"], ["1"], CHECK, "published: 1 file changed, no new failure", "base change change base"),
        (["127"], ["127"], CHECK, "rejected: a check failed: check: exit 127; the base told nothing", "base change change"),
        (["Ab"], ["Ab"], CASES, "published: 1 file changed, no new failure: check: exit 1, 1 passed, 1 failed", "base change"),
        (["Ab"], ["AB"], CASES, "rejected: a check failed: check: 1 case failed newly, such as b", "base change change base"),
        (["Ab"], ["aB"], CASES, "rejected: a check failed: check: 1 case failed newly, such as b", "base change change base"),
        (["ab"], ["0"], CASES, "rejected: a check failed: check: it left no file that matches", "base change change base"),
    ],
)
def test_only_what_is_new_and_real_blocks(
    world: World, base: list[str], change: list[str], check: dict[str, object], told: str, runs: str
) -> None:
    world.repository("tool")
    played = Played(base=base, change=change)
    assert ended(world, played, check).startswith(told)
    assert played.runs == runs.split()
    world.require_tidy()


def test_the_verdict_shows_the_base_beside_the_change(world: World) -> None:
    world.repository("tool")
    ended(world, Played(base=["Abc"], change=["aBc"]), CASES)
    with world.database.reading() as tx:
        verdict = tx.execute(select(attempts.c.verdict)).scalar_one()
    assert '"base": "failed: exit 1, 1 of 3 cases failed"' in verdict
    assert '"fixed: it failed on the base"' in verdict


def test_a_base_is_looked_at_once_by_each_repository_for_itself(world: World) -> None:
    played = Played(base=["1"], change=["0"])
    world.repository("tool")
    ended(world, played, CHECK)
    ended(world, played, CHECK, "Be kinder.")
    assert played.runs == ["base", "change", "change"]
    world.repository("twin")
    ended(world, played, CHECK, "Be kindest.")
    assert sorted(played.runs[3:]) == ["base", "change", "change"]


def test_another_check_or_toolchain_is_looked_at_anew(world: World) -> None:
    played = Played(base=["0"], change=["0"])
    world.repository("tool")
    ended(world, played, CHECK)
    ended(world, played, CASES, "Be kinder.")
    world.sandbox.toolchain = "another"
    ended(world, played, CHECK, "Be kindest.")
    assert played.runs == ["base", "change"] * 3


def test_what_told_nothing_is_not_kept(world: World) -> None:
    world.repository("tool")
    ended(world, Played(base=["127"], change=["0"]), CHECK)
    with world.database.reading() as tx:
        assert tx.execute(select(baselines)).all() == []


def test_results_that_are_in_the_repository_do_not_count(world: World) -> None:
    world.repository("tool", {"reports/old.xml": b'<a><testcase name="x"><failure/></testcase></a>'})
    assert ended(world, Played(base=["a"], change=["a"]), CASES).startswith("published: 1 file changed, its check passed")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("printf '1..2\\nok 1 - a\\nnot ok 2 - b\\n'; exit 1", "published: 1 file changed, no new failure"),
        (
            "printf '1..2\\nok 1 - a\\n'; test -e NOTE.md && echo 'not ok 2 - b' || echo 'ok 2 - b'",
            "rejected: a check failed: ",
        ),
        ("ln -s /etc/passwd r.xml", "published: 1 file changed, its check passed"),
    ],
)
def test_in_a_real_sandbox(world: World, command: str, told: str) -> None:
    world.repository("tool")
    world.services = replace(world.services, sandbox=BubblewrapSandbox())
    campaign = world.start(checks=[{"run": command} | ({"junit": ["*.xml"]} if "xml" in command else {"tap": True})])
    world.work()
    assert world.ended(world.run(campaign)).startswith(told)


def test_what_is_installed_is_part_of_the_digest(tmp_path: Path) -> None:
    before = digest_of([tmp_path, tmp_path / "none"])
    assert digest_of([tmp_path, tmp_path / "none"]) == before
    (tmp_path / "tool").write_text("new")
    assert digest_of([tmp_path, tmp_path / "none"]) != before
