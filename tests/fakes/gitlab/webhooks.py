"""The webhooks that the fake sends, from a thread of their own, in order; a hook that fails too often is disabled."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.fakes.forge.outbox import Outbox
from tests.fakes.gitlab.records import JSON, Group, Hook, Project
from tests.fakes.gitlab.state import State

FAILURES_BEFORE_BACKING_OFF = 3
"""The fourth failure in a row disables a hook for a minute; each further one for twice as long, up to a day."""
FAILURES_FOR_GOOD = 40
LONGEST_PAUSE = timedelta(days=1)

KINDS = {
    "confidential_issue": ("Confidential Issue Hook", "confidential_issues_events"),
    "confidential_note": ("Confidential Note Hook", "confidential_note_events"),
    "emoji": ("Emoji Hook", "emoji_events"),
    "issue": ("Issue Hook", "issues_events"),
    "member": ("Member Hook", "member_events"),
    "merge_request": ("Merge Request Hook", "merge_requests_events"),
    "note": ("Note Hook", "note_events"),
    "pipeline": ("Pipeline Hook", "pipeline_events"),
    "project": ("Project Hook", "project_events"),
    "push": ("Push Hook", "push_events"),
    "subgroup": ("Subgroup Hook", "subgroup_events"),
    "tag_push": ("Tag Push Hook", "tag_push_events"),
}
"""Each kind of event: what X-Gitlab-Event calls it, and the switch of a hook that sends it."""


@dataclass(frozen=True)
class Delivery:
    """One POST of an event, tried or to be tried. `event_uuid` is the event's own, whichever hooks hear of it."""

    id: int
    hook: Hook
    kind: str
    payload: JSON = field(repr=False)
    event_uuid: str
    key: str
    """Idempotency-Key, and `webhook-id` where it is signed: the same when it is sent again."""
    sent_at: datetime
    status_code: int = 0
    problem: str = ""
    duration: float = 0.0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300


def signature(signing_token: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`, as Standard Webhooks has it."""
    key = base64.b64decode(signing_token.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers_of(state: State, one: Delivery, body: bytes) -> dict[str, str]:
    told = {
        **one.hook.custom_headers,
        "Content-Type": "application/json",
        "User-Agent": f"GitLab/{state.version}",
        "Idempotency-Key": one.key,
        "X-Gitlab-Event": KINDS[one.kind][0],
        "X-Gitlab-Webhook-UUID": one.hook.uuid,
        "X-Gitlab-Instance": state.url,
        "X-Gitlab-Event-UUID": one.event_uuid,
    }
    if one.hook.token:
        told["X-Gitlab-Token"] = one.hook.token
    if one.hook.signing_token and state.signing:
        moment = int(state.clock.now().timestamp())
        told["webhook-id"], told["webhook-timestamp"] = one.key, str(moment)
        told["webhook-signature"] = signature(one.hook.signing_token, one.key, moment, body)
    return told


class Webhooks:
    """Sends an event to the hooks of its project and of every group above it, that are on for it."""

    def __init__(self, state: State):
        self._state = state
        self.deliveries: dict[int, Delivery] = {}
        self.outbox = Outbox(self._send)

    def tell(self, kind: str, owner: Group | Project, payload: JSON) -> None:
        """Queue an event. Called under the lock."""
        event_uuid = str(uuid.uuid4())
        for hook in self._listeners(kind, owner):
            self._queue(hook, kind, payload, event_uuid)

    def test(self, hook: Hook, kind: str, payload: JSON) -> Delivery:
        """Send one at once, even by a hook that is disabled; one that is taken enables the hook again."""
        made = self._made(hook, kind, payload, str(uuid.uuid4()))
        self._send(made.id, quiet=True)
        if self.deliveries[made.id].ok:
            enable(hook)
        return self.deliveries[made.id]

    def resend(self, delivery: Delivery) -> None:
        """Send it again, with the same keys."""
        again = replace(delivery, id=self._state.new_id(), sent_at=self._state.now(), status_code=0, problem="")
        self.deliveries[again.id] = again
        self.outbox.put(again.id)

    def _listeners(self, kind: str, owner: Group | Project) -> list[Hook]:
        own = list(owner.hooks.values()) if isinstance(owner, Project) else []
        groups = owner.group.chain if isinstance(owner, Project) else owner.chain
        every = own + ([hook for group in groups for hook in group.hooks.values()] if self._state.group_hooks else [])
        return [hook for hook in every if KINDS[kind][1] in hook.events and is_on(self._state, hook)]

    def _queue(self, hook: Hook, kind: str, payload: JSON, event_uuid: str) -> None:
        self.outbox.put(self._made(hook, kind, payload, event_uuid).id)

    def _made(self, hook: Hook, kind: str, payload: JSON, event_uuid: str) -> Delivery:
        made = Delivery(self._state.new_id(), hook, kind, payload, event_uuid, str(uuid.uuid4()), self._state.now())
        self.deliveries[made.id] = made
        return made

    def _send(self, number: int, *, quiet: bool = False) -> None:
        one = self.deliveries[number]
        if not quiet and not is_on(self._state, one.hook):
            self.deliveries[number] = replace(one, problem="the hook is disabled")
            return
        body = json.dumps(one.payload).encode()
        headers = headers_of(self._state, one, body)
        answer = self.outbox.post(one.hook.url, body, headers)
        self.deliveries[number] = replace(
            one,
            status_code=answer.status_code,
            problem=answer.problem,
            duration=answer.duration,
            request_headers=headers,
            response_body=answer.body,
        )
        if not quiet:
            self._count(one.hook, answer.ok)

    def _count(self, hook: Hook, ok: bool) -> None:
        if ok:
            hook.failures, hook.disabled_until = 0, None
            return
        hook.failures += 1
        if hook.failures >= FAILURES_FOR_GOOD:
            hook.disabled = True
        elif hook.failures > FAILURES_BEFORE_BACKING_OFF:
            doublings = min(hook.failures - FAILURES_BEFORE_BACKING_OFF - 1, 20)
            hook.disabled_until = self._state.now() + min(timedelta(minutes=2**doublings), LONGEST_PAUSE)


def is_on(state: State, hook: Hook) -> bool:
    waiting = hook.disabled_until is not None and hook.disabled_until > state.now()
    return not hook.disabled and not waiting


def enable(hook: Hook) -> None:
    hook.failures, hook.disabled_until, hook.disabled = 0, None, False
