"""gitlab.com and self-managed GitLab as a host: what the ports ask, in terms of its API. SDK objects stay inside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from bot.domain.pull_requests import CheckReport, CommentRef, PullRequest, PullRequestRef, PullRequestText, Reaction, Thread
from bot.domain.repositories import Remote, Repository
from bot.errors import NotFound
from bot.hosts import (
    gitlab_conversation,
    gitlab_following,
    gitlab_forks,
    gitlab_merge_requests,
    gitlab_people,
    gitlab_reading,
)
from bot.hosts.batches import read_one
from bot.hosts.git_remotes import http_remote
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.gitlab_merge_requests import Sleep
from bot.hosts.gitlab_transport import Client, full_path, project_url
from bot.hosts.http_transport import Governor, Now
from bot.hosts.remembered import Remembered


class GitLabHost:
    """One group of an instance, to be kept as long as there is work on it: it holds connections.

    Its one token may do what the token's account may: GitLab can mint none for one project that lives for minutes.
    """

    def __init__(self, client: Client, token: str, now: Now, sleep: Sleep):
        self._client, self._token, self._sleep = client, token, sleep
        self._login, self._teams = "", Remembered(now)

    def repositories(self, org: str) -> Iterator[Repository]:
        return iter(gitlab_reading.all_repositories(self._client, org))

    def repository(self, org: str, name: str) -> Repository:
        found = gitlab_reading.find_repository(self._client, org, name)
        if found is None:
            raise NotFound(f"there is no repository {org}/{name}, or the bot may not see it")
        return found

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        return read_one(self, repository, paths)

    def read_many(self, repositories: Sequence[Repository], paths: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        return gitlab_reading.read_many(self._client, repositories, list(paths))

    def list_paths(self, repository: Repository) -> Sequence[str]:
        return gitlab_reading.list_paths(self._client, repository)

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:  # noqa: ARG002 - one token does both
        self._client.read(project_url(repository))
        return http_remote(self._client.url, full_path(repository), user="oauth2", token=self._token)

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        return gitlab_merge_requests.of_branch(self._client, repository, branch)

    def pull_requests_to(self, repository: Repository, base: str) -> Sequence[PullRequest]:
        return gitlab_merge_requests.open_to(self._client, repository, base)

    def open_pull_request(self, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
        """Raises HostError where there is nothing to review, or the repository is archived."""
        return gitlab_merge_requests.ensure(self._client, repository, branch=branch, base=base, text=text, sleep=self._sleep)

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
        return gitlab_merge_requests.update(self._client, repository, number, text, self._sleep)

    def close_pull_request(self, repository: Repository, number: int) -> None:
        gitlab_merge_requests.close(self._client, repository, number)

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        return gitlab_following.now(self._client, org, refs)

    def merge_pull_request(self, repository: Repository, number: int, *, head: str) -> None:
        gitlab_following.merge(self._client, repository, number, head=head)

    def mark_ready(self, repository: Repository, number: int) -> None:
        gitlab_following.mark_ready(self._client, repository, number)

    def reopen_pull_request(self, repository: Repository, number: int) -> None:
        gitlab_following.reopen(self._client, repository, number)

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        thread = Thread(number, "pull_request")
        gitlab_conversation.comment(self._client, repository, thread, body, marker=marker, own_login=self.own_login)

    def tell(self, repository: Repository, thread: Thread, body: str, *, marker: str) -> None:
        gitlab_conversation.tell(self._client, repository, thread, body, marker=marker, own_login=self.own_login)

    def open_issue(self, repository: Repository, title: str, body: str, *, marker: str, since: datetime) -> int:
        return gitlab_conversation.open_issue(
            self._client, repository, title, body, marker=marker, since=since, own_login=self.own_login
        )

    def write_issue(self, repository: Repository, number: int, body: str, *, closing: bool) -> None:
        gitlab_conversation.write_issue(self._client, repository, number, body, closing=closing)

    def react(self, repository: Repository, comment: CommentRef, reaction: Reaction) -> None:
        gitlab_conversation.react(self._client, repository, comment, reaction, own_login=self.own_login)

    def report_check(self, repository: Repository, commit: str, report: CheckReport) -> None:
        gitlab_conversation.report_status(self._client, repository, commit, report)

    @property
    def own_login(self) -> str:
        if not self._login:
            self._login = str(self._client.read("/user")["username"])
        return self._login

    def permission(self, org: str, user: str) -> str:
        return gitlab_people.permission(self._client, org, user)

    def permission_on(self, repository: Repository, user: str) -> str:
        return gitlab_people.permission_on(self._client, repository, user)

    def is_in_team(self, org: str, team: str, user: str) -> bool:
        """A team is a group below the org's, or beside it."""
        return self._teams.get(lambda: gitlab_people.is_in_team(self._client, org, team, user), org, team, user)

    def may_push(self, repository: Repository) -> bool:
        return gitlab_forks.may_push(self._client, repository)

    def fork_owner(self) -> str:
        return gitlab_forks.owner(self._client)

    def find_fork(self, repository: Repository, owner: str) -> Repository | None:
        return gitlab_forks.find(self._client, repository, owner)

    def make_fork(self, repository: Repository, owner: str) -> Repository:
        return gitlab_forks.ensure(self._client, repository, owner)


def gitlab_host(
    url: str,
    access: GitLabAccess,
    *,
    governor: Governor | None = None,
    now: Now = lambda: datetime.now(UTC),
    sleep: Sleep = time.sleep,
) -> GitLabHost:
    """The host of a group of the instance at `url`."""
    return GitLabHost(Client(url, access.token, governor, now), access.token, now, sleep)
