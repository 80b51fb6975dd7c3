"""The operator's word on an org: policies/orgs/NAME.yaml. Nothing in a repository of the org can change it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from bot.domain.guards.policy import GuardName
from bot.domain.money import MicroUsd, micro_usd
from bot.domain.policy_types import Name, RelativePath, Strict, Text, Usd, unique
from bot.domain.registries import DEFAULTS, Registries

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Quota(Strict):
    usd_per_month: Usd
    """What the org may spend in a calendar month of its time zone."""
    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of an allowance (month, campaign, attempt) from which `quota`, the audit trail and the timeline warn."""
    tokens_per_hour: Annotated[int, Field(ge=1)] | None = None
    """How many tokens (input, cache and output together) may pass the gateway in an hour; more wait."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """How many requests may go to the model in a minute; more wait."""
    concurrent_runs: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many runs of the org may be dispatched or running at once."""

    @property
    def month(self) -> MicroUsd:
        """The month's allowance in micro-USD."""
        return micro_usd(self.usd_per_month)


class Ceilings(Strict):
    """What no campaign policy may exceed."""

    usd_per_attempt: Usd = Decimal("10")
    attempts_per_run: Annotated[int, Field(ge=1, le=20)] = 3
    """How many sessions a run may have whose agent ends without a result. What passes by itself (the host or the API out of
    reach, a lost worker) costs none of them; what would only happen again (a failing command, a limit) is not tried again."""
    failures_in_a_row: Annotated[int, Field(ge=1)] = 3
    """So many failed runs of a policy on a target, one after the other, and it is left alone until its base or the policy has
    changed, or somebody retries it. One that lost its worker too often is left alone at once."""
    open_pull_requests: Annotated[int, Field(ge=1)] = 50
    pull_requests_per_hour: Annotated[int, Field(ge=1)] = 30
    guards: Annotated[list[GuardName], AfterValidator(unique)] = []
    """These guards block in every campaign: no policy may turn them off, or have them warn."""


class BreakerPolicy(Strict):
    """When requests to the model pause for all workers of the org: what counts is a 429, a 5xx, a broken connection."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """So many in a row open the circuit."""
    reset_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    """After so long, a single request tries whether the API is back."""


class MayTrigger(Strict):
    """Who may start a campaign: everybody whose permission on the org is at least this, those named, and who is in a team."""

    permission: Literal["read", "write", "admin"] = "write"
    users: list[str] = []
    teams: Annotated[list[Text], AfterValidator(unique)] = []
    """Of the org, by the name in their address (GitHub's slug, a GitLab group's path): the host is asked who is in them."""


def server_url(value: str) -> str:
    """Tokens go there: nothing but https will do, except to this very machine."""
    url = urlsplit(value)
    plain = url.path in ("", "/") and not (url.query or url.fragment or url.username or url.password)
    encrypted = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if not url.hostname or not plain or not encrypted:
        raise ValueError(f"{value!r} is no server's URL: it is https://NAME, with no user, path or query")
    return f"{url.scheme}://{url.netloc}".lower()


class PoliciesFrom(Strict):
    """The org's own repository of campaign policies and templates. Nothing else is taken from there."""

    repository: Text
    """ORG/NAME."""
    path: RelativePath = "whimbrel"
    """The folder with campaigns/ and templates/ in it; `.` is the repository's root."""
    ref: Text | None = None
    """The branch; without it, the default branch. Only of a default branch does a webhook tell at once."""

    @property
    def folder(self) -> str:
        """`path`, empty for the root, without a slash at the end."""
        return "" if self.path == "." else self.path.rstrip("/")


class Control(Strict):
    """An issue for each campaign, where people see how it goes and direct it by ticking boxes."""

    repository: Text
    """ORG/NAME, a repository of the org's own. Names of other repositories are told there unless it is public."""


class OrgPolicy(Strict):
    org: str
    """As the host names it. On GitLab a group with all groups below it, perhaps in another one itself: `acme/platform`, whose
    policy is policies/orgs/acme/platform.yaml."""
    host: str
    """`local:FOLDER`: a folder of org folders of bare repositories, where a relative one is relative to the working directory.
    `github`: github.com. `github:URL`: a GitHub Enterprise Server, such as github:https://github.example.com.
    `gitlab`: gitlab.com. `gitlab:URL`: a GitLab of one's own, such as gitlab:https://gitlab.example.com."""
    timezone: str = "UTC"
    quota: Quota
    ceilings: Ceilings = Ceilings()
    breaker: BreakerPolicy = BreakerPolicy()
    may_trigger: MayTrigger = MayTrigger()
    campaigns: Annotated[list[Name], AfterValidator(unique)] = []
    """The campaign policies that may run on this org, wherever they come from."""
    policies_from: PoliciesFrom | None = None
    """A repository of the org's own with campaign policies and templates, besides those on the operator's disk."""
    control: Control | None = None
    """Where each campaign has an issue of its own, on GitHub and GitLab."""
    registries: Registries = DEFAULTS
    """Package registries that `prepare:` may read from, by GET and HEAD: a URL, or a `url` with the `hosts` where else its
    files lie. pip and uv use the one named pypi, npm the one named npm. Those that are named take the place of all defaults."""
    forks: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$")] | None = None
    """Another org or account of the same host, where the forks go from which a campaign with `fork: true` proposes what the
    bot may not push. Without it, the account of a plain token."""

    @model_validator(mode="after")
    def _forks_elsewhere(self) -> OrgPolicy:
        if self.forks is not None and self.forks.casefold() == self.org.casefold():
            raise ValueError(f"`forks: {self.forks}` is the org itself: forks need another place, where the bot may push")
        return self

    @model_validator(mode="after")
    def _teams_of_a_host(self) -> OrgPolicy:
        if self.may_trigger.teams and self.host_kind == "local":
            raise ValueError("a folder of repositories has no teams: name people in `may_trigger: {users: [...]}`")
        return self

    @model_validator(mode="after")
    def _policies_of_its_own(self) -> OrgPolicy:
        if self.policies_from is not None and not self.policies_repository:
            raise ValueError(f"`policies_from.repository` is {self.org}/NAME: the org's own, and no other's")
        return self

    @model_validator(mode="after")
    def _control_of_its_own(self) -> OrgPolicy:
        if self.control is not None and self.host_kind == "local":
            raise ValueError("a folder of repositories has no issues: `control` is for GitHub and GitLab")
        if self.control is not None and not self.control_repository:
            raise ValueError(f"`control.repository` is {self.org}/NAME: the org's own, and no other's")
        return self

    @property
    def control_repository(self) -> str:
        """The name below the org of the repository with the control issues; empty without one, and for another org's."""
        return self._below(self.control.repository if self.control else "")

    @property
    def policies_repository(self) -> str:
        """The name below the org of the repository that policies come from; empty without one, and for another org's."""
        return self._below(self.policies_from.repository if self.policies_from else "")

    def _below(self, asked: str) -> str:
        org, name = asked[: len(self.org)], asked[len(self.org) :]
        return name.removeprefix("/") if org.casefold() == self.org.casefold() and name.startswith("/") else ""

    @property
    def host_kind(self) -> str:
        """local, github or gitlab."""
        return self.host.partition(":")[0]

    @property
    def host_url(self) -> str:
        """Where the host's own pages are, without a slash at the end; empty for a local one."""
        if self.host_kind == "local":
            return ""
        return self.host.partition(":")[2] or f"https://{self.host_kind}.com"

    def reference(self, number: int, kind: str = "pull_request") -> str:
        """How people write the number of a pull request, or an issue. GitLab counts them apart."""
        return f"{'!' if self.host_kind == 'gitlab' and kind == 'pull_request' else '#'}{number}"

    @property
    def network_name(self) -> str:
        """The host's, as `bot.domain.events` has it: `local`, github.com, or that of a server of one's own."""
        place = self.host.partition(":")[2]
        if self.host_kind == "local":
            return self.host_kind
        own = urlsplit(place if "//" in place else f"//{place}").hostname
        return own or f"{self.host_kind}.com"

    @field_validator("org")
    @classmethod
    def _folders(cls, value: str) -> str:
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", part) for part in value.split("/")):
            raise ValueError(f"{value!r} is no org: letters, digits, `.`, `_` and `-`, and the first is a letter or digit")
        return value

    @model_validator(mode="after")
    def _nested_where_groups_are(self) -> OrgPolicy:
        if "/" in self.org and self.host_kind != "gitlab":
            raise ValueError(f"{self.org!r} is no org: only GitLab has groups in groups")
        return self

    @field_validator("host")
    @classmethod
    def _known_host(cls, value: str) -> str:
        kind, _, place = value.partition(":")
        if value in ("github", "gitlab") or (kind == "local" and place):
            return value
        if kind in ("github", "gitlab") and place:
            return f"{kind}:{server_url(place)}"
        raise ValueError(
            f"{value!r} is no host: it is `local:FOLDER`, `github`, `gitlab`, `github:https://SERVER` or `gitlab:https://SERVER`"
        )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone of the IANA database, such as Europe/Berlin") from error
        return value
