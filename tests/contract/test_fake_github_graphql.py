"""GraphQL, as the fake answers it on GitHub's own schema."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.conftest import Ask
from tests.fakes.forge.receivers import Receiver
from tests.fakes.github import FakeGitHub, Installation

Query = Callable[..., dict[str, Any]]

REPOSITORIES = """query($org: String!, $size: Int!, $after: String) {
  organization(login: $org) { repositories(first: $size, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { name databaseId visibility isArchived isFork isTemplate diskUsage description url pushedAt
            defaultBranchRef { name target { oid } }
            languages(first: 9, orderBy: {field: SIZE, direction: DESC}) { nodes { name } }
            repositoryTopics(first: 9) { nodes { topic { name } } }
            object(expression: "HEAD:README.md") { ... on Blob { text byteSize isBinary } } }
  } }
}"""
COMMIT = """mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) {
  commit { oid messageHeadline author { name } signature { isValid state }
           file(path: "new/a.txt") { object { ... on Blob { text } } } }
} }"""


def change(branch: str, head: str, *, path: str = "new/a.txt") -> dict[str, Any]:
    content = base64.b64encode("é\n".encode()).decode()
    return {
        "branch": {"repositoryNameWithOwner": "acme/one", "branchName": branch},
        "expectedHeadOid": head,
        "message": {"headline": "Upgrade", "body": "All of it"},
        "fileChanges": {"additions": [{"path": path, "contents": content}], "deletions": [{"path": "src/a.py"}]},
    }


@pytest.fixture
def head(hub: FakeGitHub, installation: Installation) -> str:
    """Of the branch b in acme/one."""
    return hub.as_user("mia").push("acme/one", "b", {"b.txt": "b"})


def test_repositories_come_in_pages_with_what_selection_needs(query: Query) -> None:
    page = query(REPOSITORIES, org="acme", size=2)["data"]["organization"]["repositories"]
    one, three = page["nodes"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert [each["name"] for each in one["languages"]["nodes"]] == ["Python", "C"]
    assert one["object"] == {"text": "hi\n", "byteSize": 3, "isBinary": False}
    assert (three["defaultBranchRef"], three["object"]) == (None, None)
    rest = query(REPOSITORIES, org="acme", size=2, after=page["pageInfo"]["endCursor"])
    [two] = rest["data"]["organization"]["repositories"]["nodes"]
    assert two["repositoryTopics"]["nodes"] == [{"topic": {"name": "bots"}}]


def test_a_page_has_a_hundred_at_most(query: Query) -> None:
    assert query(REPOSITORIES, org="acme", size=101)["errors"][0]["type"] == "UNPROCESSABLE"


def test_several_repositories_are_asked_at_once_and_one_that_is_missing_is_null(query: Query) -> None:
    answer = query('{ a: repository(owner: "acme", name: "one") {name} b: repository(owner: "acme", name: "x") {name} }')
    assert answer["data"] == {"a": {"name": "one"}, "b": None}
    assert [(each["type"], each["path"]) for each in answer["errors"]] == [("NOT_FOUND", ["b"])]


def test_a_document_that_github_would_not_take_is_refused(query: Query) -> None:
    answer = query('{ organization(login: "acme") { repos } }')
    assert "Cannot query field 'repos' on type 'Organization'" in answer["errors"][0]["message"]


def test_a_commit_is_made_in_the_apps_name_and_verified(
    hub: FakeGitHub, ask: Ask, query: Query, head: str, receiver: Receiver
) -> None:
    hub.webhook_url = receiver.url
    made = query(COMMIT, input=change("b", head))["data"]["createCommitOnBranch"]["commit"]
    assert made["author"] == {"name": "whimbrel[bot]"}
    assert made["signature"] == {"isValid": True, "state": "VALID"}
    assert made["file"] == {"object": {"text": "é\n"}}
    shown = ask("GET", f"/repos/acme/one/commits/{made['oid']}").json()
    assert (shown["commit"]["verification"]["verified"], shown["author"]["login"]) == (True, "whimbrel[bot]")
    assert shown["commit"]["message"] == "Upgrade\n\nAll of it"
    assert ask("GET", "/repos/acme/one/contents/src/a.py?ref=b").status_code == 404
    hub.drain()
    assert receiver.events == ["push"]


def test_a_commit_is_refused_from_another_head(query: Query, head: str) -> None:
    assert "data" in query(COMMIT, input=change("b", head))
    again = query(COMMIT, input=change("b", head))
    assert again["errors"][0]["type"] == "STALE_DATA"


def test_a_commit_needs_what_a_push_needs(hub: FakeGitHub, query: Query, installation: Installation, head: str) -> None:
    reader = hub.installation_token(installation, permissions={"contents": "read"})
    assert query(COMMIT, token=reader, input=change("b", head))["errors"][0]["type"] == "FORBIDDEN"
    writer = hub.installation_token(installation, permissions={"contents": "write"})
    workflow = change("b", head, path=".github/workflows/a.yml")
    assert query(COMMIT, token=writer, input=workflow)["errors"][0]["type"] == "FORBIDDEN"
    hub.protect("acme/one", "b")
    assert query(COMMIT, input=change("b", head))["errors"][0]["type"] == "UNPROCESSABLE"
    assert query(COMMIT, input=change("nowhere", head))["errors"][0]["type"] == "NOT_FOUND"


AUTO_MERGE = """mutation($input: EnablePullRequestAutoMergeInput!) {
  enablePullRequestAutoMerge(input: $input) { pullRequest { autoMergeRequest { mergeMethod } } }
}"""


def test_auto_merge_is_for_repositories_that_allow_it_and_pull_requests_that_wait(hub: FakeGitHub, query: Query) -> None:
    mia = hub.as_user("mia")
    pulls = {}
    for repository in ("acme/one", "acme/two"):
        mia.push(repository, "b", {"b": "b"})
        pulls[repository] = mia.open_pull(repository, "B", head="b")

    def enable(repository: str) -> dict[str, Any]:
        return query(AUTO_MERGE, input={"pullRequestId": pulls[repository].node_id, "mergeMethod": "SQUASH"})

    assert "not allowed for this repository" in enable("acme/one")["errors"][0]["message"]
    assert "clean status" in enable("acme/two")["errors"][0]["message"]
    hub.protect("acme/two", "main", reviews=1)
    enabled = enable("acme/two")["data"]["enablePullRequestAutoMerge"]["pullRequest"]
    assert enabled == {"autoMergeRequest": {"mergeMethod": "SQUASH"}}
    hub.as_user("ada").review("acme/two", pulls["acme/two"].number, "APPROVE")
    assert pulls["acme/two"].merged_at is not None


def test_a_pull_request_goes_to_draft_and_back(hub: FakeGitHub, query: Query, head: str) -> None:
    pull = hub.as_user("mia").open_pull("acme/one", "B", head="b")
    for mutation, draft in (("convertPullRequestToDraft", True), ("markPullRequestReadyForReview", False)):
        document = f'mutation {{ {mutation}(input: {{pullRequestId: "{pull.node_id}"}}) {{ pullRequest {{ isDraft }} }} }}'
        assert query(document)["data"][mutation] == {"pullRequest": {"isDraft": draft}}


def test_the_rate_limit_is_told(query: Query) -> None:
    first = query("{ rateLimit { cost remaining limit } }")["data"]["rateLimit"]
    second = query("{ rateLimit { remaining } }")["data"]["rateLimit"]
    assert (first["limit"], first["remaining"] - second["remaining"]) == (5000, 1)
