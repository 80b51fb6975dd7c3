"""Every outcome of the vocabulary, produced once through the real CLI and explained; and what follows on a pull request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes import repositories
from tests.story.conftest import Campaign, Project, ending

MIXED: dict[str, Any] = {
    "paths": ["src/**"],
    "steps": [{"run": "sh migrate.sh"}, {"prompt": "Look whether more is to be done in {{ repo.name }}."}],
    "checks": [{"run": "echo looking for it; test ! -e src/broken"}],
}
MIGRATIONS = {
    "fails": b"echo first; echo the disk is on fire >&2; exit 3\n",
    "good": b"mkdir src; echo new > src/new\n",
    "outside": b"mkdir src; echo new > src/new; echo new > outside.txt\n",
    "same": b"true\n",
    "unproven": b"mkdir src; echo broken > src/broken\n",
}
EXPLAINED = {
    "fails": ("failed", "`sh migrate.sh` ended with status 3: the disk is on fire"),
    "good": ("published", "1 file changed"),
    "outside": ("rejected", "'outside.txt' is not among the paths that the policy may change"),
    "poor": ("budget_exhausted", "$0.01"),
    "same": ("no_change", "nothing to change: the repository already is as the policy wants it"),
    "unclear": ("skipped", "acme/unclear:.whimbrel.yaml:1: `enabbled` is unknown: did you mean `enabled`?"),
    "unproven": ("rejected", "a check failed: echo looking for it; test ! -e src/broken: exit 1: looking for it"),
    "unwilling": ("skipped", "opted out in .whimbrel.yaml: campaigns.mixed is false"),
}


@dataclass(frozen=True)
class Mixed:
    project: Project
    model: ScriptedModel
    campaign: Campaign


@pytest.fixture(scope="module")
def mixed(new_project: Callable[[], Project], serve: Callable[[Play], ScriptedModel]) -> Mixed:
    """A campaign whose step does what each repository's own migrate.sh says."""
    project, model = new_project(), serve(ending)
    project.use(model)
    project.write_campaign("mixed", **MIXED)
    for name, script in MIGRATIONS.items():
        project.repository(name, {"migrate.sh": script})
    good = {"migrate.sh": MIGRATIONS["good"]}
    project.repository("poor", {**good, ".whimbrel.yaml": b"budget: {usd_per_attempt: 0.01}\n"})
    project.repository("unwilling", {**good, ".whimbrel.yaml": b"campaigns: {mixed: false}\n"})
    project.repository("unclear", {**good, ".whimbrel.yaml": b"enabbled: false\n"})
    return Mixed(project, model, project.run("mixed", status=1))


def test_each_outcome_is_explained(mixed: Mixed) -> None:
    assert {target: outcome for target, (outcome, _) in EXPLAINED.items()} == mixed.campaign.outcomes
    for target, (_, words) in EXPLAINED.items():
        assert words in mixed.campaign[target]["reason"]


def test_only_what_passed_has_a_pull_request(mixed: Mixed) -> None:
    (pull,) = mixed.project.pull_requests()
    assert (pull["repository"], pull["state"]) == ("good", "open")
    row = mixed.campaign["good"]["pull_request"]
    assert row.items() >= {"number": 1, "url": pull["url"], "state": "open", "branch": "whimbrel/mixed"}.items()
    assert repositories.files_at(mixed.project.bare("good"), "whimbrel/mixed")["src/new"] == b"new\n"
    assert [row["target"] for row in mixed.campaign.rows if row["pull_request"]] == ["good"]


def test_a_budget_that_the_repository_tightened_is_held_and_named_with_its_figures(mixed: Mixed) -> None:
    poor = mixed.project.run("mixed", "--repo", "poor", status=3)
    for row in (mixed.campaign["poor"], poor["poor"]):
        assert row["outcome"] == "budget_exhausted"
        assert "$0.01" in row["reason"]
        assert (row["cost_usd"], row["tokens"]) == ("0.000000", 0)
    assert poor.status["outcomes"] == {"budget_exhausted": 1}
    asked = [billed.conversation.prompt for billed in mixed.model.bill]
    assert [words for words in asked if "good" in words]
    assert not [words for words in asked if "poor" in words]


def test_a_preview_reports_and_publishes_nothing(mixed: Mixed) -> None:
    before = mixed.project.pull_requests()
    shown = mixed.project.whimbrel("preview", "mixed", "--org", "acme", "--repo", "good", "--json").json
    assert (shown["run"]["outcome"], shown["run"]["pull_request"]) == ("reported", None)
    assert Decimal(shown["run"]["cost_usd"]) > 0
    assert "+++ b/src/new" in shown["artifacts"]["diff"][0]
    (attempt,) = shown["attempts"]
    assert attempt["verdict"]["decision"] == "pass"
    assert mixed.project.pull_requests() == before


# --- what follows on a pull request ---

NOTES: dict[str, Any] = {"steps": [{"run": "echo 'the first words' > NOTES"}]}
REVISED: dict[str, Any] = {"steps": [{"run": "echo 'better words' > NOTES"}]}
BRANCH = "whimbrel/notes"


@dataclass(frozen=True)
class Followed:
    """A policy run; its pull requests merged, closed, added to; run again; changed, and run once more."""

    project: Project
    first: Campaign
    persons_commit: str
    second: Campaign
    revised: Campaign


@pytest.fixture(scope="module")
def followed(new_project: Callable[[], Project]) -> Followed:
    project = new_project()
    project.write_campaign("notes", **NOTES)
    made = {name: project.repository(name, {"a": b"a"}) for name in ("closed", "merged", "open", "touched")}
    first = project.run("notes")
    project.whimbrel("host", "pr", "merge", "merged", "1", "--org", "acme")
    project.whimbrel("host", "pr", "close", "closed", "1", "--org", "acme")
    persons = repositories.commit(made["touched"], {"mine": b"a person's"}, branch=BRANCH)
    second = project.run("notes")
    project.write_campaign("notes", **REVISED)
    return Followed(project, first, persons, second, project.run("notes"))


def test_all_are_published_at_first(followed: Followed) -> None:
    assert set(followed.first.outcomes.values()) == {"published"}


def test_what_was_merged_needs_no_change(followed: Followed) -> None:
    assert followed.second["merged"]["outcome"] == "no_change"
    assert repositories.files_at(followed.project.bare("merged"))["NOTES"] == b"the first words\n"


def test_what_a_person_closed_stays_closed(followed: Followed) -> None:
    row = followed.second["closed"]
    assert row["outcome"] == "skipped"
    assert row["reason"].startswith("#1 was closed without being merged, and stays closed")


def test_what_is_open_is_left_as_it_is(followed: Followed) -> None:
    for target in ("open", "touched"):
        assert followed.second[target]["outcome"] == "skipped"
        assert followed.second[target]["reason"] == "already open: #1"


def test_a_persons_commit_on_the_branch_is_kept_with_the_bots_on_top(followed: Followed) -> None:
    bare = followed.project.bare("touched")
    assert followed.revised["touched"]["outcome"] == "published"
    assert str(repositories.opened(bare).revparse_single(BRANCH).parents[0].id) == followed.persons_commit
    assert repositories.files_at(bare, BRANCH) == {"a": b"a", "mine": b"a person's", "NOTES": b"better words\n"}


def test_a_changed_policy_updates_the_pull_request_that_is_open(followed: Followed) -> None:
    assert followed.revised["open"]["pull_request"]["number"] == 1
    assert repositories.files_at(followed.project.bare("open"), BRANCH)["NOTES"] == b"better words\n"
    of_open = [pull for pull in followed.project.pull_requests() if pull["repository"] == "open"]
    assert [(pull["number"], pull["state"]) for pull in of_open] == [(1, "open")]
    assert of_open[0]["head"] == repositories.head(followed.project.bare("open"), BRANCH)


def test_a_changed_policy_asks_again_where_the_last_change_was_merged(followed: Followed) -> None:
    assert followed.revised["merged"]["pull_request"]["number"] == 2
    assert repositories.files_at(followed.project.bare("merged"), BRANCH)["NOTES"] == b"better words\n"


# --- the org's ceilings ---


def test_only_so_many_pull_requests_are_open_and_the_rest_waits_its_turn(project: Project) -> None:
    project.write_org(ceilings={"open_pull_requests": 2})
    project.write_campaign("notes", **NOTES)
    for name in ("a", "b", "c", "d", "e"):
        project.repository(name, {"a": b"a"})
    done = project.whimbrel("run", "notes", "--org", "acme")
    said = " ".join(done.stdout.split())
    assert "3 targets wait: 2 of 2 pull requests of acme are open: waiting until some are closed" in said
    assert "The same command goes on" in said
    opened = project.pull_requests("--state", "open")
    assert len(opened) == 2
    for pull in opened:
        project.whimbrel("host", "pr", "merge", pull["repository"], str(pull["number"]), "--org", "acme")
    onward = project.run("notes")
    assert len(project.pull_requests()) == 4
    assert len(project.pull_requests("--state", "open")) == 2
    assert onward.status["outcomes"] == {"published": 4}
    assert onward.status["state"] == "running"
    assert "1 targets wait: 2 of 2 pull requests" in onward.said


def test_only_so_many_pull_requests_are_opened_in_an_hour_until_the_operator_allows_more(project: Project) -> None:
    project.write_org(ceilings={"pull_requests_per_hour": 1})
    project.write_campaign("notes", **NOTES)
    for name in ("a", "b"):
        project.repository(name, {"a": b"a"})
    held = project.run("notes")
    assert held.status["outcomes"] == {"published": 1}
    assert "1 targets wait: 1 of 1 pull requests of acme were opened this hour: waiting until" in held.said
    project.write_org(ceilings={"pull_requests_per_hour": 2})
    onward = project.run("notes")
    assert onward.id == held.id
    assert onward.status["outcomes"] == {"published": 2}
    assert onward.status["state"] == "completed"


def test_who_may_not_trigger_starts_nothing(project: Project) -> None:
    project.write_org(may_trigger={"permission": "admin"})
    project.write_campaign("notes", **NOTES)
    project.repository("a", {"a": b"a"})
    done = project.whimbrel("run", "notes", "--org", "acme", status=2)
    assert "has the permission `write` on acme, `admin` is needed to start a campaign" in done.stderr
    assert "may_trigger in policies/orgs/acme.yaml says who may" in done.stderr
    assert project.whimbrel("status", "--json").json == []
