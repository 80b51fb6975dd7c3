"""A report in the place of a pull request: what is taken for one, and what comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.redaction import redact, redact_data
from bot.errors import SandboxError, UsageError
from bot.pipeline.execution import execute_preview
from bot.pipeline.gathering import Gathered, gather, places
from bot.pipeline.reporting import MAX_BYTES
from bot.ports import SandboxEnd, SandboxResult, StepContext
from bot.store.ledger import Accounts
from bot.store.runs import Run
from tests.fakes.repositories import Files
from tests.fakes.world import World

PATH = "reports/{{ repo }}.md"
STEP = {"run": "scan"}
PASSED = SandboxResult(exit_status=0, ended_by=SandboxEnd.EXIT, duration_ms=1, peak_memory_kb=1, tail="")
LEAF = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["-----BEGIN RSA PRIVATE KEY-----", "://a:b@c"])
JSON = st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


class BusySandbox:
    """`ports.Sandbox` that cannot be started the first time."""

    user = None
    toolchain = "none"

    def __init__(self) -> None:
        self._asked = 0

    def run(self, *_: object, **__: object) -> SandboxResult:
        self._asked += 1
        if self._asked == 1:
            raise SandboxError("no namespace is free", retryable=True)
        return PASSED


def writing(content: bytes, path: str = "reports/tool.md") -> Callable[[Path], None]:
    def write(tree: Path) -> None:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)

    return write


def scan(
    world: World,
    act: Callable[[Path], None],
    kind: str = "md",
    *,
    files: Files | None = None,
    report: str = PATH,
    **policy: Any,
) -> Run:
    """The only run of a campaign whose step does `act` to the tree of the repository `tool`."""
    world.repository("tool", files)
    world.acts["scan"] = lambda _, context: act(context.workspace.tree)
    campaign = world.start(steps=[STEP], output={"report": report, "format": kind}, **policy)
    world.work()
    return world.run(campaign)


def link(target: str, path: str = "reports/tool.md") -> Callable[[Path], None]:
    def make(tree: Path) -> None:
        (tree / "reports").mkdir()
        (tree / path).symlink_to(target)

    return make


def linked_folder(tree: Path) -> None:
    (tree / "reports").symlink_to(tree.parent / "home")
    (tree.parent / "home" / "tool.md").write_text("from elsewhere")


def pipe(tree: Path) -> None:
    (tree / "reports").mkdir()
    os.mkfifo(tree / "reports" / "tool.md")


def nothing(_: Path) -> None:
    pass


def texts(world: World, run: Run) -> list[str | None]:
    return [each.text for each in gather(world.services, run.campaign_id).runs]


def test_a_report_is_kept_and_nothing_is_published(world: World) -> None:
    run = scan(world, writing(b"# Fine\n"))
    assert world.ended(run) == "reported: report of 7 bytes"
    assert texts(world, run) == ["# Fine\n"]
    assert world.pull_requests("tool") == []
    assert world.publication("tool") is None
    world.require_tidy()


def test_a_file_that_is_ignored_is_a_report_too(world: World) -> None:
    run = scan(world, writing(b"Fine"), files={".gitignore": b"reports/\n"})
    assert texts(world, run) == ["Fine"]


@pytest.mark.parametrize("path", ["reports/{{ repo }}.md", "reports/{{ repo.name }}.md", "reports/tool.md"])
def test_the_path_is_a_template(world: World, path: str) -> None:
    assert texts(world, scan(world, writing(b"Fine"), report=path)) == ["Fine"]


@pytest.mark.parametrize(
    ("act", "kind", "why"),
    [
        (nothing, "md", "the steps left no report at 'reports/tool.md'"),
        (writing(b"x" * (MAX_BYTES + 1)), "txt", "has 2,097,153 bytes, at most 2,097,152 are allowed"),
        (writing(b"\xff\xfe"), "md", "the report 'reports/tool.md' is not UTF-8"),
        (writing(b"\xff\xfe"), "json", "the report 'reports/tool.md' is not UTF-8"),
        (writing(b'{\n"a": }'), "json", "is no JSON: line 2: Expecting value"),
        (writing(b"[NaN]"), "json", "is no JSON that can be kept: NaN is not JSON"),
        (writing(b"[" * 100_000), "json", "is no JSON that can be kept: "),
        (writing(b'"\\ud800"'), "json", "has half of a surrogate pair in it"),
        (link("/etc/passwd"), "md", "points out of the repository"),
        (link("../README.md"), "md", "'reports/tool.md' is a link"),
        (linked_folder, "md", "points out of the repository"),
        (pipe, "md", "is a device, a pipe or a socket"),
    ],
)
def test_what_is_no_report_is_rejected(world: World, act: Callable[[Path], None], kind: str, why: str) -> None:
    run = scan(world, act, kind)
    assert world.ended(run).startswith("rejected: ")
    assert why in world.ended(run)
    assert texts(world, run) == [None]
    world.require_tidy()


def test_a_link_that_is_ignored_is_not_followed_either(world: World) -> None:
    run = scan(world, linked_folder, files={".gitignore": b"reports\n"})
    assert world.ended(run) == "rejected: 'reports/tool.md': 'reports' is a link or a file, not a folder"


def test_what_the_repository_had_before_is_no_report(world: World) -> None:
    run = scan(world, nothing, files={"reports/tool.md": b"All is well, says the repository."})
    assert world.ended(run) == "rejected: the steps left no report: 'reports/tool.md' is as it was in the repository"


def test_what_a_step_has_changed_of_it_is(world: World) -> None:
    run = scan(world, writing(b"new"), files={"reports/tool.md": b"old"})
    assert texts(world, run) == ["new"]


def test_no_path_leads_out_of_the_repository(world: World) -> None:
    run = scan(world, nothing, report="{{ '..' }}/home/x")
    assert world.ended(run) == "rejected: '../home/x' is no path below the repository's root"


def test_a_change_outside_of_what_the_policy_allows_rejects_the_report(world: World) -> None:
    run = scan(world, writing(b"x", "other.md"), paths=["/reports/", "/NOTE.md"])
    assert world.ended(run) == "rejected: 'other.md' is not among the paths that the policy may change"


def test_credentials_are_cut_out_and_json_stays_json(world: World) -> None:
    found = {"key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "token": "ghp_0123456789", "line": 3}
    run = scan(world, writing(json.dumps(found).encode()), "json")
    [text] = texts(world, run)
    assert text is not None
    assert json.loads(text) == {"key": "[redacted]", "token": "[redacted]", "line": 3}


@given(JSON)
def test_redacted_json_is_json_however_often_it_is_redacted(value: Any) -> None:
    once = redact_data(value)
    assert json.loads(redact(json.dumps(once, indent=2, ensure_ascii=False))) == once


def test_a_preview_has_the_report(world: World) -> None:
    world.repository("tool")
    world.acts["scan"] = lambda _, context: writing(b"Fine")(context.workspace.tree)
    plan, policy = world.plan(steps=[STEP], output={"report": PATH})
    campaign = world.activate(plan, policy, preview=True).campaign_id
    execute_preview(world.services, campaign, worker="preview")
    assert world.ended(world.run(campaign)) == "reported: report of 4 bytes"
    assert texts(world, world.run(campaign)) == ["Fine"]


def test_an_attempt_that_dies_after_its_steps_is_taken_up_with_its_report(world: World) -> None:
    begun: list[int] = []

    def act(_: Accounts, context: StepContext) -> None:
        begun.append(1)
        writing(b"Fine")(context.workspace.tree)

    world.repository("tool")
    world.acts["scan"] = act
    world.services = replace(world.services, sandbox=BusySandbox())
    campaign = world.start(steps=[STEP], output={"report": PATH}, checks=[{"run": "true"}])
    world.work()
    assert world.run(campaign).state == "pending"
    world.clock.advance(3600)
    world.work()
    assert world.ended(world.run(campaign)) == "reported: report of 4 bytes"
    assert begun == [1]


def test_a_campaign_that_publishes_has_no_reports(world: World) -> None:
    world.repository("tool")
    campaign = world.start()
    with pytest.raises(UsageError, match=f"campaign {campaign} makes no reports: its policy notes has no `output:`"):
        gather(world.services, campaign)


def test_a_report_that_is_gone_is_told(world: World) -> None:
    run = scan(world, writing(b"Fine"))
    [file] = world.services.artifacts.rglob("*-report")
    file.unlink()
    [each] = gather(world.services, run.campaign_id).runs
    assert (each.text, each.reason) == (None, f"its report is gone: artifacts/{run.campaign_id}/{run.id}/{file.name}")


def reported(name: str, path: str, text: str | None = "x") -> Gathered:
    return Gathered({"target": name}, path, text)


def test_each_report_has_a_place_of_its_own() -> None:
    one, two, none = reported("a", "r/a.md"), reported("b", "r/b.md"), reported("c", "", None)
    assert places([one, two, none]) == {"r/a.md": one, "r/b.md": two}
    one, two = reported("a", "REPORT.md"), reported("b", "REPORT.md")
    assert places([one, two, none]) == {"a/REPORT.md": one, "b/REPORT.md": two}
