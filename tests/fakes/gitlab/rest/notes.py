"""Notes, discussions and award emoji, of issues and merge requests alike."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.changes import threads
from tests.fakes.gitlab.payloads import discussions as shapes
from tests.fakes.gitlab.payloads.basics import award as award_shape
from tests.fakes.gitlab.records import Award, Issue, Level, MergeRequest, Note, Project
from tests.fakes.gitlab.rest.routing import Call, Handler, Reply, on
from tests.fakes.gitlab.state import missing

Of = Callable[[Call, Project, str], Issue]
NOTE_LEVEL = Level.GUEST


def _issue(call: Call, project: Project, iid: str) -> Issue:
    return call.state.issue(project, int(iid))


def _pull(call: Call, project: Project, iid: str) -> Issue:
    return call.state.merge_request(project, int(iid))


def _on_both(method: str, tail: str, level: Level = Level.NONE) -> Callable[[Callable[..., Reply]], Callable[..., Reply]]:
    """Declare an operation for issues and for merge requests; its handler is given whichever it is."""

    def declare(handler: Callable[..., Reply]) -> Callable[..., Reply]:
        for kind, find in (("issues", _issue), ("merge_requests", _pull)):
            on(method, f"/projects/<id>/{kind}/<int:iid>/{tail}", level)(_bound(handler, find))
        return handler

    return declare


def _bound(handler: Callable[..., Reply], find: Of) -> Handler:
    def handle(call: Call, project: Project, iid: str, **more: str) -> Reply:
        return handler(call, find(call, project, iid), **more)

    return handle


def _may_speak(call: Call, thread: Issue) -> None:
    """Anybody may who is signed in and sees it, but on what is locked or archived."""
    if thread.project.visibility == "private":
        access.require(call.state, call.actor, thread.project, NOTE_LEVEL)
    if thread.locked and access.level_of(call.state, call.actor, thread.project) < Level.DEVELOPER:
        raise Refused(403, "403 Forbidden")
    call.limits.charge_note(call.actor.key)


def _own(call: Call, note: Note) -> None:
    if note.author is not call.by and access.level_of(call.state, call.actor, note.thread.project) < Level.MAINTAINER:
        raise Refused(403, "403 Forbidden")


@_on_both("GET", "notes")
def list_notes(call: Call, thread: Issue) -> Reply:
    """Newest first, unless it is asked for otherwise."""
    found = sorted(thread.notes, key=lambda each: each.id, reverse=call.text("sort", "desc") == "desc")
    return call.page(found, lambda each: shapes.note(call.state, each))


@_on_both("POST", "notes")
def create_note(call: Call, thread: Issue) -> Reply:
    _may_speak(call, thread)
    made = threads.comment(call.state, thread, call.by, str(call.required("body")), internal=call.flag("internal"))
    return Reply(201, shapes.note(call.state, made))


@_on_both("GET", "notes/<note>")
def get_note(call: Call, thread: Issue, note: str) -> Reply:
    return Reply(200, shapes.note(call.state, call.state.note(thread, int(note))))


@_on_both("PUT", "notes/<note>")
def update_note(call: Call, thread: Issue, note: str) -> Reply:
    found = call.state.note(thread, int(note))
    _own(call, found)
    threads.edit_note(call.state, found, call.by, str(call.required("body")))
    return Reply(200, shapes.note(call.state, found))


@_on_both("DELETE", "notes/<note>")
def delete_note(call: Call, thread: Issue, note: str) -> Reply:
    found = call.state.note(thread, int(note))
    _own(call, found)
    threads.delete_note(call.state, found)
    return Reply(204)


@_on_both("GET", "discussions")
def list_discussions(call: Call, thread: Issue) -> Reply:
    return call.page(thread.discussions, lambda each: shapes.discussion(call.state, each))


@_on_both("POST", "discussions")
def create_discussion(call: Call, thread: Issue) -> Reply:
    _may_speak(call, thread)
    position = call.given.get("position")
    made = threads.discuss(call.state, thread, call.by, str(call.required("body")), position=position)
    return Reply(201, shapes.discussion(call.state, made))


@_on_both("GET", "discussions/<discussion>")
def get_discussion(call: Call, thread: Issue, discussion: str) -> Reply:
    return Reply(200, shapes.discussion(call.state, threads.discussion(thread, discussion)))


@_on_both("PUT", "discussions/<discussion>")
def resolve_discussion(call: Call, thread: Issue, discussion: str) -> Reply:
    found = threads.discussion(thread, discussion)
    _may_resolve(call, thread)
    threads.resolve(call.state, found, call.by, call.flag("resolved"))
    return Reply(200, shapes.discussion(call.state, found))


def _may_resolve(call: Call, thread: Issue) -> None:
    if thread.author is not call.by and access.level_of(call.state, call.actor, thread.project) < Level.DEVELOPER:
        raise Refused(403, "403 Forbidden")


@_on_both("POST", "discussions/<discussion>/notes")
def reply_to_discussion(call: Call, thread: Issue, discussion: str) -> Reply:
    _may_speak(call, thread)
    made = threads.reply(call.state, thread, threads.discussion(thread, discussion), call.by, str(call.required("body")))
    return Reply(201, shapes.note(call.state, made))


@_on_both("PUT", "discussions/<discussion>/notes/<note>")
def update_discussion_note(call: Call, thread: Issue, discussion: str, note: str) -> Reply:
    found = call.state.note(thread, int(note))
    if "resolved" in call.given:
        _may_resolve(call, thread)
        threads.resolve(call.state, threads.discussion(thread, discussion), call.by, call.flag("resolved"))
    else:
        _own(call, found)
        threads.edit_note(call.state, found, call.by, str(call.required("body")))
    return Reply(200, shapes.note(call.state, found))


def _kind(on_: Issue | Note) -> str:
    return "Note" if isinstance(on_, Note) else "MergeRequest" if isinstance(on_, MergeRequest) else "Issue"


def _award(call: Call, on_: Issue | Note, number: str) -> Award:
    for each in on_.awards:
        if each.id == int(number):
            return each
    raise missing("Award Emoji")


def _awards(call: Call, on_: Issue | Note) -> Reply:
    return call.page(on_.awards, lambda each: award_shape(call.state, each, _kind(on_), on_.id))


def _give(call: Call, on_: Issue | Note) -> Reply:
    made = threads.award(call.state, on_, call.by, str(call.required("name")))
    return Reply(201, award_shape(call.state, made, _kind(on_), on_.id))


def _take_back(call: Call, on_: Issue | Note, number: str) -> Reply:
    found = _award(call, on_, number)
    if found.user is not call.by:
        raise Refused(403, "403 Forbidden")
    threads.revoke(call.state, on_, found, call.by)
    return Reply(204)


@_on_both("GET", "award_emoji")
def list_awards(call: Call, thread: Issue) -> Reply:
    return _awards(call, thread)


@_on_both("POST", "award_emoji")
def give_award(call: Call, thread: Issue) -> Reply:
    return _give(call, thread)


@_on_both("DELETE", "award_emoji/<number>")
def revoke_award(call: Call, thread: Issue, number: str) -> Reply:
    return _take_back(call, thread, number)


@_on_both("GET", "notes/<note>/award_emoji")
def list_note_awards(call: Call, thread: Issue, note: str) -> Reply:
    return _awards(call, call.state.note(thread, int(note)))


@_on_both("POST", "notes/<note>/award_emoji")
def give_note_award(call: Call, thread: Issue, note: str) -> Reply:
    return _give(call, call.state.note(thread, int(note)))


@_on_both("DELETE", "notes/<note>/award_emoji/<number>")
def revoke_note_award(call: Call, thread: Issue, note: str, number: str) -> Reply:
    return _take_back(call, call.state.note(thread, int(note)), number)
