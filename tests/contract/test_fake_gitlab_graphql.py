"""GraphQL, as the fake answers it: the documents of the bot's adapter, and what becomes of a wrong one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from graphql import parse

from bot.hosts import gitlab_following, gitlab_reading
from bot.hosts import gitlab_graphql as documents
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab.graphql import complexity

Query = Callable[..., dict[str, Any]]


@pytest.fixture
def query(gitlab_hub: FakeGitLab, gitlab_token: str, client: httpx.Client) -> Query:
    """Asks, by the group's token unless another is given."""

    def call(document: str, *, token: str = gitlab_token, **variables: Any) -> dict[str, Any]:
        asked = {"query": document, "variables": variables}
        answered = client.post(gitlab_hub.graphql_url, json=asked, headers={"Authorization": f"Bearer {token}"})
        assert answered.status_code == 200
        told: dict[str, Any] = answered.json()
        return told

    return call


def test_a_group_is_discovered_in_one_question(gitlab_hub: FakeGitLab, query: Query) -> None:
    gitlab_hub.project("acme/one").size_bytes = 2048
    projects = query(documents.PROJECTS, group="acme")["data"]["group"]["projects"]
    found = {each["fullPath"]: each for each in projects["nodes"]}
    assert set(found) == {"acme/one", "acme/three", "acme/platform/lib"}
    one = found["acme/one"]
    assert (one["statistics"]["repositorySize"], [each["name"] for each in one["languages"]]) == (2048.0, ["Python", "C"])
    assert one["repository"]["commit"]["sha"] == gitlab_hub.project("acme/one").seen_refs["refs/heads/main"]
    assert found["acme/three"]["repository"] == {"rootRef": None, "commit": None}
    assert projects["pageInfo"]["hasNextPage"] is False


def test_files_of_many_projects_are_read_in_one_question(query: Query) -> None:
    paths = ["acme/one", "acme/three", "acme/platform/lib", "acme/gone"]
    files = ["README.md", "src", "src/a.py"]
    answered = query(documents.FILES, paths=paths, projects=len(paths), files=files, blobs=len(files))
    nodes = answered["data"]["projects"]["nodes"]
    read = {each["fullPath"]: [blob["path"] for blob in each["repository"]["blobs"]["nodes"]] for each in nodes}
    assert read == {"acme/one": ["README.md", "src/a.py"], "acme/three": [], "acme/platform/lib": ["README.md"]}


LARGEST = {
    "PROJECTS": {"group": "acme"},
    "PROJECT": {"path": "acme/one"},
    "FILES": {"paths": ["acme/one"], "projects": gitlab_reading.AT_ONCE, "blobs": gitlab_reading.FILES_AT_ONCE}
    | {"files": [f"{number}.py" for number in range(gitlab_reading.FILES_AT_ONCE)]},
    "MERGE_REQUESTS": {"path": "acme/one", "branch": "b"},
    "OPEN_MERGE_REQUESTS": {"path": "acme/one", "base": "main"},
    "MERGE_REQUEST": {"path": "acme/one", "iid": "1"},
    "MERGE_REQUESTS_NOW": {"paths": ["acme/one"], "iids": ["1"], "projects": gitlab_following.AT_ONCE, "most": 20},
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_page_that_is_asked_for_is_below_what_gitlab_takes(name: str) -> None:
    assert 0 < complexity.points(parse(getattr(documents, name)), LARGEST[name]) < complexity.MOST * 0.8


def test_too_much_at_once_is_refused(query: Query) -> None:
    files = [f"{number}.py" for number in range(40)]
    told = query(documents.FILES, paths=["acme/one"], projects=1, files=files, blobs=40)
    [error] = told["errors"]
    assert re.fullmatch(r"Query has complexity of \d+, which exceeds max complexity of 250", error["message"])


def test_lists_come_in_pages_by_cursor(query: Query) -> None:
    document = (
        'query($after: String) {group(fullPath: "acme") {projects(includeSubgroups: true, first: 2, after: $after) {%s}}}'
    )
    asked = document % "nodes {fullPath} pageInfo {hasNextPage endCursor}"
    first = query(asked)["data"]["group"]["projects"]
    second = query(asked, after=first["pageInfo"]["endCursor"])["data"]["group"]["projects"]
    seen = [each["fullPath"] for page in (first, second) for each in page["nodes"]]
    assert (sorted(seen), second["pageInfo"]["hasNextPage"]) == (["acme/one", "acme/platform/lib", "acme/three"], False)


def test_a_merge_request_is_told_with_its_talk(gitlab_hub: FakeGitLab, query: Query) -> None:
    mia = gitlab_hub.as_user("mia")
    sha = mia.push("acme/one", "b", {"b": "b"})
    pull = mia.open_merge_request(
        "acme/one", "Draft: B", source="b", labels=("bot",), reviewers=[gitlab_hub.as_user("ada").user]
    )
    mia.comment("acme/one", pull.iid, "Hello", pull=True)
    gitlab_hub.as_user("ada").request_changes("acme/one", pull.iid)
    told = query(documents.MERGE_REQUEST, path="acme/one", iid="1")["data"]["project"]["mergeRequest"]
    assert (told["state"], told["draft"], told["diffHeadSha"], told["detailedMergeStatus"]) == (
        "opened",
        True,
        sha,
        "DRAFT_STATUS",
    )
    assert [each["body"] for each in told["notes"]["nodes"]] == ["Hello"]
    assert [each["mergeRequestInteraction"]["reviewState"] for each in told["reviewers"]["nodes"]] == ["REQUESTED_CHANGES"]
    listed = query(documents.MERGE_REQUESTS, path="acme/one", branch="b")["data"]["project"]["mergeRequests"]["nodes"]
    assert listed == [told]


def test_whether_it_can_be_merged_may_be_told_later(gitlab_hub: FakeGitLab, query: Query) -> None:
    gitlab_hub.state.checks_later = True
    mia = gitlab_hub.as_user("mia")
    mia.push("acme/one", "b", {"b": "b"})
    mia.open_merge_request("acme/one", "B", source="b")
    asked = '{project(fullPath: "acme/one") {mergeRequest(iid: "1") {mergeStatusEnum detailedMergeStatus}}}'
    seen = [query(asked)["data"]["project"]["mergeRequest"]["mergeStatusEnum"] for _ in range(2)]
    assert seen == ["CHECKING", "CAN_BE_MERGED"]


def test_what_is_not_to_be_seen_is_null(gitlab_hub: FakeGitLab, query: Query) -> None:
    gitlab_hub.create_group("secret")
    gitlab_hub.create_project("secret", "one")
    asked = '{group(fullPath: "secret") {fullPath} project(fullPath: "secret/one") {fullPath}}'
    assert query(asked)["data"] == {"group": None, "project": None}


def test_a_moved_project_is_found_by_its_old_path(gitlab_hub: FakeGitLab, query: Query) -> None:
    gitlab_hub.as_user("ada").move_project("acme/one", "acme/platform")
    assert query(documents.PROJECT, path="acme/one")["data"]["project"]["fullPath"] == "acme/platform/one"


def test_a_document_that_is_wrong_is_refused_in_words(query: Query) -> None:
    assert "Cannot query field 'nonsense'" in query('{project(fullPath: "acme/one") {nonsense}}')["errors"][0]["message"]
    assert "Syntax Error" in query("{")["errors"][0]["message"]
