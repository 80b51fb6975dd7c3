"""GitHub's webhooks in the words of `bot.domain.events`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError

from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    InstallationChange,
    InstallationChanged,
    IssueEdited,
    Labelled,
    Ping,
    PullRequestChange,
    PullRequestChanged,
    Pushed,
    RepositoryChange,
    RepositoryChanged,
    Reviewed,
)
from bot.domain.pull_requests import CommentRef, Thread
from bot.errors import HostError
from bot.hosts import github_payloads as payloads
from bot.hosts.payloads import places

INSTALLATION: Mapping[str, InstallationChange] = {
    "created": "created",
    "deleted": "deleted",
    "suspend": "suspended",
    "unsuspend": "unsuspended",
    "new_permissions_accepted": "permissions_accepted",
}
PULL_REQUEST: Mapping[str, PullRequestChange] = {
    "opened": "opened",
    "closed": "closed",
    "reopened": "reopened",
    "synchronize": "synchronized",
    "edited": "edited",
}
LABELLED = ("labeled", "unlabeled")
VERDICTS = ("approved", "changes_requested", "commented")


def normalise_github(event: str, body: bytes) -> list[Event]:
    """What a payload, in JSON, tells; nothing where it is not about what this bot follows.

    Raises HostError, naming the place, for a payload that is not as GitHub documents it.
    """
    read = READERS.get(event)
    if read is None:
        return []
    try:
        told = read(body)
    except ValidationError as error:
        raise HostError(f"the payload of {event} is not as documented: {places(error)}") from error
    return [] if told is None else [told]


def _action(body: bytes) -> str:
    return payloads.Action.model_validate_json(body).action


def _issues(body: bytes) -> Event | None:
    action = _action(body)
    if action == "edited":
        return _issue_edited(payloads.IssueEdited.model_validate_json(body))
    if action not in LABELLED:
        return None
    told = payloads.IssueLabelled.model_validate_json(body)
    return _labelled(told, told.issue, told.label.name)


def _issue_edited(told: payloads.IssueEdited) -> Event | None:
    """A change of the title alone is none of the text."""
    if told.before is None:
        return None
    return IssueEdited(
        repository=told.repository.ref,
        number=told.issue.number,
        before=told.before,
        after=told.issue.body,
        actor=told.sender.login,
        actor_is_bot=told.sender.is_bot,
        at=told.issue.updated_at,
    )


def _pull_request(body: bytes) -> Event | None:
    action = _action(body)
    if action in LABELLED:
        labelled = payloads.PullRequestLabelled.model_validate_json(body)
        return _labelled(labelled, labelled.pull_request, labelled.label.name)
    if action not in PULL_REQUEST:
        return None
    told = payloads.PullRequestActed.model_validate_json(body)
    changed = told.pull_request
    what = "merged" if action == "closed" and changed.merged else PULL_REQUEST[action]
    return PullRequestChanged(told.repository.ref, changed.number, what, changed.head.sha, told.sender.login)


def _labelled(told: payloads.Acted, thing: payloads.Issue | payloads.PullRequest, label: str) -> Event:
    return Labelled(
        repository=told.repository.ref,
        number=thing.number,
        label=label,
        actor=told.sender.login,
        actor_is_bot=told.sender.is_bot,
        kind="pull_request" if isinstance(thing, payloads.PullRequest) else "issue",
        removed=told.action == "unlabeled",
        at=thing.updated_at,
    )


def _issue_comment(body: bytes) -> Event | None:
    if _action(body) != "created":
        return None
    told = payloads.IssueCommented.model_validate_json(body)
    thread = Thread(told.issue.number, "issue" if told.issue.pull_request is None else "pull_request")
    return _commented(told, thread, told.comment, "comment")


def _code_comment(body: bytes) -> Event | None:
    if _action(body) != "created":
        return None
    told = payloads.CodeCommented.model_validate_json(body)
    return _commented(told, Thread(told.pull_request.number, "pull_request"), told.comment, "review_comment")


def _commented(told: payloads.Acted, thread: Thread, comment: payloads.Comment, kind: str) -> Event:
    return Commented(
        repository=told.repository.ref,
        comment=CommentRef(thread, comment.id, kind),
        body=comment.body,
        actor=told.sender.login,
        actor_is_bot=told.sender.is_bot,
    )


def _review(body: bytes) -> Event | None:
    if _action(body) != "submitted":
        return None
    told = payloads.ReviewSubmitted.model_validate_json(body)
    verdict = told.review.state.lower()
    if verdict not in VERDICTS:
        return None
    return Reviewed(
        repository=told.repository.ref,
        number=told.pull_request.number,
        review_id=told.review.id,
        verdict=verdict,
        body=told.review.body,
        actor=told.sender.login,
        actor_is_bot=told.sender.is_bot,
    )


def _check_suite(body: bytes) -> Event:
    told = payloads.SuiteActed.model_validate_json(body)
    return ChecksChanged(told.repository.ref, told.check_suite.head_sha, told.check_suite.conclusion)


def _push(body: bytes) -> Event | None:
    told = payloads.Push.model_validate_json(body)
    branch = told.repository.default_branch
    if told.ref != f"refs/heads/{branch}":
        return None
    return Pushed(told.repository.ref, branch, told.before, told.after, told.sender.login if told.sender else "")


def _repository(body: bytes) -> Event | None:
    match _action(body):
        case "renamed":
            renamed = payloads.RepositoryRenamed.model_validate_json(body)
            return _repository_changed(renamed, "renamed", f"{renamed.repository.owner.login}/{renamed.before}")
        case "transferred":
            moved = payloads.RepositoryTransferred.model_validate_json(body)
            return _repository_changed(moved, "transferred", f"{moved.former_owner}/{moved.repository.name}")
        case "created" | "archived" | "unarchived" | "deleted" | "edited" as what:
            return _repository_changed(payloads.Acted.model_validate_json(body), what)
    return None


def _repository_changed(told: payloads.Acted, what: RepositoryChange, old_name: str = "") -> Event:
    return RepositoryChanged(told.repository.ref, what, told.sender.login, old_name)


def _installation(body: bytes) -> Event | None:
    what = INSTALLATION.get(_action(body))
    if what is None:
        return None
    told = payloads.InstallationActed.model_validate_json(body)
    return _installation_changed(told, what, told.repositories)


def _installation_repositories(body: bytes) -> Event:
    told = payloads.InstallationActed.model_validate_json(body)
    if told.repositories_removed:
        return _installation_changed(told, "repositories_removed", told.repositories_removed)
    return _installation_changed(told, "repositories_added", told.repositories_added)


def _installation_changed(
    told: payloads.InstallationActed, what: InstallationChange, repositories: Sequence[payloads.RepositoryPart]
) -> Event:
    installation = told.installation
    return InstallationChanged(
        host=installation.account.host,
        org=installation.account.login,
        number=installation.id,
        what=what,
        permissions=tuple(sorted(installation.permissions.items())),
        repositories=tuple(repository.name for repository in repositories),
        actor=told.sender.login,
        at=installation.updated_at,
    )


READERS: Mapping[str, Callable[[bytes], Event | None]] = {
    "check_suite": _check_suite,
    "installation": _installation,
    "installation_repositories": _installation_repositories,
    "issue_comment": _issue_comment,
    "issues": _issues,
    "ping": lambda _: Ping(),
    "pull_request": _pull_request,
    "pull_request_review": _review,
    "pull_request_review_comment": _code_comment,
    "push": _push,
    "repository": _repository,
}
"""By GitHub's name of the event."""
