"""Issues, and what merge requests share with them: labels, notes, discussions, award emoji."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab.payloads import events
from tests.fakes.gitlab.records import JSON, Award, Discussion, Issue, Label, MergeRequest, Note, Project, User
from tests.fakes.gitlab.state import State, Worded, bad_parameter, invalid, missing

LONGEST_TEXT = 1_000_000
LONGEST_TITLE = 255
NOT_TOLD = object()


def open_issue(
    state: State,
    project: Project,
    by: User,
    *,
    title: str,
    description: str | None = None,
    labels: Sequence[str] = (),
    confidential: bool = False,
) -> Issue:
    check_title(title)
    moment = state.now()
    made = Issue(
        state.new_id(), project.take_iid("issue"), project, by, title, description, moment, moment, confidential=confidential
    )
    made.labels = [state.label(project, name) for name in labels]
    project.issues[made.iid] = made
    tell(state, made, by, "open", changes=fresh(made))
    return made


def fresh(made: Issue) -> JSON:
    """The `changes` of what has just been made: the labels that it was made with are not among them."""
    told = {"id": made.id, "iid": made.iid, "author_id": made.author.id, "title": made.title, "description": made.description}
    return {name: {"previous": None, "current": value} for name, value in told.items()}


def check_title(title: str) -> None:
    if not title.strip():
        raise invalid(title="can't be blank")
    if len(title) > LONGEST_TITLE:
        raise invalid(title=f"is too long (maximum is {LONGEST_TITLE} characters)")


def tell(state: State, found: Issue, by: User, action: str, *, changes: JSON | None = None, **more: Any) -> None:
    """Send an issue or merge request event, whichever it is."""
    before, found.updated_at = found.updated_at, state.now()
    moved = {"updated_at": {"previous": events.moment(before), "current": events.moment(found.updated_at)}}
    payload = events.thread(state, found, by, changes={**moved, **(changes or {})}, action=action, **more)
    kind = "merge_request" if isinstance(found, MergeRequest) else "issue"
    state.tell("confidential_issue" if found.confidential else kind, found.project, payload)


def update(
    state: State,
    found: Issue,
    by: User,
    *,
    title: str | None = None,
    description: Any = NOT_TOLD,
    labels: Iterable[str] | None = None,
    add_labels: Iterable[str] = (),
    remove_labels: Iterable[str] = (),
    more: JSON | None = None,
) -> None:
    """One event for all that changes; `more` are changes that were made already. None where nothing does."""
    changes = dict(more or {})
    if title is not None and title != found.title:
        check_title(title)
        changes["title"] = {"previous": found.title, "current": title}
        found.title = title
    if description is not NOT_TOLD and description != found.description:
        changes["description"] = {"previous": found.description, "current": description}
        found.description = description
    wanted = _labels(state, found, labels, add_labels, remove_labels)
    if wanted != found.labels:
        shown = [[events.label(each, found.project) for each in some] for some in (found.labels, wanted)]
        changes["labels"] = {"previous": shown[0], "current": shown[1]}
        found.labels = wanted
    if changes:
        tell(state, found, by, "update", changes=changes)


def _labels(state: State, found: Issue, labels: Iterable[str] | None, add: Iterable[str], remove: Iterable[str]) -> list[Label]:
    gone = {name.lower() for name in remove}
    base = found.labels if labels is None else [state.label(found.project, name) for name in labels]
    wanted = [each for each in base if each.name.lower() not in gone]
    return list(dict.fromkeys([*wanted, *(state.label(found.project, name) for name in add)]))


def close(state: State, found: Issue, by: User) -> None:
    if found.state == "opened":
        found.state, found.closed_at, found.closed_by = "closed", state.now(), by
        tell(state, found, by, "close", changes=_state_change(1, 2))


def reopen(state: State, found: Issue, by: User) -> None:
    if found.state == "closed":
        found.state, found.closed_at, found.closed_by = "opened", None, None
        tell(state, found, by, "reopen", changes=_state_change(2, 1))


def _state_change(before: int, after: int) -> JSON:
    return {"state_id": {"previous": before, "current": after}}


def comment(state: State, found: Issue, by: User, body: str, *, internal: bool = False) -> Note:
    """A comment that stands for itself."""
    return _add(state, _begin(state, found, individual=True), found, by, body, internal=internal)


def discuss(state: State, found: Issue, by: User, body: str, *, position: JSON | None = None) -> Discussion:
    """A thread that can be replied to, on a line of the diff where a `position` is given."""
    if position is not None:
        check_position(found, position)
    made = _begin(state, found, individual=False)
    _add(state, made, found, by, body, position=position)
    return made


def check_position(found: Issue, position: JSON) -> None:
    if not isinstance(found, MergeRequest):
        raise bad_parameter("position is only for merge requests")
    lacking = [name for name in ("base_sha", "start_sha", "head_sha", "position_type") if not position.get(name)]
    if lacking:
        raise bad_parameter(", ".join(f"position[{name}] is missing" for name in lacking))
    if position["head_sha"] != found.head_sha or not (position.get("new_line") or position.get("old_line")):
        raise Worded(400, {"message": {"line_code": ["can't be blank", "must be a valid line code"]}})


def reply(state: State, found: Issue, discussion: Discussion, by: User, body: str) -> Note:
    """To a single comment: a discussion is made of it."""
    discussion.individual = False
    first = discussion.notes[0]
    return _add(state, discussion, found, by, body, position=first.position)


def _begin(state: State, found: Issue, *, individual: bool) -> Discussion:
    made = Discussion(state.digest(), individual)
    found.discussions.append(made)
    return made


def _add(
    state: State,
    discussion: Discussion,
    found: Issue,
    by: User,
    body: str,
    *,
    position: JSON | None = None,
    internal: bool = False,
) -> Note:
    if not body.strip():
        found.discussions = [each for each in found.discussions if each.notes]
        raise invalid(note="can't be blank")
    if len(body) > LONGEST_TEXT:
        raise invalid(note=f"is too long ({len(body)} characters). The maximum size is 1000000 characters.")
    moment = state.now()
    made = Note(state.new_id(), found, discussion, by, body, moment, moment, position=position, internal=internal)
    discussion.notes.append(made)
    found.updated_at = moment
    _tell_note(state, made, by, "create")
    return made


def edit_note(state: State, found: Note, by: User, body: str) -> None:
    if not body.strip():
        raise invalid(note="can't be blank")
    found.body, found.updated_at = body, state.now()
    _tell_note(state, found, by, "update")


def delete_note(state: State, found: Note) -> None:
    """GitLab sends no event for it."""
    found.discussion.notes.remove(found)
    found.thread.discussions = [each for each in found.thread.discussions if each.notes]


def _tell_note(state: State, found: Note, by: User, action: str) -> None:
    hidden = found.internal or found.thread.confidential
    state.tell("confidential_note" if hidden else "note", found.thread.project, events.note(state, found, by, action))


def resolve(state: State, found: Discussion, by: User, resolved: bool = True) -> None:
    notes = [note for note in found.notes if note.resolvable]
    if not notes:
        raise Refused(403, "403 Forbidden")
    for note in notes:
        note.resolved_by, note.resolved_at = (by, state.now()) if resolved else (None, None)


def discussion(found: Issue, discussion_id: str) -> Discussion:
    for each in found.discussions:
        if each.id == discussion_id:
            return each
    raise missing("Discussion")


def award(state: State, on: Issue | Note, by: User, name: str) -> Award:
    """404 for one that they have given already, as GitLab answers."""
    if any(each.user is by and each.name == name for each in on.awards):
        raise Refused(404, "404 Award Emoji Name has already been taken Not Found")
    made = Award(state.new_id(), name, by, state.now())
    on.awards.append(made)
    _tell_award(state, made, on, by, "award")
    return made


def revoke(state: State, on: Issue | Note, found: Award, by: User) -> None:
    on.awards.remove(found)
    _tell_award(state, found, on, by, "revoke")


def _tell_award(state: State, found: Award, on: Issue | Note, by: User, action: str) -> None:
    owner = on.thread if isinstance(on, Note) else on
    state.tell("emoji", owner.project, events.emoji(state, found, on, by, action))
