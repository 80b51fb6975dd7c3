"""Report-only campaigns through the real CLI, with commands and with Claude Code; and estimates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes import repositories
from tests.story.attempts import playing, write
from tests.story.conftest import Campaign, Project

Serve = Callable[[Play], ScriptedModel]
SCAN: dict[str, Any] = {
    "select": {"exclude": ["out-*"]},
    "steps": [{"run": "sh scan.sh"}],
    "checks": [{"run": "test ! -e reports/broken.md"}],
    "output": {"report": "reports/{{ repo }}.md", "format": "md"},
}
SCANS = {
    "alpha": b"mkdir reports; printf '# Alpha\\n\\nNo finding.\\n' > reports/alpha.md\n",
    "beta": b"mkdir reports; printf '# Beta\\n' > reports/beta.md\n",
    "broken": b"mkdir reports; echo x > reports/broken.md\n",
    "crashes": b"exit 3\n",
    "linked": b"mkdir reports; ln -s ../scan.sh reports/linked.md\n",
    "lazy": b"true\n",
    "out-there": b"true\n",
}
GRADE = ToolCall("StructuredOutput", {"grade": 2, "why": "No tests."})
SCHEMA = {"type": "object", "properties": {"grade": {"type": "integer"}, "why": {"type": "string"}}, "required": ["grade"]}


@dataclass(frozen=True)
class Scanned:
    project: Project
    campaign: Campaign

    def report(self, *options: str | Path, status: int = 0) -> str:
        return self.project.whimbrel("report", self.campaign.id, *options, status=status).stdout


@pytest.fixture(scope="module")
def scanned(new_project: Callable[[], Project]) -> Scanned:
    """A campaign whose step does what each repository's own scan.sh says."""
    project = new_project()
    project.write_org(ceilings={"open_pull_requests": 1, "pull_requests_per_hour": 1})
    project.write_campaign("scan", **SCAN)
    for name, script in SCANS.items():
        project.repository(name, {"scan.sh": script, ".gitignore": b"beta.md\n"})
    return Scanned(project, project.run("scan", status=1))


def test_each_run_says_what_came_of_its_report(scanned: Scanned) -> None:
    expected = {
        "alpha": ("reported", "report of 21 bytes"),
        "beta": ("reported", "report of 7 bytes"),
        "broken": ("rejected", "a check failed: test ! -e reports/broken.md: exit 1"),
        "crashes": ("failed", "`sh scan.sh` ended with status 3"),
        "linked": ("rejected", "'reports/linked.md' is a link"),
        "lazy": ("rejected", "the steps left no report at 'reports/lazy.md'"),
        "out-there": ("skipped", "excluded"),
    }
    assert scanned.campaign.outcomes == {name: outcome for name, (outcome, _) in expected.items()}
    for name, (_, reason) in expected.items():
        assert reason in scanned.campaign[name]["reason"]


def test_nothing_is_published(scanned: Scanned) -> None:
    assert scanned.project.pull_requests() == []
    assert all(row["pull_request"] is None for row in scanned.campaign.rows)


def test_the_report_of_a_campaign_is_one_document(scanned: Scanned) -> None:
    shown = scanned.report()
    assert f"Campaign `{scanned.campaign.id}`: 2 of 7 repositories have a report, for $0.00." in shown
    assert "| lazy | rejected | $0.00 | the steps left no report at 'reports/lazy.md' |" in shown
    assert shown.endswith("## alpha\n\n> # Alpha\n> \n> No finding.\n\n## beta\n\n> # Beta\n")


def test_it_is_json_too(scanned: Scanned) -> None:
    told = json.loads(scanned.report("--json"))
    assert (told["campaign"], told["policy"]) == (scanned.campaign.id, "scan")
    reports = {each["name"]: each["report"] for each in told["repositories"]}
    assert {name: text for name, text in reports.items() if text} == {"alpha": "# Alpha\n\nNo finding.\n", "beta": "# Beta\n"}
    assert json.loads(scanned.report("--format", "json")) == told


def test_it_is_written_to_a_file_or_a_folder(scanned: Scanned, tmp_path: Path) -> None:
    assert scanned.report("--output", tmp_path / "all.md") == ""
    assert (tmp_path / "all.md").read_text() == scanned.report()
    scanned.report("--output", tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text())["policy"] == "scan"
    assert scanned.report("--output", f"{tmp_path}/found/") == f"2 reports written to {tmp_path}/found\n"
    assert (tmp_path / "found" / "reports" / "beta.md").read_text() == "# Beta\n"


def test_what_cannot_be_asked_is_told(scanned: Scanned, tmp_path: Path) -> None:
    scanned.report("--json", "--output", tmp_path, status=2)
    scanned.report("--output", tmp_path / "not" / "there.md", status=2)
    assert "there is no campaign nothing" in scanned.project.whimbrel("report", "nothing", status=2).stderr


def test_a_preview_shows_the_report(scanned: Scanned) -> None:
    shown = scanned.project.whimbrel("preview", "scan", "--org", "acme", "--repo", "alpha").stdout
    assert "reported" in shown
    assert "No finding." in shown


def test_claude_writes_a_report_that_keeps_no_secret(project: Project, serve: Serve) -> None:
    project.write_org(campaigns=[*project.org["campaigns"], "security-scan"])
    project.repository("alpha", {"a.py": b"x = 1\n"})
    model = serve(playing(write("reports/alpha.md", "# Findings\n\nThe key sk-ant-api03-abcdef is in a.py.\n")))
    project.use(model)
    campaign = project.run("security-scan")
    assert campaign.outcomes == {"alpha": "reported"}
    [each] = project.whimbrel("report", campaign.id, "--json").json["repositories"]
    assert each["report"] == "# Findings\n\nThe key [redacted] is in a.py.\n"
    assert Decimal(each["cost_usd"]) > 0
    assert "`reports/alpha.md`" in model.bill[0].conversation.prompt


def test_a_structured_result_is_a_report(project: Project, serve: Serve) -> None:
    step = {"prompt": "Grade {{ repo }}.", "output_schema": SCHEMA, "name": "review"}
    project.write_campaign("grade", steps=[step], output={"format": "json"})
    project.repository("alpha", {"a": b"a"})
    model = serve(playing(GRADE))
    project.use(model)
    campaign = project.run("grade")
    [each] = project.whimbrel("report", campaign.id, "--json").json["repositories"]
    assert (each["outcome"], each["report"]) == ("reported", GRADE.input)
    assert model.bill[0].conversation.prompt == "Grade alpha.\n"
    project.whimbrel("report", campaign.id, "--output", "found/")
    assert json.loads((project.folder / "found" / "alpha.json").read_text()) == GRADE.input


def test_an_estimate_goes_from_the_budget_to_prompts_to_history(project: Project, serve: Serve) -> None:
    def estimate() -> dict[str, Any]:
        told: dict[str, Any] = project.whimbrel("estimate", "tidy", "--org", "acme", "--json").json
        return told

    def play(_: Conversation) -> Turn:
        return Turn("Nothing to do.")

    project.write_campaign("tidy", steps=[{"prompt": "Tidy {{ repo.name }} up."}], budget={"usd_per_attempt": 1})
    for name in ("alpha", "beta"):
        project.repository(name, {"a": b"a"})
    first = estimate()
    assert (first["source"], first["targets"], first["usd_expected"]) == ("budget", 2, "2.000000")
    assert "there is no key for the model" in first["basis"]

    model = serve(play)
    project.use(model)
    second = estimate()
    assert second["source"] == "prompts"
    assert 0 < Decimal(second["usd_p50"]) < Decimal(second["usd_p90"]) <= Decimal(second["usd_at_most"]) == 2
    assert model.bill == []
    assert project.whimbrel("quota", "--json").json == []

    campaign = project.run("tidy")
    costs = sorted(Decimal(row["cost_usd"]) for row in campaign.rows)
    assert estimate()["targets"] == 0  # as long as nothing has changed, there is nothing to do
    for name in ("alpha", "beta"):
        repositories.commit(repositories.opened(project.bare(name)), {"a": b"b"})
    third = estimate()
    assert third["source"] == "history"
    assert (Decimal(third["usd_p50"]), Decimal(third["usd_p90"])) == (2 * costs[0], 2 * costs[1])
    assert "what 2 earlier runs have cost" in project.whimbrel("estimate", "tidy", "--org", "acme").stdout


def test_an_estimate_of_what_is_not_there_is_refused(project: Project) -> None:
    assert "there is no campaign policy 'tidee'" in project.whimbrel("estimate", "tidee", "--org", "acme", status=2).stderr
