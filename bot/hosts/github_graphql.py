"""The GraphQL documents, and the values that their answers become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.domain.pull_requests import (
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
from bot.hosts.blobs import exact

Node = Mapping[str, Any]

_FACTS = """
fragment facts on Repository {
  databaseId name url description visibility diskUsage isArchived isFork isTemplate isDisabled isLocked lockReason
  defaultBranchRef { name target { oid } }
  languages(first: 30, orderBy: {field: SIZE, direction: DESC}) { nodes { name } }
  repositoryTopics(first: 30) { nodes { topic { name } } }
}
"""
REPOSITORIES = f"""query Repositories($org: String!, $after: String) {{
  organization(login: $org) {{
    repositories(first: 100, after: $after, orderBy: {{field: NAME, direction: ASC}}) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...facts }}
    }}
  }}
}}
{_FACTS}"""
REPOSITORY = f"""query Repository($owner: String!, $name: String!) {{
  repository(owner: $owner, name: $name) {{ ...facts }}
}}
{_FACTS}"""
FORK = f"""query Fork($owner: String!, $name: String!) {{
  repository(owner: $owner, name: $name) {{ nameWithOwner parent {{ nameWithOwner }} ...facts }}
}}
{_FACTS}"""
CHOSEN = f"""query Chosen($ids: [ID!]!) {{
  nodes(ids: $ids) {{ ... on Repository {{ ...facts }} }}
}}
{_FACTS}"""


def _pull_request(said: int) -> str:
    """A fragment, with the newest comments and reviews: so many of each."""
    return """
fragment pull on PullRequest {
  id number state isDraft isCrossRepository headRepositoryOwner { login } title body url headRefName headRefOid baseRefName
  updatedAt mergeable reviewDecision
  statusCheckRollup {
    state
    contexts(first: 50) {
      totalCount
      nodes { ... on CheckRun { name status conclusion } ... on StatusContext { context state } }
    }
  }
  commits(last: 10) { nodes { commit { oid parents(first: 2) { totalCount } } } }
  latestOpinionatedReviews(last: 30, writersOnly: true) { nodes { state } }
  author { __typename login }
  mergedBy { __typename login }
  autoMergeRequest { enabledAt }
  labels(first: 100) { nodes { name } }
  reviewRequests(first: 100) {
    nodes { requestedReviewer { __typename ... on User { login } ... on Bot { login } ... on Team { combinedSlug } } }
  }
  timelineItems(last: 1, itemTypes: [CLOSED_EVENT]) { nodes { ... on ClosedEvent { actor { __typename login } } } }
  comments(last: SAID) { nodes { author { __typename login } body createdAt } }
  reviews(last: SAID) { nodes { author { __typename login } state body submittedAt } }
}
""".replace("SAID", str(said))


PULL_REQUESTS = f"""query PullRequests($owner: String!, $name: String!, $branch: String!, $after: String) {{
  repository(owner: $owner, name: $name) {{
    nameWithOwner
    pullRequests(headRefName: $branch, first: 20, after: $after, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...pull }}
    }}
  }}
}}
{_pull_request(100)}"""
OPEN_PULL_REQUESTS = f"""query OpenPullRequests($owner: String!, $name: String!, $base: String!, $after: String) {{
  repository(owner: $owner, name: $name) {{
    nameWithOwner
    pullRequests(
      baseRefName: $base, states: [OPEN], first: 20, after: $after, orderBy: {{field: CREATED_AT, direction: ASC}}
    ) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ ...pull }}
    }}
  }}
}}
{_pull_request(1)}"""
PULL_REQUEST = f"""query PullRequest($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{
    nameWithOwner
    viewerDefaultMergeMethod
    pullRequest(number: $number) {{ ...pull }}
  }}
}}
{_pull_request(100)}"""

MERGE = """mutation Merge($input: MergePullRequestInput!) {
  mergePullRequest(input: $input) { pullRequest { state } }
}"""
REOPEN = """mutation Reopen($input: ReopenPullRequestInput!) {
  reopenPullRequest(input: $input) { pullRequest { state } }
}"""
COMMIT = """mutation Commit($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}"""
AUTO_MERGE = """mutation AutoMerge($input: EnablePullRequestAutoMergeInput!) {
  enablePullRequestAutoMerge(input: $input) { pullRequest { number } }
}"""
TO_DRAFT = """mutation ToDraft($input: ConvertPullRequestToDraftInput!) {
  convertPullRequestToDraft(input: $input) { pullRequest { isDraft } }
}"""
TO_READY = """mutation ToReady($input: MarkPullRequestReadyForReviewInput!) {
  markPullRequestReadyForReview(input: $input) { pullRequest { isDraft } }
}"""

_STATES = {"OPEN": PullRequestState.OPEN, "MERGED": PullRequestState.MERGED, "CLOSED": PullRequestState.CLOSED}
_VERDICTS = {"APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested", "DISMISSED": "dismissed"}
_REVIEWS = {"APPROVED": ReviewState.APPROVED, "CHANGES_REQUESTED": ReviewState.CHANGES_REQUESTED}
_CONFLICTS = {"CONFLICTING": True, "MERGEABLE": False}
_CHECKS = {
    "SUCCESS": ChecksState.PASSED,
    "FAILURE": ChecksState.FAILED,
    "ERROR": ChecksState.FAILED,
    "PENDING": ChecksState.PENDING,
    "EXPECTED": ChecksState.PENDING,
}
_FINE = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_REGULAR = 0o170000, 0o100000


def repository_value(org: str, node: Node) -> Repository:
    branch = node["defaultBranchRef"] or {}
    head = branch["target"]["oid"] if branch else None
    unusable = _unusable(node)
    return Repository(
        org=org,
        name=node["name"],
        default_branch=branch.get("name", ""),
        head=None if unusable else head,
        archived=node["isArchived"],
        fork=node["isFork"],
        template=node["isTemplate"],
        visibility=node["visibility"].lower(),
        size_kb=node["diskUsage"] or 0,
        languages=frozenset(each["name"].lower() for each in _nodes(node["languages"])),
        topics=frozenset(each["topic"]["name"] for each in _nodes(node["repositoryTopics"])),
        description=node["description"] or "",
        url=node["url"],
        unusable=unusable,
        id=str(node["databaseId"] or ""),
    )


def pull_request_value(node: Node) -> PullRequest:
    state, commits = _STATES[node["state"]], [each["commit"] for each in _nodes(node["commits"])]
    return PullRequest(
        number=node["number"],
        state=state,
        branch=head_name(node["headRefName"], _fork_owner(node)),
        base=node["baseRefName"],
        head=node["headRefOid"],
        text=PullRequestText(
            title=node["title"],
            body=node["body"],
            labels=tuple(label["name"] for label in _nodes(node["labels"])),
            reviewers=tuple(filter(None, (_reviewer(each["requestedReviewer"]) for each in _nodes(node["reviewRequests"])))),
            draft=node["isDraft"],
            auto_merge=node["autoMergeRequest"] is not None,
        ),
        url=node["url"],
        closed_by=_closed_by(node, state),
        comments=tuple(Comment(login(each["author"]), each["body"], each["createdAt"]) for each in _nodes(node["comments"])),
        reviews=tuple(
            Review(login(each["author"]), _VERDICTS.get(each["state"], "commented"), each["body"], each["submittedAt"] or "")
            for each in _nodes(node["reviews"])
        ),
        author=login(node["author"]),
        checks=_checks(node["statusCheckRollup"]),
        review=_review(node),
        conflicts=_CONFLICTS.get(node["mergeable"]) if state is PullRequestState.OPEN else None,
        commits=tuple(str(each["oid"]) for each in commits if each["parents"]["totalCount"] < 2),
        updated_at=node["updatedAt"],
    )


def _fork_owner(node: Node) -> str:
    """Empty for a branch of the repository itself; `ghost` where the account is deleted."""
    return login(node["headRepositoryOwner"]) if node["isCrossRepository"] else ""


def _checks(rollup: Node | None) -> ChecksState:
    """Without the bot's own; where there are more than are told, GitHub's own sum."""
    if rollup is None:
        return ChecksState.NONE
    told = _nodes(rollup["contexts"])
    if len(told) < rollup["contexts"]["totalCount"]:
        return _CHECKS[rollup["state"]]
    return checks_state({str(each.get("context") or each.get("name")): _passed(each) for each in told})


def _passed(check: Node) -> bool | None:
    """Of a check run, or a status; None while it is not known."""
    if "context" in check:
        return {"SUCCESS": True, "PENDING": None, "EXPECTED": None}.get(check["state"], False)
    return check["conclusion"] in _FINE if check["status"] == "COMPLETED" else None


def _review(node: Node) -> ReviewState:
    """GitHub decides where the base's rules ask for reviews; elsewhere the last verdicts of those count who may write."""
    if decided := _REVIEWS.get(node["reviewDecision"] or ""):
        return decided
    verdicts = {_REVIEWS.get(each["state"]) for each in _nodes(node["latestOpinionatedReviews"])}
    if ReviewState.CHANGES_REQUESTED in verdicts:
        return ReviewState.CHANGES_REQUESTED
    enough = node["reviewDecision"] is None and ReviewState.APPROVED in verdicts
    return ReviewState.APPROVED if enough else ReviewState.NONE


def login(actor: Node | None) -> str:
    """As REST writes it: an App's bot has `[bot]` behind its slug. Whose account is deleted is `ghost`."""
    if actor is None:
        return "ghost"
    name: str = actor["login"]
    return f"{name}[bot]" if actor.get("__typename") == "Bot" and not name.endswith("[bot]") else name


def files_document(repositories: int, paths: int) -> str:
    """Reads up to `paths` files of `repositories` at once; variables are owner, n0..., p0...; answers are r0: f0... ."""
    names = "".join(f", $n{index}: String!" for index in range(repositories))
    wanted = "".join(f", $p{index}: String!" for index in range(paths))
    entries = " ".join(f"f{index}: file(path: $p{index}) {{ ...entry }}" for index in range(paths))
    asked = "\n".join(f"  r{index}: repository(owner: $owner, name: $n{index}) {{ ...tree }}" for index in range(repositories))
    return f"""query Files($owner: String!{names}{wanted}) {{
{asked}
}}
fragment tree on Repository {{ nameWithOwner defaultBranchRef {{ target {{ ... on Commit {{ {entries} }} }} }} }}
fragment entry on TreeEntry {{ mode object {{ ... on Blob {{ oid text isTruncated }} }} }}"""


def following_document(pull_requests: int) -> str:
    """Reads so many pull requests at once; variables are owner, n0..., i0...; answers are r0..., each with its repository."""
    names = "".join(f", $n{index}: String!, $i{index}: Int!" for index in range(pull_requests))
    asked = "\n".join(
        f"  r{index}: repository(owner: $owner, name: $n{index}) {{\n"
        f"    nameWithOwner\n    pullRequest(number: $i{index}) {{ ...pull }}\n  }}"
        for index in range(pull_requests)
    )
    return f"query Following($owner: String!{names}) {{\n{asked}\n}}{_pull_request(20)}"


def blobs(tree: Node, paths: int) -> Iterator[tuple[int, str, bytes | None]]:
    """(index of the path, blob id, content) for each regular file; None for a content that GraphQL cannot give as it is."""
    entries = (tree["defaultBranchRef"] or {}).get("target") or {}
    mask, regular = _REGULAR
    for index in range(paths):
        entry = entries.get(f"f{index}")
        if entry is not None and entry["mode"] & mask == regular:
            blob = entry["object"]
            yield index, blob["oid"], None if blob["isTruncated"] else exact(blob["text"], blob["oid"])


def _unusable(node: Node) -> str:
    if node["isDisabled"]:
        return "GitHub has disabled it"
    if node["isLocked"]:
        return f"GitHub has locked it: {str(node['lockReason'] or 'for an unknown reason').lower().replace('_', ' ')}"
    return ""


def _closed_by(node: Node, state: PullRequestState) -> str:
    if state is PullRequestState.MERGED:
        return login(node["mergedBy"])
    events = _nodes(node["timelineItems"])
    return login(events[-1]["actor"]) if state is PullRequestState.CLOSED and events else ""


def _reviewer(found: Node | None) -> str:
    if found is None:
        return ""
    return str(found.get("combinedSlug") or found.get("login") or "")


def _nodes(connection: Node | None) -> list[Node]:
    return [node for node in (connection or {}).get("nodes") or () if node is not None]
