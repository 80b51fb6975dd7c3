"""GitHub and GitHub Enterprise Server as a host: what the ports ask, in terms of its API. SDK objects stay inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from github import Auth

from bot.domain.changesets import Changeset
from bot.domain.pull_requests import CheckReport, CommentRef, PullRequest, PullRequestRef, PullRequestText, Reaction, Thread
from bot.domain.repositories import Remote, Repository
from bot.errors import NotFound
from bot.hosts import (
    github_commits,
    github_conversation,
    github_following,
    github_forks,
    github_pull_requests,
    github_reading,
    github_teams,
)
from bot.hosts.batches import read_one
from bot.hosts.git_remotes import http_remote
from bot.hosts.github_app import (
    CHECK,
    DISCUSS,
    FETCH,
    MERGE,
    PUSH,
    PUSH_WORKFLOWS,
    Access,
    AppAccess,
    Permissions,
    TokenAccess,
)
from bot.hosts.github_credentials import GitHubApp, Token
from bot.hosts.github_transport import Client, Endpoints, Transport
from bot.hosts.http_transport import Governor, Now
from bot.hosts.remembered import Remembered
from bot.ports import HostCommit

WORKFLOWS = ".github/workflows/"


class GitHubHost:
    """One org of an instance, to be kept as long as there is work on it: it holds connections, tokens and known answers.

    What is read is asked with a token for all repositories that the bot sees; each change with one for that repository and that
    purpose alone.
    """

    def __init__(self, access: Access, transport: Transport, org: str, now: Now):
        self._access, self._transport, self._org = access, transport, org
        self._teams = Remembered(now)

    def repositories(self, org: str) -> Iterator[Repository]:
        """Ordered by name, without regard to case; those alone that an owner has chosen, where that is so."""
        if self._access.is_selected():
            return github_reading.chosen_repositories(self._looking(), org)
        return github_reading.all_repositories(self._looking(), org)

    def repository(self, org: str, name: str) -> Repository:
        if self._access.is_selected():
            found = next((each for each in self.repositories(org) if each.name == name), None)
        else:
            found = github_reading.find_repository(self._looking(), org, name)
        if found is None:
            raise NotFound(f"there is no repository {org}/{name}, or the bot may not see it")
        return found

    def properties(self, org: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """The organization's custom properties. Raises HostError where the bot may not read them."""
        return github_reading.properties(self._looking(), org)

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        return read_one(self, repository, paths)

    def read_many(self, repositories: Sequence[Repository], paths: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        return github_reading.read_many(self._looking(), repositories, list(paths))

    def list_paths(self, repository: Repository) -> Sequence[str]:
        return github_reading.list_paths(self._looking(), repository)

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:
        token = self._access.repository_token(repository, self._to_push(repository, pushing) if pushing else FETCH)
        return http_remote(self._transport.endpoints.web, repository.full_name, user="x-access-token", token=token)

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        return github_pull_requests.of_branch(self._looking(), repository, branch)

    def pull_requests_to(self, repository: Repository, base: str) -> Sequence[PullRequest]:
        return github_pull_requests.open_to(self._looking(), repository, base)

    def open_pull_request(self, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
        """Raises HostError where there is nothing to review, or the repository is archived."""
        client = self._changing(repository, MERGE if text.auto_merge else DISCUSS)
        return github_pull_requests.ensure(client, repository, branch=branch, base=base, text=text)

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
        client = self._changing(repository, MERGE if text.auto_merge else DISCUSS)
        return github_pull_requests.update(client, repository, number, text)

    def close_pull_request(self, repository: Repository, number: int) -> None:
        github_pull_requests.close(self._changing(repository), repository, number)

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        """In requests for fifty of them."""
        return github_following.now(self._looking(), org, refs)

    def merge_pull_request(self, repository: Repository, number: int, *, head: str) -> None:
        github_following.merge(self._changing(repository, MERGE), repository, number, head=head)

    def mark_ready(self, repository: Repository, number: int) -> None:
        github_following.mark_ready(self._changing(repository), repository, number)

    def reopen_pull_request(self, repository: Repository, number: int) -> None:
        github_following.reopen(self._changing(repository), repository, number)

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        client = self._changing(repository)
        github_conversation.comment(client, repository, number, body, marker=marker, own_login=self.own_login)

    def tell(self, repository: Repository, thread: Thread, body: str, *, marker: str) -> None:
        client = self._changing(repository)
        github_conversation.tell(client, repository, thread.number, body, marker=marker, own_login=self.own_login)

    def open_issue(self, repository: Repository, title: str, body: str, *, marker: str, since: datetime) -> int:
        client = self._changing(repository)
        return github_conversation.open_issue(
            client, repository, title, body, marker=marker, since=since, own_login=self.own_login
        )

    def write_issue(self, repository: Repository, number: int, body: str, *, closing: bool) -> None:
        github_conversation.write_issue(self._changing(repository), repository, number, body, closing=closing)

    def react(self, repository: Repository, comment: CommentRef, reaction: Reaction) -> None:
        github_conversation.react(self._changing(repository), repository, comment, reaction)

    def report_check(self, repository: Repository, commit: str, report: CheckReport) -> None:
        client, app_id = self._changing(repository, CHECK), self._access.app_id
        if app_id is None:
            github_conversation.report_status(client, repository, commit, report)
        else:
            github_conversation.report_check(client, repository, commit, report, app_id=app_id)

    @property
    def own_login(self) -> str:
        return self._access.own_login

    def permission(self, org: str, user: str) -> str:
        return github_conversation.permission(self._looking(), org, user)

    def is_in_team(self, org: str, team: str, user: str) -> bool:
        return self._teams.get(lambda: github_teams.is_in_team(self._looking(), org, team, user), org, team, user)

    def permission_on(self, repository: Repository, user: str) -> str:
        return github_conversation.permission_on(self._looking(), repository, user)

    def why_not(self, changeset: Changeset) -> str:
        return github_commits.why_not(changeset)

    def commit(
        self, repository: Repository, changeset: Changeset, *, branch: str, message: str
    ) -> AbstractContextManager[HostCommit]:
        client = self._changing(repository, self._to_push(repository, changeset.paths))
        return github_commits.staged(client, repository, changeset, branch=branch, message=message)

    def may_push(self, repository: Repository) -> bool:
        return self._access.may_push(repository)

    def fork_owner(self) -> str:
        return self._access.fork_owner()

    def find_fork(self, repository: Repository, owner: str) -> Repository | None:
        return github_forks.find(self._forking(owner), repository, owner)

    def make_fork(self, repository: Repository, owner: str) -> Repository:
        """For an App, one installed there too, which may administer repositories there."""
        return github_forks.ensure(self._forking(owner), repository, owner, own=owner == self._access.fork_owner())

    def _to_push(self, repository: Repository, paths: Iterable[str]) -> Permissions:
        """GitHub lets nobody push a workflow who may not say so; who pushes none needs no such power.

        Into a fork, which is older, go all workflows that its repository has changed since.
        """
        workflows = any(path.startswith(WORKFLOWS) for path in paths) or repository.org != self._org
        return PUSH_WORKFLOWS if workflows else PUSH

    def _forking(self, owner: str) -> Client:
        return self._transport.client(Auth.Token(self._access.fork_token(owner)))

    def _looking(self) -> Client:
        return self._transport.client(Auth.Token(self._access.org_token()))

    def _changing(self, repository: Repository, permissions: Permissions = DISCUSS) -> Client:
        return self._transport.client(Auth.Token(self._access.repository_token(repository, permissions)))


def github_host(
    url: str,
    credential: GitHubApp | Token,
    org: str,
    *,
    governor: Governor | None = None,
    now: Now = lambda: datetime.now(UTC),
) -> GitHubHost:
    """The host of one org of the instance at `url`. Raises ConfigurationError for an App's key that cannot be used."""
    transport = Transport(Endpoints(url), governor, now)
    if isinstance(credential, Token):
        return GitHubHost(TokenAccess(credential, transport), transport, org, now)
    return GitHubHost(AppAccess(credential, transport, org, now), transport, org, now)
