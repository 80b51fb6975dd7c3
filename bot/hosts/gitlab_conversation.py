"""What the bot says on GitLab besides its merge requests: notes, award emoji, commit statuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bot.domain.pull_requests import CheckReport, CommentRef, Reaction, Thread
from bot.domain.repositories import Repository
from bot.errors import NotFound
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_transport import Client, project_url
from bot.hosts.opening import marked

_DESCRIPTION_CHARACTERS = 255
_PLACES = {"pull_request": "merge_requests", "issue": "issues"}


def comment(client: Client, repository: Repository, thread: Thread, body: str, *, marker: str, own_login: str) -> None:
    """Add a note, unless one of ours holds the marker."""
    notes = f"{_url(repository, thread)}/notes"
    if next(_ours(client, notes, marker, own_login), None) is None:
        client.create(notes, body=marked(body, marker))


def tell(client: Client, repository: Repository, thread: Thread, body: str, *, marker: str, own_login: str) -> None:
    """Make `body` the text of our note that holds the marker."""
    notes = f"{_url(repository, thread)}/notes"
    there = next(_ours(client, notes, marker, own_login), None)
    if there is None:
        client.create(notes, body=marked(body, marker))
    elif there["body"] != marked(body, marker):
        client.change(f"{notes}/{there['id']}", body=marked(body, marker))


def open_issue(
    client: Client, repository: Repository, title: str, body: str, *, marker: str, since: datetime, own_login: str
) -> int:
    """A marker in somebody else's issue is not ours."""
    issues = f"{project_url(repository)}/{_PLACES['issue']}"
    for each in client.pages(issues, state="all", updated_after=since.isoformat(), order_by="created_at", sort="asc"):
        if marker in (each["description"] or "") and each["author"]["username"] == own_login:
            return int(each["iid"])
    return int(client.create(issues, title=title, description=marked(body, marker))["iid"])


def write_issue(client: Client, repository: Repository, number: int, body: str, *, closing: bool) -> None:
    url = _url(repository, Thread(number, "issue"))
    there = client.read(url)
    said = {"description": body} if there["description"] != body else {}
    if closing and there["state"] == "opened":
        said["state_event"] = "close"
    if said:
        client.change(url, **said)


def react(client: Client, repository: Repository, ref: CommentRef, reaction: Reaction, *, own_login: str) -> None:
    """GitLab itself keeps one emoji of a kind and person, and refuses a second one."""
    place = _url(repository, ref.thread)
    emoji = f"{place}/award_emoji" if ref.kind == "thread" else f"{place}/notes/{ref.comment_id}/award_emoji"
    ours = {each["name"] for each in client.pages(emoji) if each["user"]["username"] == own_login}
    if reaction.value in ours:
        return
    try:
        client.create(emoji, name=reaction.value)
    except (Refused, NotFound) as error:
        if "already been taken" not in str(error):
            raise


def report_status(client: Client, repository: Repository, commit: str, report: CheckReport) -> None:
    """A commit status: the newest one of a name counts. GitLab refuses to say the same of a pending one again."""
    url = project_url(repository)
    state = "pending" if report.passed is None else "success" if report.passed else "failed"
    said = {"state": state, "name": report.name, "description": report.title[:_DESCRIPTION_CHARACTERS]}
    if report.url:
        said["target_url"] = report.url
    if any(_says(each, said) for each in client.pages(f"{url}/repository/commits/{quote(commit)}/statuses", name=report.name)):
        return
    try:
        client.create(f"{url}/statuses/{quote(commit)}", **said)
    except Refused as error:
        if "cannot transition status" not in error.words:
            raise


def _says(status: dict[str, Any], said: dict[str, str]) -> bool:
    there = {"state": status["status"], **{key: status.get(key) for key in ("name", "description", "target_url")}}
    return all(there[key] == value for key, value in said.items())


def _ours(client: Client, notes: str, marker: str, own_login: str) -> Iterator[dict[str, Any]]:
    """A marker in somebody else's note, quoted or forged, is not ours."""
    for each in client.pages(notes, sort="asc", order_by="created_at"):
        if marker in each["body"] and each["author"]["username"] == own_login:
            yield each


def _url(repository: Repository, thread: Thread) -> str:
    return f"{project_url(repository)}/{_PLACES[thread.kind]}/{thread.number}"
