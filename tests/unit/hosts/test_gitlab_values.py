"""What GraphQL's answers become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bot.domain.pull_requests import ChecksState, PullRequestState, Review, ReviewState
from bot.hosts.gitlab_graphql import is_below, pull_request_value, repository_value, without_draft

OWN = "whimbrel/notes"
PROJECT: dict[str, Any] = {
    "id": "gid://gitlab/Project/7", "fullPath": "acme/platform/tool", "webUrl": "https://gitlab.com/acme/platform/tool",
    "description": None, "visibility": "internal", "archived": False, "isForked": True, "topics": ["python"],
    "languages": [{"name": "Python"}, {"name": "Jupyter Notebook"}], "statistics": {"repositorySize": 2_097_152.0},
    "repository": {"rootRef": "trunk", "commit": {"sha": "a" * 40}},
}  # fmt: skip
MERGE: dict[str, Any] = {
    "iid": "3", "state": "opened", "draft": True, "title": "Draft: A note", "description": "Because.",
    "webUrl": "https://gitlab.com/acme/tool/-/merge_requests/3", "updatedAt": "2026-01-15T12:00:00Z",
    "sourceBranch": "whimbrel/x", "targetBranch": "main", "diffHeadSha": "b" * 40, "sourceProjectId": 7, "targetProjectId": 7,
    "sourceProject": {"fullPath": "acme/tool"}, "conflicts": False, "mergeStatusEnum": "CAN_BE_MERGED",
    "detailedMergeStatus": "MERGEABLE", "autoMergeEnabled": False, "author": {"username": "bot"}, "mergeUser": None,
    "headPipeline": None, "labels": {"nodes": [{"title": "whimbrel"}]}, "reviewers": {"nodes": []}, "approvedBy": {"nodes": []},
    "commitsWithoutMergeCommits": {"nodes": [{"sha": "2"}, {"sha": "1"}]}, "notes": {"nodes": []},
}  # fmt: skip


def reviewer(name: str, state: str) -> dict[str, Any]:
    return {"id": "gid://gitlab/User/9", "username": name, "mergeRequestInteraction": {"reviewState": state}}


def pipeline(status: str, jobs: Mapping[str, str] | None = None, *, more: bool = False) -> dict[str, Any]:
    told = [{"name": name, "status": each, "retried": False, "allowFailure": False} for name, each in (jobs or {}).items()]
    return {"status": status, "jobs": {"pageInfo": {"hasNextPage": more}, "nodes": told}}


class TestRepositories:
    def test_a_project_is_named_below_its_org(self) -> None:
        assert [repository_value(org, PROJECT).name for org in ("acme", "acme/platform")] == ["platform/tool", "tool"]
        found = repository_value("acme", PROJECT)
        assert (found.default_branch, found.head, found.fork, found.size_kb) == ("trunk", "a" * 40, True, 2048)
        assert (found.languages, found.visibility, found.description) == ({"python", "jupyter notebook"}, "internal", "")

    def test_one_without_a_commit_has_no_head(self) -> None:
        empty = repository_value("acme", {**PROJECT, "repository": {"rootRef": None, "commit": None}, "statistics": None})
        assert (empty.head, empty.unusable, empty.size_kb) == (None, "", 0)

    def test_what_cannot_be_worked_on_says_why(self) -> None:
        hidden = repository_value("acme", {**PROJECT, "repository": None})
        going = repository_value("acme", {**PROJECT, "fullPath": "acme/tool-deletion_scheduled-7"})
        assert "not the bot's to read" in hidden.unusable
        assert (going.unusable, going.head) == ("it is scheduled for deletion", None)

    def test_what_is_only_shared_with_the_group_is_not_below_it(self) -> None:
        assert is_below("Acme", PROJECT)
        assert not is_below("acme/plat", PROJECT)


class TestMergeRequests:
    def test_one_is_told(self) -> None:
        found = pull_request_value(MERGE)
        assert (found.number, found.state, found.branch, found.text.title) == (3, PullRequestState.OPEN, "whimbrel/x", "A note")
        assert (found.text.draft, found.text.labels, found.author) == (True, ("whimbrel",), "bot")
        assert found.commits == ("1", "2")

    def test_a_forks_branch_is_told_with_its_owner(self) -> None:
        fork = {**MERGE, "sourceProjectId": 8, "sourceProject": {"fullPath": "forks/of-acme/tool"}}
        assert pull_request_value(fork).branch == "forks/of-acme:whimbrel/x"
        assert pull_request_value({**fork, "sourceProject": None}).branch == "ghost:whimbrel/x"

    def test_who_ended_it(self) -> None:
        merged = pull_request_value({**MERGE, "state": "merged", "mergeUser": {"username": "mia"}})
        assert (merged.state, merged.closed_by) == (PullRequestState.MERGED, "mia")
        assert pull_request_value({**MERGE, "state": "closed"}, closed_by="bob").closed_by == "bob"

    def test_gitlabs_own_notes_are_nobodys_words(self) -> None:
        notes = [
            {"author": {"username": "mia"}, "body": "Why?", "createdAt": "2026-01-15T12:00:00Z", "system": False},
            {"author": {"username": "mia"}, "body": "added 1 commit", "createdAt": "2026-01-15T12:01:00Z", "system": True},
        ]
        assert [each.body for each in pull_request_value({**MERGE, "notes": {"nodes": notes}}).comments] == ["Why?"]

    @pytest.mark.parametrize(
        ("approved", "reviewers", "merge_status", "expected"),
        [
            ([], [], "MERGEABLE", ReviewState.NONE),
            ([{"username": "mia"}], [], "MERGEABLE", ReviewState.APPROVED),
            ([{"username": "mia"}], [], "NOT_APPROVED", ReviewState.NONE),
            ([{"username": "mia"}], [reviewer("bob", "REQUESTED_CHANGES")], "MERGEABLE", ReviewState.CHANGES_REQUESTED),
            ([], [reviewer("bob", "REVIEWED")], "MERGEABLE", ReviewState.NONE),
        ],
    )
    def test_what_reviews_come_to(
        self, approved: list[Any], reviewers: list[Any], merge_status: str, expected: ReviewState
    ) -> None:
        said = {"approvedBy": {"nodes": approved}, "reviewers": {"nodes": reviewers}, "detailedMergeStatus": merge_status}
        assert pull_request_value({**MERGE, **said}).review is expected

    def test_each_review_is_its_reviewers(self) -> None:
        reviewers = [reviewer("mia", "APPROVED"), reviewer("bob", "REQUESTED_CHANGES"), reviewer("eve", "UNREVIEWED")]
        found = pull_request_value({**MERGE, "approvedBy": {"nodes": [{"username": "mia"}]}, "reviewers": {"nodes": reviewers}})
        assert found.reviews == (Review("mia", "approved", "", ""), Review("bob", "changes_requested", "", ""))
        assert found.objector() == "bob"

    @pytest.mark.parametrize(
        ("pipeline", "expected"),
        [
            (None, ChecksState.NONE),
            (pipeline("SUCCESS"), ChecksState.PASSED),
            (pipeline("FAILED"), ChecksState.FAILED),
            (pipeline("CANCELED"), ChecksState.FAILED),
            (pipeline("RUNNING"), ChecksState.PENDING),
            (pipeline("MANUAL"), ChecksState.PENDING),
            (pipeline("FAILED", {OWN: "FAILED"}), ChecksState.NONE),
            (pipeline("FAILED", {OWN: "FAILED", "test": "SUCCESS"}), ChecksState.PASSED),
            (pipeline("SUCCESS", {OWN: "SUCCESS", "test": "FAILED"}), ChecksState.FAILED),
            (pipeline("SUCCESS", {OWN: "SUCCESS", "test": "RUNNING"}), ChecksState.PENDING),
            (pipeline("SUCCESS", {OWN: "SUCCESS", "deploy": "MANUAL"}), ChecksState.PASSED),
            (pipeline("FAILED", {OWN: "SUCCESS"}, more=True), ChecksState.FAILED),
        ],
    )
    def test_what_ci_says(self, pipeline: Any, expected: ChecksState) -> None:
        assert pull_request_value({**MERGE, "headPipeline": pipeline}).checks is expected

    @pytest.mark.parametrize(
        ("conflicts", "status", "expected"),
        [
            (True, "CANNOT_BE_MERGED", True),
            (False, "CAN_BE_MERGED", False),
            (False, "CHECKING", None),
            (False, "UNCHECKED", None),
        ],
    )
    def test_conflicts_are_unknown_until_gitlab_has_looked(self, conflicts: bool, status: str, expected: bool | None) -> None:
        assert pull_request_value({**MERGE, "conflicts": conflicts, "mergeStatusEnum": status}).conflicts is expected


@pytest.mark.parametrize("title", ["Draft: A note", "draft: A note", "[Draft] A note", "(draft) A note", "A note"])
def test_a_draft_is_so_by_its_title(title: str) -> None:
    assert without_draft(title) == "A note"
