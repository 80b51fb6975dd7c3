"""The GraphQL documents, and the values that their answers become.

GitLab bounds what one may ask for at once, at 250 points: a field is one, and more where it calls for git; the fields of a list
count once, and a hundredth more for each entry that it may have; and since 18.4 each path of `blobs` counts seven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.domain.pull_requests import (
    OWN_CHECKS,
    ChecksState,
    Comment,
    PullRequest,
    PullRequestState,
    PullRequestText,
    Review,
    ReviewState,
    checks_state,
    head_name,
)
from bot.domain.repositories import Repository

Node = Mapping[str, Any]

DRAFT = "Draft: "

_FACTS = """
fragment facts on Project {
  id fullPath webUrl description visibility archived isForked topics
  languages { name }
  statistics { repositorySize }
  repository { rootRef commit(ref: "HEAD") { sha } }
}
"""
PROJECTS = f"""query Projects($group: ID!, $after: String) {{
  group(fullPath: $group) {{
    fullPath
    projects(includeSubgroups: true, first: 100, after: $after) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...facts }}
    }}
  }}
}}
{_FACTS}"""
PROJECT = f"""query Project($path: ID!) {{
  project(fullPath: $path) {{ ...facts }}
}}
{_FACTS}"""
FILES = """query Files($paths: [String!]!, $projects: Int!, $files: [String!]!, $blobs: Int!) {
  projects(fullPaths: $paths, first: $projects) {
    nodes {
      fullPath
      repository { blobs(paths: $files, first: $blobs) { nodes { path mode oid rawTextBlob } } }
    }
  }
}"""

_MERGE = """
fragment merge on MergeRequest {
  iid state draft title description webUrl updatedAt
  sourceBranch targetBranch diffHeadSha sourceProjectId targetProjectId sourceProject { fullPath }
  conflicts mergeStatusEnum detailedMergeStatus autoMergeEnabled
  author { username }
  mergeUser { username }
  headPipeline { status jobs(first: 50) { pageInfo { hasNextPage } nodes { name status retried allowFailure } } }
  labels(first: 100) { nodes { title } }
  reviewers { nodes { id username mergeRequestInteraction { reviewState } } }
  approvedBy { nodes { username } }
  commitsWithoutMergeCommits(first: 100) { nodes { sha } }
  notes(last: 100) { nodes { author { username } body createdAt system } }
}
"""
MERGE_REQUESTS = f"""query MergeRequests($path: ID!, $branch: String!, $after: String) {{
  project(fullPath: $path) {{
    fullPath
    mergeRequests(sourceBranches: [$branch], sort: CREATED_ASC, first: 20, after: $after) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...merge }}
    }}
  }}
}}
{_MERGE}"""
OPEN_MERGE_REQUESTS = f"""query OpenMergeRequests($path: ID!, $base: String!, $after: String) {{
  project(fullPath: $path) {{
    fullPath
    mergeRequests(targetBranches: [$base], state: opened, sort: CREATED_ASC, first: 20, after: $after) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...merge }}
    }}
  }}
}}
{_MERGE}"""
MERGE_REQUEST = f"""query MergeRequest($path: ID!, $iid: String!) {{
  project(fullPath: $path) {{ fullPath mergeRequest(iid: $iid) {{ ...merge }} }}
}}
{_MERGE}"""
MERGE_REQUESTS_NOW = f"""query MergeRequestsNow($paths: [String!]!, $projects: Int!, $iids: [String!]!, $most: Int!) {{
  projects(fullPaths: $paths, first: $projects) {{
    nodes {{ fullPath mergeRequests(iids: $iids, first: $most) {{ nodes {{ ...merge }} }} }}
  }}
}}
{_MERGE}"""

_LINK, _SUBMODULE = "120000", "160000"
_GOING = re.compile(r"-deletion_scheduled-\d+$")
_STATES = {"merged": PullRequestState.MERGED, "closed": PullRequestState.CLOSED}
_PIPELINES = {
    "SUCCESS": ChecksState.PASSED,
    "SKIPPED": ChecksState.PASSED,
    "FAILED": ChecksState.FAILED,
    "CANCELED": ChecksState.FAILED,
}
_VERDICTS = {"REQUESTED_CHANGES": "changes_requested", "APPROVED": "approved", "REVIEWED": "commented"}


def repository_value(org: str, node: Node) -> Repository:
    """Of a project below that group. GitLab marks no project as a template."""
    inside: Node | None = node["repository"]
    head = ((inside or {}).get("commit") or {}).get("sha")
    unusable = _unusable(node)
    return Repository(
        org=org,
        name=node["fullPath"][len(org) + 1 :],
        default_branch=(inside or {}).get("rootRef") or "",
        head=None if unusable else head,
        archived=node["archived"],
        fork=node["isForked"],
        visibility=node["visibility"],
        size_kb=int((node["statistics"] or {}).get("repositorySize") or 0) // 1024,
        languages=frozenset(each["name"].lower() for each in node["languages"] or ()),
        topics=frozenset(node["topics"] or ()),
        description=node["description"] or "",
        url=node["webUrl"],
        unusable=unusable,
        id=node["id"],
    )


def is_below(org: str, node: Node) -> bool:
    """A project that is only shared with the group lies elsewhere."""
    return str(node["fullPath"]).lower().startswith(f"{org.lower()}/")


def pull_request_value(node: Node, closed_by: str = "") -> PullRequest:
    state = _STATES.get(node["state"], PullRequestState.OPEN)
    notes = [each for each in nodes(node["notes"]) if not each["system"]]
    draft = bool(node["draft"])
    return PullRequest(
        number=int(node["iid"]),
        state=state,
        branch=head_name(node["sourceBranch"], _owner(node)),
        base=node["targetBranch"],
        head=node["diffHeadSha"] or "",
        text=PullRequestText(
            title=without_draft(node["title"]) if draft else node["title"],
            body=node["description"] or "",
            labels=tuple(label["title"] for label in nodes(node["labels"])),
            reviewers=tuple(login(each) for each in nodes(node["reviewers"])),
            draft=draft,
            auto_merge=bool(node["autoMergeEnabled"]),
        ),
        url=node["webUrl"] or "",
        closed_by=login(node["mergeUser"]) if state is PullRequestState.MERGED else closed_by,
        comments=tuple(Comment(login(each["author"]), each["body"], each["createdAt"]) for each in notes),
        reviews=tuple(_reviews(node)),
        author=login(node["author"]),
        checks=_checks(node),
        review=_review(node),
        conflicts=_conflicts(node),
        commits=tuple(each["sha"] for each in reversed(nodes(node["commitsWithoutMergeCommits"]))),
        updated_at=node["updatedAt"],
    )


def without_draft(title: str) -> str:
    """GitLab keeps a draft by the title alone, and takes several words for it."""
    return re.sub(r"^\s*(\[draft\]|\(draft\)|draft:)\s*", "", title, flags=re.IGNORECASE)


def login(user: Node | None) -> str:
    """Whose account is deleted is GitLab's ghost."""
    return str(user["username"]) if user else "ghost"


def nodes(connection: Node | None) -> list[Node]:
    return [node for node in (connection or {}).get("nodes") or () if node is not None]


def is_regular(blob: Node) -> bool:
    return blob["mode"] not in (_LINK, _SUBMODULE)


def _unusable(node: Node) -> str:
    if _GOING.search(node["fullPath"]):
        return "it is scheduled for deletion"
    return "" if node["repository"] is not None else "its repository is switched off, or not the bot's to read"


def _owner(node: Node) -> str:
    """Whose fork the branch is in, "" where it is the project's own; GitLab does not tell of a fork that is gone."""
    if node["sourceProjectId"] == node["targetProjectId"]:
        return ""
    return str((node["sourceProject"] or {}).get("fullPath", "")).rpartition("/")[0] or "ghost"


def _reviews(node: Node) -> Iterator[Review]:
    """Who has said something by the button. GitLab tells neither when, nor with which words."""
    approved = [login(each) for each in nodes(node["approvedBy"])]
    yield from (Review(name, "approved", "", "") for name in approved)
    for each in nodes(node["reviewers"]):
        verdict = _VERDICTS.get((each["mergeRequestInteraction"] or {}).get("reviewState", ""))
        if verdict and login(each) not in approved:
            yield Review(login(each), verdict, "", "")


def _review(node: Node) -> ReviewState:
    states = [(each["mergeRequestInteraction"] or {}).get("reviewState") for each in nodes(node["reviewers"])]
    if "REQUESTED_CHANGES" in states:
        return ReviewState.CHANGES_REQUESTED
    enough = nodes(node["approvedBy"]) and node["detailedMergeStatus"] != "NOT_APPROVED"
    return ReviewState.APPROVED if enough else ReviewState.NONE


def _checks(node: Node) -> ChecksState:
    """Without the bot's own, which GitLab counts as jobs of the pipeline; where more are there than told, GitLab's own sum."""
    pipeline: Node | None = node["headPipeline"]
    if pipeline is None:
        return ChecksState.NONE
    jobs = {str(each["name"]): _passed(each) for each in nodes(pipeline["jobs"]) if not each["retried"]}
    own = [name for name in jobs if name.startswith(OWN_CHECKS)]
    if own and not pipeline["jobs"]["pageInfo"]["hasNextPage"]:
        return checks_state(jobs)
    return _PIPELINES.get(pipeline["status"], ChecksState.PENDING)


def _passed(job: Node) -> bool | None:
    """None while it is not known. What a person may start, and what may fail, is in nobody's way."""
    if job["status"] in ("FAILED", "CANCELED"):
        return bool(job["allowFailure"])
    return True if job["status"] in ("SUCCESS", "SKIPPED", "MANUAL") else None


def _conflicts(node: Node) -> bool | None:
    """None while GitLab has not looked."""
    if node["conflicts"]:
        return True
    return None if node["mergeStatusEnum"] in ("UNCHECKED", "CHECKING", "CANNOT_BE_MERGED_RECHECK") else False
