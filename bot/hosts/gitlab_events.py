"""GitLab's webhooks in the words of `bot.domain.events`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from pydantic import ValidationError

from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    IssueEdited,
    Labelled,
    PullRequestChange,
    PullRequestChanged,
    Pushed,
    RepositoryChange,
    RepositoryChanged,
)
from bot.domain.pull_requests import CommentRef, Thread
from bot.errors import HostError
from bot.hosts import gitlab_payloads as payloads
from bot.hosts.payloads import places

MERGE_REQUEST: Mapping[str, PullRequestChange] = {
    "open": "opened",
    "close": "closed",
    "merge": "merged",
    "reopen": "reopened",
    "update": "edited",
    "approved": "reviewed",
    "unapproved": "reviewed",
    "approval": "reviewed",
    "unapproval": "reviewed",
}
"""By what GitLab calls an act. It tells of an approval that is one of several as `approval`."""
PROJECT: Mapping[str, RepositoryChange] = {
    "project_create": "created",
    "project_destroy": "deleted",
    "project_rename": "renamed",
    "project_transfer": "transferred",
    "project_update": "edited",
}
FINISHED = ("success", "failed", "canceled", "skipped")


def normalise_gitlab(event: str, body: bytes) -> list[Event]:
    """What a payload, in JSON, tells; nothing where it is not about what this bot follows.

    Groups and their members are not: who may do what, and what there is, is asked of GitLab when it matters. Raises HostError,
    naming the place, for a payload that is not as GitLab documents it.
    """
    try:
        kind = payloads.Kind.model_validate_json(body)
        read = READERS.get(kind.object_kind or kind.event_name)
        return [] if read is None else list(read(body))
    except ValidationError as error:
        raise HostError(f"the payload of {event} is not as documented: {places(error)}") from error


def _issue(body: bytes) -> Iterator[Event]:
    told = payloads.IssueActed.model_validate_json(body)
    issue, text = told.object_attributes, told.changes.description
    yield from _labelled(told, issue, "issue")
    if issue.action == "update" and text is not None:
        yield IssueEdited(
            repository=told.project.ref,
            number=issue.iid,
            before=text.previous,
            after=text.current,
            actor=told.user.username,
            actor_is_bot=told.user.is_bot,
            at=issue.updated_at,
        )


def _merge_request(body: bytes) -> Iterator[Event]:
    told = payloads.MergeRequestActed.model_validate_json(body)
    changed = told.object_attributes
    yield from _labelled(told, changed, "pull_request")
    what = MERGE_REQUEST.get(changed.action)
    if what is not None:
        what = "synchronized" if what == "edited" and changed.oldrev else what
        head = changed.last_commit.id if changed.last_commit else ""
        yield PullRequestChanged(told.project.ref, changed.iid, what, head, told.user.username)


def _labelled(told: payloads.ThingActed, thing: payloads.Thing, kind: Literal["issue", "pull_request"]) -> Iterator[Event]:
    """One for each label. Those that an issue was opened with are no change to GitLab."""
    before = {label.title for label in told.changes.labels.previous}
    after = {label.title for label in (told.labels if thing.action == "open" else told.changes.labels.current)}
    for label in sorted(before ^ after):
        yield Labelled(
            repository=told.project.ref,
            number=thing.iid,
            label=label,
            actor=told.user.username,
            actor_is_bot=told.user.is_bot,
            kind=kind,
            removed=label in before,
            at=thing.updated_at,
        )


def _note(body: bytes) -> Iterator[Event]:
    """A comment on an issue or a merge request; nothing follows one on a commit or a snippet, nor what GitLab itself notes."""
    told = payloads.Noted.model_validate_json(body)
    note, thread = told.object_attributes, _thread(told)
    if thread is not None and not note.system and note.action == "create":
        comment = CommentRef(thread, note.id)
        yield Commented(told.project.ref, comment, note.note, told.user.username, told.user.is_bot)


def _thread(told: payloads.Noted) -> Thread | None:
    if told.object_attributes.noteable_type == "Issue" and told.issue:
        return Thread(told.issue.iid, "issue")
    if told.object_attributes.noteable_type == "MergeRequest" and told.merge_request:
        return Thread(told.merge_request.iid, "pull_request")
    return None


def _pipeline(body: bytes) -> Iterator[Event]:
    told = payloads.PipelineRan.model_validate_json(body)
    ran = told.object_attributes
    yield ChecksChanged(told.project.ref, ran.sha, ran.status if ran.status in FINISHED else "")


def _push(body: bytes) -> Iterator[Event]:
    told = payloads.Push.model_validate_json(body)
    branch = told.project.default_branch
    if told.ref == f"refs/heads/{branch}":
        yield Pushed(told.project.ref, branch, told.before, told.after, told.user_username)


def _project(body: bytes) -> Iterator[Event]:
    """Whose host it is, whoever has signed it knows."""
    told = payloads.ProjectEvent.model_validate_json(body)
    there = payloads.place(told.path_with_namespace)
    yield RepositoryChanged(there, PROJECT[told.event_name], "gitlab", told.old_path_with_namespace)


READERS: Mapping[str, Callable[[bytes], Iterator[Event]]] = {
    "issue": _issue,
    "merge_request": _merge_request,
    "note": _note,
    "pipeline": _pipeline,
    "push": _push,
    **dict.fromkeys(PROJECT, _project),
}
"""By GitLab's name of what a payload is about."""
