"""Issues, pull requests, comments, reviews, check runs."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.github import objects
from tests.fakes.github.payloads.basics import app, association, label, reactions, team, user, when
from tests.fakes.github.payloads.repositories import api_url, html_url, pull_reference, repository, suite_commit
from tests.fakes.github.records import JSON, CheckRun, Comment, Issue, Pull, Repository, Review, Status
from tests.fakes.github.state import State


def issue(state: State, found: Issue) -> JSON:
    """An issue, or a pull request as issues see it."""
    home, page = api_url(state, found.repository), html_url(state, found.repository)
    url = f"{home}/issues/{found.number}"
    is_pull = isinstance(found, Pull)
    told: JSON = {
        **_common(state, found),
        "url": url,
        "repository_url": home,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": f"{page}/{'pull' if is_pull else 'issues'}/{found.number}",
        "timeline_url": f"{url}/timeline",
        "state_reason": "completed" if found.state == "closed" and not is_pull else None,
        "comments": len(found.comments),
        "performed_via_github_app": None,
        "reactions": reactions(url, found.reactions),
    }
    if isinstance(found, Pull):
        told["draft"] = found.draft
        told["pull_request"] = {
            "url": f"{home}/pulls/{found.number}",
            "html_url": f"{page}/pull/{found.number}",
            "diff_url": f"{page}/pull/{found.number}.diff",
            "patch_url": f"{page}/pull/{found.number}.patch",
            "merged_at": when(found.merged_at),
        }
    return told


def _common(state: State, found: Issue) -> JSON:
    return {
        "id": found.id,
        "node_id": found.node_id,
        "number": found.number,
        "state": found.state,
        "locked": False,
        "active_lock_reason": None,
        "title": found.title,
        "body": found.body,
        "user": user(state, found.user),
        "author_association": association(found.repository, found.user),
        "labels": [label(state, found.repository, each) for each in found.labels],
        "assignee": user(state, found.assignees[0]) if found.assignees else None,
        "assignees": [user(state, each) for each in found.assignees],
        "milestone": None,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "closed_at": when(found.closed_at),
    }


def one_issue(state: State, found: Issue) -> JSON:
    """What GET of one issue adds."""
    return {**issue(state, found), "closed_by": found.closed_by and user(state, found.closed_by)}


def pull(state: State, found: Pull) -> JSON:
    """A pull request as lists have it."""
    home, page = api_url(state, found.repository), html_url(state, found.repository)
    url, issue_url = f"{home}/pulls/{found.number}", f"{home}/issues/{found.number}"
    links = {
        "self": url,
        "html": f"{page}/pull/{found.number}",
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{home}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{home}/statuses/{found.head_sha}",
    }
    return {
        **_common(state, found),
        "url": url,
        "html_url": links["html"],
        "diff_url": f"{links['html']}.diff",
        "patch_url": f"{links['html']}.patch",
        "issue_url": issue_url,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "requested_reviewers": [user(state, each) for each in found.requested_reviewers],
        "requested_teams": [team(state, found.repository.owner, each) for each in found.requested_teams],
        "merged_at": when(found.merged_at),
        "merge_commit_sha": found.merge_commit_sha,
        "draft": found.draft,
        "auto_merge": found.auto_merge,
        "head": _side(state, found.head_repository, found.head_ref, found.head_sha),
        "base": _side(state, found.repository, found.base_ref, found.base_sha),
        "_links": {name: {"href": link} for name, link in links.items()},
    }


def _side(state: State, of: Repository, ref: str, sha: str) -> JSON:
    return {
        "label": f"{of.owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(state, of.owner),
        "repo": repository(state, of),
    }


def full_pull(state: State, found: Pull) -> JSON:
    """One pull request's own answer, and what pull_request events carry."""
    counts = objects.changed(found.repository, found.base_sha, found.head_sha)
    mergeable = gitstore.mergeable(found.repository, found.base_ref, found.head_sha) if found.state == "open" else None
    return {
        **pull(state, found),
        "merged": found.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": {True: "draft" if found.draft else "clean", False: "dirty", None: "unknown"}[mergeable],
        "merged_by": found.merged_by and user(state, found.merged_by),
        "comments": len(found.comments),
        "review_comments": len(found.review_comments),
        "maintainer_can_modify": found.maintainer_can_modify,
        **counts,
    }


def comment(state: State, found: Comment) -> JSON:
    """A comment of an issue or pull request; `review_comment` is the other kind."""
    repository_, number = found.issue.repository, found.issue.number
    url = f"{api_url(state, repository_)}/issues/comments/{found.id}"
    kind = "pull" if isinstance(found.issue, Pull) else "issues"
    return {
        "id": found.id,
        "node_id": found.node_id,
        "url": url,
        "html_url": f"{html_url(state, repository_)}/{kind}/{number}#issuecomment-{found.id}",
        "issue_url": f"{api_url(state, repository_)}/issues/{number}",
        "user": user(state, found.user),
        "body": found.body,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "author_association": association(repository_, found.user),
        "performed_via_github_app": found.app and app(state, found.app),
        "reactions": reactions(url, found.reactions),
    }


def review_comment(state: State, found: Comment) -> JSON:
    repository_, number = found.issue.repository, found.issue.number
    url = f"{api_url(state, repository_)}/pulls/comments/{found.id}"
    page = f"{html_url(state, repository_)}/pull/{number}#discussion_r{found.id}"
    pull_url = f"{api_url(state, repository_)}/pulls/{number}"
    told: JSON = {
        "id": found.id,
        "node_id": found.node_id,
        "url": url,
        "html_url": page,
        "pull_request_url": pull_url,
        "pull_request_review_id": found.review_id,
        "diff_hunk": "@@ -1 +1 @@",
        "path": found.path,
        "position": found.line,
        "original_position": found.line,
        "line": found.line,
        "original_line": found.line,
        "start_line": None,
        "original_start_line": None,
        "start_side": None,
        "side": "RIGHT",
        "subject_type": "line",
        "commit_id": found.commit_id,
        "original_commit_id": found.commit_id,
        "user": user(state, found.user),
        "body": found.body,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "author_association": association(repository_, found.user),
        "_links": {"self": {"href": url}, "html": {"href": page}, "pull_request": {"href": pull_url}},
        "reactions": reactions(url, found.reactions),
    }
    return told if found.reply_to is None else {**told, "in_reply_to_id": found.reply_to}


def review(state: State, on: Pull, found: Review) -> JSON:
    page = f"{html_url(state, on.repository)}/pull/{on.number}#pullrequestreview-{found.id}"
    pull_url = f"{api_url(state, on.repository)}/pulls/{on.number}"
    return {
        "id": found.id,
        "node_id": found.node_id,
        "user": user(state, found.user),
        "body": found.body,
        "state": found.state,
        "commit_id": found.commit_id,
        "submitted_at": when(found.submitted_at),
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(on.repository, found.user),
        "_links": {"html": {"href": page}, "pull_request": {"href": pull_url}},
    }


def check_run(state: State, repository_: Repository, found: CheckRun) -> JSON:
    url = f"{api_url(state, repository_)}/check-runs/{found.id}"
    page = f"{html_url(state, repository_)}/runs/{found.id}"
    pulls = [pull_reference(state, each) for each in repository_.pulls if each.head_sha == found.head_sha]
    return {
        "id": found.id,
        "node_id": found.node_id,
        "name": found.name,
        "head_sha": found.head_sha,
        "external_id": found.external_id,
        "url": url,
        "html_url": page,
        "details_url": found.details_url or page,
        "status": found.status,
        "conclusion": found.conclusion,
        "started_at": when(found.started_at),
        "completed_at": when(found.completed_at),
        "output": {
            "title": found.output.get("title"),
            "summary": found.output.get("summary"),
            "text": found.output.get("text"),
            "annotations_count": 0,
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": found.suite_id},
        "app": app(state, found.app),
        "pull_requests": pulls,
    }


def check_suite(state: State, repository_: Repository, found: CheckRun) -> JSON:
    """The suite of a check run, as events have it."""
    url = f"{api_url(state, repository_)}/check-suites/{found.suite_id}"
    pulls = [each for each in repository_.pulls if each.head_sha == found.head_sha]
    return {
        "id": found.suite_id,
        "node_id": f"CS_{found.suite_id}",
        "head_branch": pulls[0].head_ref if pulls else repository_.default_branch,
        "head_sha": found.head_sha,
        "status": found.status,
        "conclusion": found.conclusion,
        "url": url,
        "before": None,
        "after": found.head_sha,
        "pull_requests": [pull_reference(state, each) for each in pulls],
        "app": app(state, found.app),
        "created_at": when(found.started_at),
        "updated_at": when(found.completed_at or found.started_at),
        "latest_check_runs_count": 1,
        "check_runs_url": f"{url}/check-runs",
        "head_commit": suite_commit(gitstore.commit(repository_, found.head_sha)),
    }


def status(state: State, repository_: Repository, found: Status) -> JSON:
    return {
        "id": found.id,
        "node_id": f"SC_{found.id}",
        "url": f"{api_url(state, repository_)}/statuses/{found.sha}",
        "avatar_url": None,
        "state": found.state,
        "description": found.description,
        "target_url": found.target_url,
        "context": found.context,
        "created_at": when(found.created_at),
        "updated_at": when(found.created_at),
        "creator": user(state, found.creator),
    }
