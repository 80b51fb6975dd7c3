"""What the bot says on GitHub besides its pull requests: comments, reactions, check runs; and what a person may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from github.CheckRun import CheckRun
from github.Commit import Commit
from github.Issue import Issue
from github.IssueComment import IssueComment
from github.Repository import Repository as SdkRepository

from bot.domain.pull_requests import CheckReport, CommentRef, Reaction
from bot.domain.repositories import Repository
from bot.errors import NotFound
from bot.hosts.github_transport import Client, rest_path
from bot.hosts.opening import marked

_PERMISSIONS = frozenset({"none", "read", "write", "admin"})
_SUMMARY_CHARACTERS, _DESCRIPTION_CHARACTERS = 65_535, 140


def comment(client: Client, repository: Repository, number: int, body: str, *, marker: str, own_login: str) -> None:
    """Add a comment, unless one of ours holds the marker."""
    issue = _issue(client, repository, number)
    if not any(_ours(issue, marker, own_login)):
        issue.create_comment(marked(body, marker))


def tell(client: Client, repository: Repository, number: int, body: str, *, marker: str, own_login: str) -> None:
    """Make `body` the text of our comment that holds the marker."""
    issue = _issue(client, repository, number)
    there = next(_ours(issue, marker, own_login), None)
    if there is None:
        issue.create_comment(marked(body, marker))
    elif there.body != marked(body, marker):
        there.edit(marked(body, marker))


def open_issue(
    client: Client, repository: Repository, title: str, body: str, *, marker: str, since: datetime, own_login: str
) -> int:
    """A marker in somebody else's issue is not ours."""
    place = _sdk(client, repository)
    for each in place.get_issues(state="all", sort="created", direction="asc", since=since):
        if marker in (each.body or "") and each.user.login == own_login and each.pull_request is None:
            return each.number
    return place.create_issue(title, marked(body, marker)).number


def write_issue(client: Client, repository: Repository, number: int, body: str, *, closing: bool) -> None:
    issue = _issue(client, repository, number)
    if issue.body != body or (closing and issue.state == "open"):
        issue.edit(body=body, state="closed" if closing else issue.state)


def react(client: Client, repository: Repository, ref: CommentRef, reaction: Reaction) -> None:
    """GitHub itself keeps one reaction of a kind and person."""
    path = rest_path(repository)
    places = {
        "comment": f"{path}/issues/comments/{ref.comment_id}",
        "review_comment": f"{path}/pulls/comments/{ref.comment_id}",
        "thread": f"{path}/issues/{ref.thread.number}",
    }
    client.requestJsonAndCheck("POST", f"{places[ref.kind]}/reactions", input={"content": reaction.value})


def report_check(client: Client, repository: Repository, commit: str, report: CheckReport, *, app_id: int) -> None:
    """A check run of the App; an earlier one of that name on that commit is changed."""
    known = _check_run(client, repository, commit, report.name, app_id)
    said: dict[str, Any] = {
        "status": "in_progress" if report.passed is None else "completed",
        "output": {"title": report.title, "summary": report.summary[:_SUMMARY_CHARACTERS]},
    }
    if report.passed is not None:
        said["conclusion"] = "success" if report.passed else "failure"
    if report.url:
        said["details_url"] = report.url
    if known is not None:
        known.edit(**said)
    else:
        _sdk(client, repository).create_check_run(report.name, commit, **said)


def report_status(client: Client, repository: Repository, commit: str, report: CheckReport) -> None:
    """A commit status, where there is no App to make a check run: the newest one of a name counts."""
    state = "pending" if report.passed is None else "success" if report.passed else "failure"
    said = {"state": state, "context": report.name, "description": report.title[:_DESCRIPTION_CHARACTERS]}
    if report.url:
        said["target_url"] = report.url
    client.requestJsonAndCheck("POST", f"{rest_path(repository)}/statuses/{quote(commit)}", input=said)


def permission(client: Client, org: str, user: str) -> str:
    """An owner is an admin; a member has what the org gives its members on every repository; others have nothing."""
    _, about = client.requestJsonAndCheck("GET", f"/orgs/{quote(org, safe='')}")
    try:
        _, membership = client.requestJsonAndCheck("GET", f"/orgs/{quote(org, safe='')}/memberships/{quote(user, safe='')}")
    except NotFound:
        return "none"
    if membership["state"] != "active":
        return "none"
    if membership["role"] == "admin":
        return "admin"
    everybodys = about.get("default_repository_permission")
    return everybodys if everybodys in _PERMISSIONS else "read"


def permission_on(client: Client, repository: Repository, user: str) -> str:
    """GitHub counts maintain as write, and triage as read. Nobody knows of a stranger: he has none."""
    path = rest_path(repository)
    try:
        _, found = client.requestJsonAndCheck("GET", f"{path}/collaborators/{quote(user, safe='')}/permission")
    except NotFound:
        client.requestJsonAndCheck("GET", path)  # raises where it is the repository that is missing
        return "none"
    return found["permission"] if found["permission"] in _PERMISSIONS else "none"


def _ours(issue: Issue, marker: str, own_login: str) -> Iterator[IssueComment]:
    """A marker in somebody else's comment, quoted or forged, is not ours."""
    return (each for each in issue.get_comments() if marker in each.body and each.user.login == own_login)


def _check_run(client: Client, repository: Repository, commit: str, name: str, app_id: int) -> CheckRun | None:
    there = Commit(client, url=f"{rest_path(repository)}/commits/{quote(commit)}")
    runs = there.get_check_runs(check_name=name)
    return next((run for run in runs if run.name == name and run.app.id == app_id), None)


def _issue(client: Client, repository: Repository, number: int) -> Issue:
    return _sdk(client, repository).get_issue(number)


def _sdk(client: Client, repository: Repository) -> SdkRepository:
    return SdkRepository(client, url=rest_path(repository))
