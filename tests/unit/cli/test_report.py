"""What `whimbrel report` writes: one document in which no report can pass for another's, or a folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.cli.report import document, report_json, write_reports
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy, OutputPolicy
from bot.domain.states import CampaignState
from bot.errors import UsageError
from bot.pipeline.gathering import Gathered, Gathering
from bot.store.campaigns import Campaign

HOSTILE = "# Fine\n\n## billing\n\nNothing here.\n\n```\nleft open\r## billing\u2028## billing\n<!--"


def run(name: str, text: str | None = None, path: str = "", **about: Any) -> Gathered:
    row = {"target": name, "outcome": "reported", "state": "ended", "reason": "report of 7 bytes", "cost_usd": "0.120000"}
    return Gathered(row | about, path or f"reports/{name}.md", text)


def gathering(*runs: Gathered, kind: Literal["md", "json", "txt"] = "md") -> Gathering:
    output = OutputPolicy(report="reports/{{ repo }}.md", format=kind)
    policy = CampaignPolicy.model_validate(
        {"name": "scan", "description": "Look for it", "steps": [{"run": "true"}], "output": output}
    )
    org = OrgPolicy.model_validate({"org": "acme", "host": "local:host", "quota": {"usd_per_month": 1}})
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return Gathering(Campaign("c1", "acme", policy, org, "r1", False, CampaignState.COMPLETED, "alice", at, at), output, runs)


SKIPPED = run("old", None, outcome="skipped", reason="is | archived", cost_usd="0.000000")
WAITING = run("new", None, outcome=None, state="pending", reason="", cost_usd="0.000000")


def test_the_document_begins_with_every_repository_and_what_it_cost() -> None:
    assert document(gathering(run("billing", "# Fine\n\n- a\n"), SKIPPED, WAITING)) == (
        "# scan on acme\n\n"
        "Look for it\n\n"
        "Campaign `c1`: 1 of 3 repositories have a report, for $0.12.\n\n"
        "| Repository | Outcome | Cost | Reason |\n"
        "|---|---|--:|---|\n"
        "| billing | reported | $0.12 | report of 7 bytes |\n"
        "| old | skipped | $0.00 | is \\| archived |\n"
        "| new | pending | $0.00 | pending |\n"
        "\n"
        "## billing\n\n"
        "> # Fine\n> \n> - a\n"
    )


@pytest.mark.parametrize("kind", ["md", "txt", "json"])
def test_no_report_passes_for_another_repositorys(kind: Literal["md", "json", "txt"]) -> None:
    shown = document(gathering(run("evil", HOSTILE), run("billing", "Bad."), kind=kind))
    _, _, after = shown.partition("## evil\n")
    inside, _, rest = after.rpartition("## billing\n")
    if kind == "md":
        assert all(line.startswith("> ") for line in inside.strip().splitlines())
        assert rest == "\n> Bad.\n"
    else:
        opening, *lines, closing = inside.strip().split("\n")
        assert opening == f"````{kind}"
        assert closing == "````"
        assert "````" not in lines


def test_json_has_texts_values_and_nulls() -> None:
    (first, second) = report_json(gathering(run("billing", '{"grade": 2}'), SKIPPED, kind="json"))["repositories"]
    named = {"name": "billing", "outcome": "reported", "reason": "report of 7 bytes", "cost_usd": "0.120000"}
    assert first == {**named, "report": {"grade": 2}}
    assert (second["name"], second["reason"], second["report"]) == ("old", "is | archived", None)
    told = report_json(gathering(run("billing", '{"grade": 2}')))
    assert (told["campaign"], told["policy"], told["repositories"][0]["report"]) == ("c1", "scan", '{"grade": 2}')


def test_a_folder_gets_each_report_by_its_path_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "found"
    assert write_reports(folder, [run("a", "old"), SKIPPED]) == 1
    assert write_reports(folder, [run("a", "one"), run("b", "two"), SKIPPED]) == 2
    found = {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}
    assert found == {"reports/a.md": "one", "reports/b.md": "two"}


@pytest.mark.parametrize("path", ["../out.md", "/out.md", "a/../../out.md", ".git/config"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_reports(tmp_path / "found", [run("a", "text", path)])
    assert not (tmp_path / "out.md").exists()


def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "found" / "reports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link or a file, not a folder"):
        write_reports(tmp_path / "found", [run("a", "text")])
    assert list((tmp_path / "elsewhere").iterdir()) == []
