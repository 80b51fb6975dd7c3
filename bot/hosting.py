"""Hosts, built for an org: with its credential, and under the governor that all processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.campaigns.redelivery import Deliverer
from bot.campaigns.upkeep import Keeper
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, UsageError
from bot.hosts.governor import GITLAB_LIMITS, HostGovernor
from bot.hosts.local import LocalHost
from bot.ports import Clock
from bot.queue.connection import connect_briefly
from bot.queue.server import running_server
from bot.store.database import Database

if TYPE_CHECKING:
    from redis import Redis

    # PyGithub and python-gitlab take their time: they are imported where they are used.
    from bot.hosts.github import GitHubHost
    from bot.hosts.gitlab import GitLabHost
    from bot.hosts.gitlab_credentials import GitLabAccess
    from bot.hosts.gitlab_upkeep import GitLabKeeper

    AnyHost = LocalHost | GitHubHost | GitLabHost


def github_instances(orgs: Iterable[OrgPolicy]) -> list[str]:
    """The URLs of the GitHub instances that the orgs are on."""
    return sorted({org.host_url for org in orgs if org.host_kind == "github"})


def local_host(org: OrgPolicy) -> LocalHost:
    """Raises UsageError for an org that is elsewhere."""
    if org.host_kind != "local":
        raise UsageError(f"{org.org} is on {org.host_url}, not on a local host")
    return LocalHost(Path(org.host.removeprefix("local:")).absolute())


def github_deliveries(home: Path, url: str) -> Deliverer | None:
    """The App's deliveries on a GitHub instance; None as long as the bot is no App there. Raises ConfigurationError."""
    from bot.hosts.github_credentials import GitHubApp, load
    from bot.hosts.github_deliveries import GitHubDeliveries
    from bot.hosts.github_transport import Endpoints, Transport

    app = load(home, url, os.environ)
    return GitHubDeliveries(app, Transport(Endpoints(url))) if isinstance(app, GitHubApp) else None


@dataclass(frozen=True, slots=True)
class Hosting:
    """Builds hosts of one home: each time a new one, to be kept where it is used for long, since it holds connections."""

    home: Path
    redis_url: str | None
    database: Database
    clock: Clock

    def host(self, org: OrgPolicy) -> AnyHost:
        """Raises ConfigurationError without a credential."""
        match org.host_kind:
            case "github":
                return self._github(org)
            case "gitlab":
                return self._gitlab(org)
            case _:
                return local_host(org)

    def gitlab_keeper(self, org: OrgPolicy) -> Keeper | None:
        """Of the bot's standing for a group; None as long as there is no token for it. Raises ConfigurationError."""
        return self._keeper(org)

    def gitlab_deliveries(self, org: OrgPolicy) -> Deliverer | None:
        """What a group's webhooks could not deliver; None as long as it has none. Raises ConfigurationError."""
        keeper = self._keeper(org)
        return keeper.deliveries() if keeper else None

    def _keeper(self, org: OrgPolicy) -> GitLabKeeper | None:
        from bot.hosts.gitlab_transport import Client
        from bot.hosts.gitlab_upkeep import GitLabKeeper

        access = self._access(org)
        if access is None:
            return None
        client = Client(org.host_url, access.token, self._gitlab_governor(org, access), self.clock.now)
        return GitLabKeeper(client, access, org.org, self.clock.now)

    def _github(self, org: OrgPolicy) -> GitHubHost:
        from bot.hosts.github import github_host
        from bot.hosts.github_credentials import load

        credential = load(self.home, org.host_url, os.environ)
        if credential is None:
            mend = "whimbrel setup github makes an App; or set WHIMBREL_GITHUB_TOKEN"
            raise ConfigurationError(f"there is no credential for {org.host_url}", mend=mend)
        governor = HostGovernor(self._redis(), self.database, self.clock, f"{org.host_url}/{org.org}")
        return github_host(org.host_url, credential, org.org, governor=governor, now=self.clock.now)

    def _gitlab(self, org: OrgPolicy) -> GitLabHost:
        from bot.hosts.gitlab import gitlab_host

        access = self._access(org)
        if access is None:
            mend = f"whimbrel setup gitlab --group {org.org}; or set WHIMBREL_GITLAB_TOKEN"
            raise ConfigurationError(f"there is no credential for {org.host_url}/{org.org}", mend=mend)
        governor = self._gitlab_governor(org, access)
        return gitlab_host(org.host_url, access, governor=governor, now=self.clock.now, sleep=self.clock.sleep)

    def _access(self, org: OrgPolicy) -> GitLabAccess | None:
        from bot.hosts.gitlab_credentials import load

        return load(self.home, org.host_url, org.org, os.environ)

    def _gitlab_governor(self, org: OrgPolicy, access: GitLabAccess) -> HostGovernor:
        """GitLab bounds what an account may ask: orgs whose token is the same one count together."""
        return HostGovernor(self._redis(), self.database, self.clock, f"{org.host_url}/{access.group}", GITLAB_LIMITS)

    def _redis(self) -> Redis | None:
        url = running_server(self.home, self.redis_url)
        return connect_briefly(url) if url else None
