"""Somebody who may write to a repository turns the bot off there, or on again: by a comment, or by a label."""

from __future__ import annotations

from bot.campaigns.asking import Ask, Reply
from bot.domain.commands import Verb
from bot.domain.pull_requests import PullRequestState
from bot.store import opt_outs, publications
from bot.store.opt_outs import OptOut
from bot.tracking.opting_out import leave_alone, take_up_again

TURNS = (Verb.OFF, Verb.ON)


def turn(ask: Ask, verb: Verb, *, by_label: bool) -> Reply | None:
    return _off(ask, by_label=by_label) if verb is Verb.OFF else _on(ask, by_label=by_label)


def _off(ask: Ask, *, by_label: bool) -> Reply:
    known = OptOut(ask.repository.name, ask.login, _place(ask, by_label=by_label), ask.services.clock.now())
    leave_alone(ask.services, ask.org.org, known)
    with ask.services.database.reading() as tx:
        found = publications.of_repository(tx, ask.org.org, ask.repository.name)
    numbers = [each.number for each in found if each.state == PullRequestState.OPEN]
    return Reply("off", {"repository": ask.repository.full_name, "actor": ask.login, "numbers": numbers})


def _on(ask: Ask, *, by_label: bool) -> Reply | None:
    """A label that is taken off takes back only what it had brought about."""
    place = _place(ask, by_label=True) if by_label else ""
    done = take_up_again(ask.services, ask.org.org, ask.repository.name, ask.login, place)
    if not done and by_label:
        return None
    return Reply("on", {"repository": ask.repository.full_name, "done": done})


def _place(ask: Ask, *, by_label: bool) -> str:
    number = ask.thread.number
    return opt_outs.label_on(number) if by_label else f"a comment on #{number}"
