"""Pull requests to their end, through the real command line: many at once, adopted, left alone; and a finished campaign."""

from __future__ import annotations

import pytest

from tests.fakes import repositories
from tests.story.conftest import Project

ACME = ("--org", "acme")


@pytest.fixture
def noted(project: Project) -> tuple[Project, str]:
    """A project with a campaign's pull requests in three repositories."""
    for name in ("one", "two", "three"):
        project.repository(name, {"README.md": b"# Hello\n"})
    project.write_campaign("notes", steps=[{"run": "echo Be kind. > NOTE.md"}])
    return project, project.run("notes").id


def test_all_that_a_campaign_opened_is_merged_at_once(project: Project) -> None:
    project.repository("one", {"README.md": b"# Hello\n"})
    project.write_campaign("notes", steps=[{"run": "echo Be kind. > NOTE.md"}])
    campaign = project.whimbrel("run", "notes", "--org", "acme", "--workers", "1", "--json").json["id"]
    merged = project.whimbrel("prs", campaign, "merge", "--yes", "--json").json
    assert [(row["repository"], row["number"]) for row in merged["done"]] == [("one", 1)]
    assert repositories.files_at(project.bare("one"))["NOTE.md"] == b"Be kind.\n"
    assert project.whimbrel("status", campaign, "--json").json["finished"]


@pytest.mark.slow
def test_a_campaign_from_review_to_its_end(noted: tuple[Project, str]) -> None:
    project, campaign = noted
    host = ("host", "pr")
    project.whimbrel(*host, "review", "one", "1", "approved", *ACME)
    project.whimbrel(*host, "check", "one", "1", "passed", *ACME)
    project.whimbrel(*host, "check", "two", "1", "failed", *ACME)
    project.whimbrel(*host, "review", "three", "1", "changes_requested", "Not here.", *ACME)

    listed = {row["repository"]: row for row in project.whimbrel("prs", campaign, "--json").json}
    assert {name: (row["checks"], row["review"]) for name, row in listed.items()} == {
        "one": ("passed", "approved"),
        "two": ("failed", ""),
        "three": ("", "changes_requested"),
    }
    refused = project.whimbrel("prs", campaign, "merge", status=2)  # nobody is asked, so nothing is done
    assert "--yes does it without asking" in refused.stderr
    preview = project.whimbrel("prs", campaign, "merge", "--json").json
    assert [row["repository"] for row in preview["touched"]] == ["one"]
    assert {row["repository"]: row["reason"] for row in preview["left_out"]} == {
        "two": "its checks have failed",
        "three": "changes are asked for: Not here.",
    }
    assert not preview["done"]

    merged = project.whimbrel("prs", campaign, "merge", "--yes").stdout
    assert "acme/one#1: done" in merged
    status = project.whimbrel("status", campaign, "--json").json
    assert (status["state"], status["finished"]) == ("completed", False)
    assert status["pull_requests"]["merged"] == 1
    closed = project.whimbrel("prs", campaign, "close", "-m", "Thought better of it.", "--yes", "--json").json
    assert sorted(row["repository"] for row in closed["done"]) == ["three", "two"]
    status = project.whimbrel("status", campaign, "--json").json
    assert (status["finished"], status["pull_requests"]["open"]) == (True, 0)
    assert "every target has its end" in " ".join(project.whimbrel("status", campaign).stdout.split())

    run = project.campaign(status)["three"]
    timeline = project.whimbrel("show", run["id"], "--json").json["pull_request_timeline"]
    assert [event["kind"] for event in timeline] == ["pushed", "opened", "review", "closed"]
    assert "Thought better of it." in project.whimbrel("show", run["id"]).stdout
    project.whimbrel("audit", "verify")


@pytest.mark.slow
def test_what_somebody_opened_is_adopted_and_not_doubled(project: Project) -> None:
    for name in ("one", "two"):
        project.repository(name, {"README.md": b"# Hello\n"})
    project.write_campaign("notes", steps=[{"run": "echo Be kind. > NOTE.md"}])
    repositories.commit(repositories.opened(project.bare("one")), {"NOTE.md": b"By hand.\n"}, branch="mine", start="main")
    opened = project.whimbrel("host", "pr", "open", "one", "mine", *ACME, "--title", "A note").stdout
    url = opened.split()[-1]

    assert "followed from now on" in project.whimbrel("adopt", "notes", url).stdout
    said = project.whimbrel("adopt", "notes", "acme/one#1", "acme/two#9", status=1).stdout
    assert "acme/one#1: it is followed already" in said
    assert "acme/two#9: not adopted: there is none" in said
    assert "no pull request" in project.whimbrel("adopt", "notes", "one", status=2).stderr

    campaign = project.run("notes")
    assert campaign.outcomes == {"one": "skipped", "two": "published"}
    assert "has opened it" in campaign["one"]["reason"]
    assert {(pull["repository"], pull["branch"]) for pull in project.pull_requests()} == {
        ("one", "mine"),
        ("two", "whimbrel/notes"),
    }
    assert project.whimbrel("status", campaign.id, "--json").json["pull_requests"]["adopted"] == 1


@pytest.mark.slow
def test_a_maintainer_turns_the_bot_off_and_on(noted: tuple[Project, str]) -> None:
    project, campaign = noted
    project.whimbrel("host", "pr", "comment", "one", "1", "/whimbrel off", *ACME)
    project.whimbrel("host", "pr", "label", "two", "1", "whimbrel:off", *ACME)
    project.write_campaign("notes", steps=[{"run": "echo Be brief. > NOTE.md"}])
    plan = project.whimbrel("plan", "notes", *ACME, "--json").json
    assert [target["repository"] for target in plan["targets"]] == ["three"]
    reasons = {skip["repository"]: skip["reason"] for skip in plan["skipped"]}
    assert reasons["one"].endswith("has the bot leave it alone: a comment on #1")
    assert reasons["two"] == "somebody has the bot leave it alone: the label whimbrel:off on #1"

    left_alone = project.whimbrel("status", campaign, "--json").json["left_alone"]
    assert [each["repository"] for each in left_alone] == ["one", "two"]
    assert "left alone on acme: one (" in project.whimbrel("status").stdout.replace("\n", " ")

    project.whimbrel("host", "pr", "comment", "one", "1", "/whimbrel on", *ACME)
    plan = project.whimbrel("plan", "notes", *ACME, "--json").json
    assert [target["repository"] for target in plan["targets"]] == ["one", "three"]
