"""Issues, and what pull requests share with them: labels, comments, reactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fakes.forge.refusals import Refused
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.payloads.basics import REACTIONS
from tests.fakes.github.payloads.basics import label as label_shape
from tests.fakes.github.records import Account, Comment, Issue, Label, Pull, Reaction, Repository
from tests.fakes.github.state import State, invalid

LONGEST_BODY = 65536


def open_issue(
    state: State, repository: Repository, by: Account, *, title: str, body: str | None = None, labels: Sequence[str] = ()
) -> Issue:
    number, moment = next_number(repository), state.now()
    made = Issue(state.new_id(), number, repository, by, title, body, moment, moment, app=state.app_of(by))
    repository.issues[number] = made
    tell(state, made, by, "opened")
    add_labels(state, made, by, labels)
    return made


def next_number(repository: Repository) -> int:
    number = repository.next_number
    repository.next_number += 1
    return number


def tell(state: State, issue: Issue, by: Account, action: str, **more: Any) -> None:
    """Send an `issues` or `pull_request` event, whichever it is."""
    issue.updated_at = state.now()
    if isinstance(issue, Pull):
        pull = shapes.full_pull(state, issue)
        more = {"number": issue.number, "pull_request": pull, **more}
        state.tell("pull_request", action, repository=issue.repository, sender=by, **more)
    else:
        state.tell("issues", action, repository=issue.repository, sender=by, issue=shapes.issue(state, issue), **more)


def add_labels(state: State, issue: Issue, by: Account, names: Sequence[str]) -> None:
    for name in names:
        label = state.label(issue.repository, name)
        if label not in issue.labels:
            issue.labels.append(label)
            tell(state, issue, by, "labeled", label=label_shape(state, issue.repository, label))


def remove_label(state: State, issue: Issue, by: Account, name: str) -> None:
    label = next((each for each in issue.labels if each.name.lower() == name.lower()), None)
    if label is None:
        raise Refused(404, "Label does not exist")
    issue.labels.remove(label)
    tell(state, issue, by, "unlabeled", label=label_shape(state, issue.repository, label))


def set_labels(state: State, issue: Issue, by: Account, names: Sequence[str]) -> None:
    wanted = {name.lower() for name in names}
    for label in [each for each in issue.labels if each.name.lower() not in wanted]:
        remove_label(state, issue, by, label.name)
    add_labels(state, issue, by, names)


def create_label(state: State, repository: Repository, name: str, *, color: str, description: str | None) -> Label:
    if name.lower() in repository.labels:
        raise invalid("Label", "name", "already_exists")
    made = repository.labels[name.lower()] = Label(state.new_id(), name, color, description)
    return made


def comment(state: State, issue: Issue, by: Account, body: str) -> Comment:
    check_body(body, "IssueComment")
    moment = state.now()
    made = Comment(state.new_id(), issue, by, body, moment, moment, app=state.app_of(by))
    issue.comments.append(made)
    _tell_comment(state, made, by, "created")
    return made


def check_body(body: str, resource: str) -> None:
    if not body.strip():
        raise invalid(resource, "body", "missing_field")
    if len(body) > LONGEST_BODY:
        raise invalid(resource, "body", "unprocessable", f"body is too long (maximum is {LONGEST_BODY} characters)")


def edit_comment(state: State, found: Comment, by: Account, body: str) -> None:
    check_body(body, "IssueComment")
    before, found.body = found.body, body
    found.updated_at = state.now()
    _tell_comment(state, found, by, "edited", changes={"body": {"from": before}})


def delete_comment(state: State, found: Comment, by: Account) -> None:
    if isinstance(found.issue, Pull) and found in found.issue.review_comments:
        found.issue.review_comments.remove(found)
    else:
        found.issue.comments.remove(found)
    _tell_comment(state, found, by, "deleted")


def _tell_comment(state: State, found: Comment, by: Account, action: str, **more: Any) -> None:
    issue = found.issue
    if isinstance(issue, Pull) and found.path:
        more |= {"comment": shapes.review_comment(state, found), "pull_request": shapes.pull(state, issue)}
        state.tell("pull_request_review_comment", action, repository=issue.repository, sender=by, **more)
    else:
        more |= {"comment": shapes.comment(state, found), "issue": shapes.issue(state, issue)}
        state.tell("issue_comment", action, repository=issue.repository, sender=by, **more)


def comment_on_line(
    state: State, pull: Pull, by: Account, body: str, *, path: str, line: int = 1, reply_to: int | None = None
) -> Comment:
    """A comment of a review; in a review of its own, as GitHub makes one for it."""
    check_body(body, "PullRequestReviewComment")
    moment, review_id = state.now(), state.new_id()
    made = Comment(
        state.new_id(), pull, by, body, moment, moment,
        path=path, line=line, commit_id=pull.head_sha, review_id=review_id, reply_to=reply_to,
    )  # fmt: skip
    pull.review_comments.append(made)
    _tell_comment(state, made, by, "created")
    return made


def react(state: State, reactions: list[Reaction], by: Account, content: str) -> tuple[Reaction, bool]:
    """The reaction, and whether it is new. GitHub sends no event for it."""
    if content not in REACTIONS:
        raise invalid("Reaction", "content")
    for found in reactions:
        if found.user is by and found.content == content:
            return found, False
    made = Reaction(state.new_id(), by, content, state.now())
    reactions.append(made)
    return made, True


def edit(state: State, issue: Issue, by: Account, *, title: str | None = None, body: str | None = None) -> None:
    changes = {}
    if title is not None and title != issue.title:
        changes["title"] = {"from": issue.title}
        issue.title = title
    if body is not None and body != issue.body:
        changes["body"] = {"from": issue.body or ""}
        issue.body = body
    if changes:
        tell(state, issue, by, "edited", changes=changes)


def set_state(state: State, issue: Issue, by: Account, wanted: str) -> None:
    """Close or reopen an issue (a pull request is closed by `pulls`)."""
    if wanted == issue.state:
        return
    issue.state = wanted
    issue.closed_at = state.now() if wanted == "closed" else None
    issue.closed_by = by if wanted == "closed" else None
    tell(state, issue, by, "closed" if wanted == "closed" else "reopened")
