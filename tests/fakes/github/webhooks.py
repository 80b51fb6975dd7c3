"""The webhooks that the fake sends: signed, from a thread of their own, in order; failed ones are kept to be redelivered."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tests.fakes.forge.outbox import Outbox
from tests.fakes.forge.refusals import not_found
from tests.fakes.github.changes.apps import ALWAYS_SENT
from tests.fakes.github.payloads.basics import organization, user, when
from tests.fakes.github.payloads.repositories import repository as repository_shape
from tests.fakes.github.records import JSON, Account, AccountType, App, Installation, Repository
from tests.fakes.github.state import State


@dataclass(frozen=True)
class Delivery:
    """One POST of an event, tried or to be tried. `guid` is the event's own: a redelivery has the same."""

    id: int
    guid: str
    app: App
    event: str
    action: str | None
    payload: JSON = field(repr=False)
    url: str
    installation_id: int | None
    repository_id: int | None
    delivered_at: datetime
    redelivery: bool = False
    status_code: int = 0
    status: str = "pending"
    duration: float = 0.0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def headers_of(one: Delivery, body: bytes) -> dict[str, str]:
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/0fake00",
        "X-GitHub-Delivery": one.guid,
        "X-GitHub-Event": one.event,
        "X-GitHub-Hook-ID": str(one.app.id),
        "X-GitHub-Hook-Installation-Target-ID": str(one.app.id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature-256": signature(one.app.webhook_secret, body),
    }


class Webhooks:
    """Sends events to the apps that are installed where they happened and have subscribed to them."""

    def __init__(self, state: State, check: Callable[[Delivery], None] | None = None):
        self._state, self._check = state, check
        self.deliveries: dict[int, Delivery] = {}
        self.outbox = Outbox(self._send)

    def tell(
        self,
        event: str,
        action: str | None = None,
        *,
        sender: Account,
        repository: Repository | None = None,
        to: Installation | None = None,
        app: App | None = None,
        **more: Any,
    ) -> None:
        """Queue an event: about a repository, `to` one installation, or (a ping) to an `app` as such. Called under the lock."""
        payload: JSON = {} if action is None else {"action": action}
        payload |= {**more, "sender": user(self._state, sender)}
        if repository is not None:
            payload["repository"] = repository_shape(self._state, repository)
            if repository.owner.type is AccountType.ORGANIZATION:
                payload["organization"] = organization(self._state, repository.owner)
        for found in self._listeners(event, repository, to):
            addressed = {**payload, "installation": payload.get("installation") or _reference(found)}
            self._queue_one(found.app, event, action, addressed, found, repository)
        if app is not None:
            self._queue_one(app, event, action, payload, None, None)

    def ping(self, app: App, sender: Account) -> None:
        """What a new app's webhook hears first."""
        hook = {
            "type": "App",
            "id": app.id,
            "name": "web",
            "active": True,
            "app_id": app.id,
            "events": app.events,
            "config": {"content_type": "json", "insecure_ssl": "0", "url": app.webhook_url, "secret": "********"},
            "created_at": when(self._state.now()),
            "updated_at": when(self._state.now()),
            "deliveries_url": f"{self._state.api_url}/app/hook/deliveries",
        }
        self.tell("ping", sender=sender, app=app, hook_id=app.id, hook=hook, zen="Keep it logically awesome.")

    def _listeners(self, event: str, repository: Repository | None, to: Installation | None) -> list[Installation]:
        if to is not None:
            return [to]
        wanting = [i for i in self._state.installations.values() if event in i.events and i.suspended_at is None]
        return [i for i in wanting if repository is not None and i.covers(repository)]

    def _queue_one(
        self, app: App, event: str, action: str | None, payload: JSON, to: Installation | None, repository: Repository | None
    ) -> None:
        if event not in ALWAYS_SENT and event not in app.events:
            return
        made = Delivery(
            self._state.new_id(), str(uuid.uuid4()), app, event, action, payload, app.webhook_url,
            to.id if to else None, repository.id if repository else None, self._state.now(),
        )  # fmt: skip
        if self._check is not None:
            self._check(made)
        if app.webhook_url:
            self.deliveries[made.id] = made
            self.outbox.put(made.id)

    def redeliver(self, app: App, delivery_id: int) -> Delivery:
        """Queue it again, to where the app's webhooks go now."""
        before = self.find(app, delivery_id)
        made = replace(
            before, id=self._state.new_id(), redelivery=True, delivered_at=self._state.now(), url=app.webhook_url,
            status="pending", status_code=0,
        )  # fmt: skip
        self.deliveries[made.id] = made
        self.outbox.put(made.id)
        return made

    def find(self, app: App, delivery_id: int) -> Delivery:
        found = self.deliveries.get(delivery_id)
        if found is None or found.app is not app:
            raise not_found()
        return found

    def _send(self, number: int) -> None:
        one = self.deliveries[number]
        body = json.dumps(one.payload).encode()
        headers = headers_of(one, body)
        answer = self.outbox.post(one.url, body, headers)
        said = "OK" if answer.ok else f"Invalid HTTP Response: {answer.status_code}"
        self.deliveries[number] = replace(
            one,
            status=answer.problem or said,
            status_code=answer.status_code,
            duration=answer.duration,
            request_headers=headers,
            response_headers=answer.headers,
            response_body=answer.body,
        )


def _reference(found: Installation) -> JSON:
    return {"id": found.id, "node_id": f"MDIz{found.id}"}
