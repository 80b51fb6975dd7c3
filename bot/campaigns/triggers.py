"""From an event to the work that it asks for: labels, comments and reviews, each on the repository where it is, alone.

Who calls `handle` sees to it that an event is handled once, however often it is told; after a kill, it is repeated from its
start. What must not be done twice is done in the transaction that notes it as done; all else is the same when it is repeated.
"""

from __future__ import annotations

from bot.campaigns.asking import Ask, Reply, answer
from bot.campaigns.authority import require_permission_on, require_write_on
from bot.campaigns.turning import TURNS, turn
from bot.domain.commands import Command, Misspelt, Verb, parse
from bot.domain.events import Commented, Labelled, Reviewed
from bot.domain.policies import LABEL_PREFIX, OFF_LABEL
from bot.domain.pull_requests import CommentRef, Reaction
from bot.domain.repositories import Repository
from bot.errors import QuotaRefused, UsageError
from bot.policy_store import nearest
from bot.services import Services
from bot.store import audit, effects

Trigger = Labelled | Commented | Reviewed


def handle(services: Services, event: Trigger) -> str:
    """Do what an event asks for; return why nothing was done, or an empty text.

    Raises HostError, StoreError or PolicyError where it could not be done: it may be handled again.
    """
    asked = _asked(event)
    if asked is None or event.actor_is_bot:
        return "nothing was asked for"
    catalogue = services.catalogue()
    org = catalogue.policies.org_on(event.repository.host, event.repository.org)
    if org is None:
        return f"no org policy is for {event.repository.org} on {event.repository.host}"
    conversation = services.conversation(org)
    if event.actor.casefold() == conversation.own_login.casefold():
        return "the bot does not answer itself"
    ask = Ask(
        services=services,
        conversation=conversation,
        catalogue=catalogue,
        org=org,
        repository=Repository(org.org, event.repository.name, "", None),
        thread=event.thread,
        login=event.actor,
        key=event.key,
    )
    conversation.react(ask.repository, _answered(event), Reaction.EYES)
    return _fulfil(ask, asked, by_label=isinstance(event, Labelled))


def _asked(event: Trigger) -> Command | Misspelt | str | None:
    """A command, the text of a label, or None."""
    if isinstance(event, Labelled):
        if event.label == OFF_LABEL:
            return Command(Verb.ON if event.removed else Verb.OFF)
        return event.label if event.label.startswith(LABEL_PREFIX) and not event.removed else None
    return parse(event.body)


def _answered(event: Trigger) -> CommentRef:
    """What shows the reaction: a label and a review take none, so it is the issue or pull request."""
    return event.comment if isinstance(event, Commented) else CommentRef(event.thread, event.thread.number, "thread")


def _fulfil(ask: Ask, asked: Command | Misspelt | str, *, by_label: bool) -> str:
    """Look whether they may, do it, and say so where somebody has to be told."""
    refusal: UsageError | QuotaRefused | None = None
    try:
        _require_that_they_may(ask, asked)
        reply = _answer(ask, asked, by_label=by_label)
    except (UsageError, QuotaRefused) as error:
        refusal, reply = error, Reply("refused", {"reason": str(error), "mend": error.mend})
    if reply is not None:
        _tell(ask, reply)
    if refusal is None:
        return ""
    _record_refusal(ask, refusal)
    return f"refused: {refusal}"


def _require_that_they_may(ask: Ask, asked: Command | Misspelt | str) -> None:
    if isinstance(asked, Command) and asked.verb in TURNS:
        require_write_on(ask.conversation, ask.repository, ask.login)
    else:
        require_permission_on(ask.conversation, ask.org, ask.repository, ask.login)


def _answer(ask: Ask, asked: Command | Misspelt | str, *, by_label: bool) -> Reply | None:
    match asked:
        case Command() if asked.verb in TURNS:
            return turn(ask, asked.verb, by_label=by_label)
        case Command():
            return answer(ask, asked, by_label=by_label)
        case Misspelt():
            return Reply("misspelt", {"problem": asked.problem, "usage": asked.usage})
    return answer(ask, Command(Verb.RUN, policy=_labelled_policy(ask, asked)), by_label=True)


def _labelled_policy(ask: Ask, label: str) -> str:
    known = {policy.on.label: policy.name for policy in ask.catalogue.listed(ask.org) if policy.on.label}
    if label not in known:
        near = nearest(label, known)
        mend = f"did you mean `{near}`?" if near else ""
        raise UsageError(f"no policy of {ask.org.org} is started by the label `{label}`", mend=mend)
    return known[label]


def _tell(ask: Ask, reply: Reply) -> None:
    """A comment of its own for each answer: it is the same one when it is repeated."""
    body = ask.services.replies().render(f"comments/{reply.template}.md.j2", reply.variables)
    ask.conversation.tell(ask.repository, ask.thread, body, marker=f"<!-- whimbrel answer {ask.key} -->")


def _record_refusal(ask: Ask, refusal: UsageError | QuotaRefused) -> None:
    services, org = ask.services, ask.org.org
    with services.database.transaction() as tx:
        if effects.do_once(tx, org, f"refusal:{ask.key}", services.clock.now()):
            audit.append(
                tx, services.audit_key, services.clock, org=org, actor=ask.actor, action="trigger.refused",
                subject=f"{ask.repository.full_name}#{ask.thread.number}", reason=str(refusal),
            )  # fmt: skip
