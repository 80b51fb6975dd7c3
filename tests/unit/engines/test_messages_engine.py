"""Edits that a model says are data: applied to the files that it was given, exactly, or told to it once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.money import MicroUsd
from bot.domain.policies import CampaignPolicy, Limits
from bot.domain.steps import EditStep
from bot.engines.messages import MessagesEngine
from bot.errors import AgentFailed, EngineError, QuotaRefused
from bot.gateway.client import client_at
from bot.gateway.prices import load_prices
from bot.gateway.server import Gateway
from bot.gateway.step_cap import CappedMeter
from bot.gateway.upstream import Upstream
from bot.ports import StepContext, Workspace
from bot.rendering import Renderer
from tests.fakes.meter import FakeMeter
from tests.fakes.upstream import FakeUpstream, call, error, message

STEP = EditStep(edit="bump.md.j2", files=["*.toml", "docs/*.md", "!secret.toml"], model="claude-haiku-4-5")


class Bench:
    def __init__(self, folder: Path):
        self.tree, self.meter, self.told = folder / "tree", FakeMeter(), list[str]()
        for place in ("tree/docs", "home", "attempt/scratch", "templates"):
            (folder / place).mkdir(parents=True)
        (folder / "templates/bump.md.j2").write_text("Bump to 2.\n")
        (self.tree / "a.toml").write_text("version = 1\n")
        (self.tree / "secret.toml").write_text("key = 1\n")
        self.folder = folder
        self.context = StepContext(
            workspace=Workspace(self.tree, folder / "home", folder / "attempt/scratch"),
            variables={},
            limits=Limits(),
            usd_cap_micro=2_000_000,
            remaining_seconds=lambda: 60.0,
            emit=lambda message, **_: self.told.append(message),
            artifact=lambda *_: None,
            rendered=lambda *_: None,
            output=lambda *_: None,
            cancelled=lambda: False,
        )

    def apply(self, *script: Any, step: EditStep = STEP, **context: Any) -> list[dict[str, Any]]:
        with FakeUpstream() as upstream:
            upstream.script.extend(script)

            def gateway(models: frozenset[str], context: StepContext) -> Gateway:
                line = CappedMeter(self.meter, MicroUsd(context.usd_cap_micro))
                way, socket = Upstream(upstream.url, "sk-ant-api03-key"), self.folder / "api" / "api.sock"
                return Gateway(socket_path=socket, upstream=way, models=models, meter=line, prices=load_prices())

            engine = MessagesEngine(Renderer([self.folder / "templates"]), gateway, client_at)
            try:
                engine.apply(step, replace(self.context, **context))
            finally:
                self.seen = [seen.body for seen in upstream.requests]
        return self.seen


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_edits_are_applied_and_metered_and_the_prompt_comes_first_to_be_cached(bench: Bench) -> None:
    edits = [call("replace", path="a.toml", old="1", new="2"), call("write", path="docs/new.md", content="New\n")]
    [body] = bench.apply(message(*edits))
    assert (bench.tree / "a.toml").read_text() == "version = 2\n"
    assert (bench.tree / "docs/new.md").read_text() == "New\n"
    assert body["system"][-1] == {"type": "text", "text": "Bump to 2.", "cache_control": {"type": "ephemeral"}}
    assert "version = 1" in body["messages"][0]["content"]
    assert "key = 1" not in str(body)
    assert len(bench.meter.settled) == 1


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (call("replace", path="a.toml", old="3", new="2"), "0 times in 'a.toml'"),
        (call("replace", path="a.toml", old="", new="2"), "0 times in 'a.toml'"),
        (call("write", path="docs/../../y.toml", content=""), "not among the files"),
        (call("write", path="../y.toml", content=""), "not among the files"),
        (call("write", path="secret.toml", content=""), "not among the files"),
        (call("write", path=3, content=""), "no call that can be made"),
        (call("run", command="true"), "no call that can be made"),
    ],
)
def test_what_does_not_apply_is_told_once_and_nothing_is_half_made(bench: Bench, edit: dict[str, Any], problem: str) -> None:
    good = call("replace", path="a.toml", old="1", new="2")
    with pytest.raises(AgentFailed, match="the edits do not apply"):
        bench.apply(message(good, edit), message(edit))
    assert (bench.tree / "a.toml").read_text() == "version = 1\n"
    *_, results = bench.seen[1]["messages"]
    assert [result["is_error"] for result in results["content"]] == [False, True]
    assert problem in results["content"][1]["content"]
    bench.apply(message(edit), message(good))
    assert (bench.tree / "a.toml").read_text() == "version = 2\n"


def test_links_and_binaries_are_not_given_and_too_much_is_refused(bench: Bench) -> None:
    (bench.tree / "link.toml").symlink_to("/etc/passwd")
    (bench.tree / "bin.toml").write_bytes(b"\xff\xfe")
    [body] = bench.apply(message())
    assert "root:" not in str(body)
    assert "link.toml" not in str(body)
    assert "bin.toml" not in str(body)
    for number in range(60):
        (bench.tree / f"{number}.toml").write_text("x\n")
    with pytest.raises(EngineError, match="more than 50 files"):
        bench.apply()
    assert bench.apply(step=STEP.model_copy(update={"files": ["*.none"]})) == []


def test_a_cap_and_an_api_out_of_reach_end_it(bench: Bench) -> None:
    with pytest.raises(QuotaRefused):
        bench.apply(usd_cap_micro=10)
    assert bench.seen == []
    with pytest.raises(AgentFailed, match="status 529") as caught:
        bench.apply(error(529, "overloaded_error"))
    assert caught.value.retryable


def test_a_policy_with_it_asks_a_model_and_needs_no_sandbox() -> None:
    step = {"edit": "prompts/x.md.j2", "files": ["*.toml"]}
    policy = CampaignPolicy.model_validate({"name": "x", "description": "x", "steps": [step]})
    assert policy.uses_model
    assert not policy.uses_sandbox
    assert "prompts/x.md.j2" in policy.templates
