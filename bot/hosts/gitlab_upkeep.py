"""The bot's standing for a group of GitLab: its webhooks, its token, and what GitLab could not deliver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel

from bot.domain.events import DeliveryAttempt
from bot.domain.hooks import HookChange, TokenState
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.gitlab_hooks import GroupHooks, Hook, NotAllowed
from bot.hosts.gitlab_setup import account
from bot.hosts.gitlab_transport import Client
from bot.hosts.payloads import answer_of


class GitLabKeeper:
    """`campaigns.upkeep.Keeper`. Without a URL and a secret for its webhooks there are none to be kept."""

    def __init__(self, client: Client, access: GitLabAccess, org: str, now: Callable[[], datetime]):
        self.org, self.name = org, f"{urlsplit(client.url).netloc} {org}"
        self._client, self._access, self._now = client, access, now

    def hooks(self) -> Iterator[HookChange]:
        """None where the account may not look after webhooks: whoever has set them up, does."""
        if self._has_hooks:
            with suppress(NotAllowed):
                yield from self._own_hooks().keep(self._access.webhook_secrets[0])

    def deliveries(self) -> GitLabDeliveries | None:
        """None without webhooks."""
        return GitLabDeliveries(self._client, self._own_hooks(), self.name) if self._has_hooks else None

    def token(self) -> TokenState:
        return account(self._client, self._now()).state

    @property
    def _has_hooks(self) -> bool:
        return bool(self._access.webhook_url and self._access.webhook_secrets)

    def _own_hooks(self) -> GroupHooks:
        """Of the group that the token is set up for, which may be above the org's."""
        return GroupHooks(self._client, self._access.group or self.org, self._access.webhook_url)


class _Event(BaseModel):
    """A try to deliver. Not every GitLab tells when; `response_status` is a text, and no number where nothing answered."""

    id: int
    request_headers: dict[str, str] = {}
    response_status: str | None = None
    created_at: AwareDatetime | None = None


class GitLabDeliveries:
    """`campaigns.redelivery.Deliverer`: what a webhook sent is kept by GitLab for seven days, and sent again on demand."""

    def __init__(self, client: Client, hooks: GroupHooks, name: str):
        self.name = name
        self._client, self._hooks = client, hooks
        self._paths: dict[int, str] = {}

    def attempts(self, since: datetime) -> list[DeliveryAttempt]:
        """Every try since then, hook by hook, the newest first; none where the account may not look after webhooks."""
        try:
            return [attempt for _, hook in self._hooks.find() if hook for attempt in self._of_hook(hook, since)]
        except NotAllowed:
            return []

    def redeliver(self, attempt: DeliveryAttempt) -> None:
        """Have it delivered once more, under the id that it had. A hook that is disabled delivers nothing."""
        self._client.create(f"{self._paths[attempt.id]}/resend")

    def _of_hook(self, hook: Hook, since: datetime) -> Iterator[DeliveryAttempt]:
        for each in self._client.pages(f"{hook.path}/events", per_page=20):
            told = answer_of(_Event, each, "GitLab")
            headers = {name.lower(): value for name, value in told.request_headers.items()}
            # Without its time or its id, nobody can say of one whether it has come.
            at, delivery = told.created_at or _signed_at(headers), headers.get("webhook-id") or headers.get("idempotency-key")
            if at is None or at < since:
                break
            if delivery:
                self._paths[told.id] = f"{hook.path}/events/{told.id}"
                yield DeliveryAttempt(told.id, delivery, at, (told.response_status or "").startswith("2"))


def _signed_at(headers: Mapping[str, str]) -> datetime | None:
    written = headers.get("webhook-timestamp", "")
    return datetime.fromtimestamp(int(written), UTC) if written.isascii() and written.isdigit() else None
