"""What GitHub tried to deliver to the App, and its button to deliver once more. GitHub itself never tries twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from github import Auth
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError
from requests.utils import parse_header_links

from bot.domain.events import DeliveryAttempt
from bot.errors import HostError
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.github_transport import Transport

PATH = "/app/hook/deliveries"


class _Attempt(BaseModel):
    id: int
    guid: str
    delivered_at: AwareDatetime
    status_code: int


_PAGE = TypeAdapter(list[_Attempt])


class GitHubDeliveries:
    """Those of one App on one instance; `name` says which. Every method raises HostError or HostUnavailable."""

    def __init__(self, app: GitHubApp, transport: Transport):
        self.name = f"{transport.endpoints.name} {app.app_id}"
        self._client = transport.client(Auth.AppAuth(app.app_id, app.private_key))

    def attempts(self, since: datetime) -> list[DeliveryAttempt]:
        """Every try since then, the newest first. GitHub remembers them for three days."""
        found = []
        for attempt in self._newest_first():
            if attempt.at < since:
                break
            found.append(attempt)
        return found

    def redeliver(self, attempt: DeliveryAttempt) -> None:
        """Have it delivered once more, under the id that it had."""
        self._client.requestJsonAndCheck("POST", f"{PATH}/{attempt.id}/attempts")

    def _newest_first(self) -> Iterator[DeliveryAttempt]:
        parameters: dict[str, object] | None = {"per_page": 100}
        while parameters is not None:
            headers, page = self._client.requestJsonAndCheck("GET", PATH, parameters)
            try:
                attempts = _PAGE.validate_python(page)
            except ValidationError as error:
                raise HostError(f"GitHub's list of deliveries is not as documented: {error.errors()[0]['loc']}") from error
            for each in attempts:
                yield DeliveryAttempt(each.id, each.guid, each.delivered_at, 200 <= each.status_code < 300)
            parameters = _next_page(headers.get("link", ""))


def _next_page(link: str) -> dict[str, object] | None:
    """The query of the next page, which is where its cursor is; None at the end."""
    following = [found["url"] for found in parse_header_links(link) if found.get("rel") == "next"]
    return {name: values[0] for name, values in parse_qs(urlsplit(following[0]).query).items()} if following else None
