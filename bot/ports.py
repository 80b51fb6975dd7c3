"""What the use-cases ask of the outside: Protocols, each with at least two implementations (or one and its fake).

Objects of an SDK never pass through here: hosts translate them to the values of `bot.domain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bot.domain.changesets import Changeset
from bot.domain.judging import Case, Opinion
from bot.domain.money import MicroUsd
from bot.domain.policies import Limits
from bot.domain.pull_requests import CheckReport, CommentRef, PullRequest, PullRequestRef, PullRequestText, Reaction, Thread
from bot.domain.registries import Registry
from bot.domain.repositories import Remote, Repository
from bot.domain.steps import Step
from bot.domain.usage import Usage
from bot.errors import QuotaRefused


class Clock(Protocol):
    """Time, injected: `now` is timezone-aware UTC, `monotonic` and `sleep` are in seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Host(Protocol):
    """A GitHub or GitLab instance, or a local directory of bare repositories.

    Every method raises HostUnavailable (retryable) when the host cannot be reached and NotFound for what is not there.
    """

    def repositories(self, org: str) -> Iterator[Repository]:
        """Every repository of the org, archived ones and forks too, ordered by name."""

    def repository(self, org: str, name: str) -> Repository:
        """The one of that very name, as the listing has it."""

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        """The content of those of `paths` that are regular files at the head of the default branch, by path."""

    def list_paths(self, repository: Repository) -> Sequence[str]:
        """Every file's path at the head of the default branch, sorted."""

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:
        """Where to fetch from and, with the paths that a push will change, push to: with a credential for a single git process.

        The credential can do no more than that.
        """

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        """Every pull request from `branch`, in any state, oldest first. One in a fork is `OWNER:BRANCH`, here and below."""

    def open_pull_request(self, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
        """Open one. If one from `branch` to `base` is open already, that one is returned as it is, unchanged."""

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest: ...

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        """Add a comment, unless one that holds the hidden `marker` is there already."""

    def permission(self, org: str, user: str) -> str:
        """What a person may do in the org: none, read, write or admin."""


class Conversation(Protocol):
    """A host whose people start the bot's work, and answer it, by labels and comments.

    Nothing here is done twice by a repetition. Raises HostError, HostUnavailable, NotFound.
    """

    @property
    def own_login(self) -> str:
        """The bot's own name there, such as `whimbrel[bot]`."""

    def permission_on(self, repository: Repository, user: str) -> str:
        """What a person may do in this repository: none, read, write or admin."""

    def react(self, repository: Repository, comment: CommentRef, reaction: Reaction) -> None: ...

    def tell(self, repository: Repository, thread: Thread, body: str, *, marker: str) -> None:
        """Make `body` the text of the bot's one comment that holds the hidden `marker`, added where it is missing."""

    def report_check(self, repository: Repository, commit: str, report: CheckReport) -> None:
        """Show a verdict on a commit, in the place of an earlier one with the same name."""

    def close_pull_request(self, repository: Repository, number: int) -> None: ...


@runtime_checkable
class KeepsIssues(Protocol):
    """A host where the bot may have issues of its own. Nothing here is done twice by a repetition."""

    def open_issue(self, repository: Repository, title: str, body: str, *, marker: str, since: datetime) -> int:
        """The number of the bot's own issue that holds the hidden `marker`, opened where there is none.

        It is looked for among those that were made or changed since then.
        """

    def write_issue(self, repository: Repository, number: int, body: str, *, closing: bool) -> None:
        """Make `body` the text of an issue of the bot's. It is never opened again."""


@runtime_checkable
class KnowsItself(Protocol):
    """A host where the bot has a name of its own."""

    @property
    def own_login(self) -> str: ...


@runtime_checkable
class FollowsPullRequests(Protocol):
    """A host that tells of many pull requests at once, by their numbers."""

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        """Each as it is now, with its newest comments and reviews.

        One that is not there (any more), or whose repository has another name now, is left out.
        """


@runtime_checkable
class ListsPullRequests(Protocol):
    """A host that tells which pull requests there are, whoever opened them."""

    def pull_requests_to(self, repository: Repository, base: str) -> Sequence[PullRequest]:
        """The open ones to `base` from branches of this very repository, the oldest first: none from a fork."""


@runtime_checkable
class DecidesPullRequests(Protocol):
    """A host where the bot may bring a pull request to its end. Nothing here is done twice by a repetition.

    Raises HostError, in the host's own words, where it refuses.
    """

    def merge_pull_request(self, repository: Repository, number: int, *, head: str) -> None:
        """In the way that the repository merges; refused where its branch is not at `head`, or its rules are not met."""

    def mark_ready(self, repository: Repository, number: int) -> None:
        """It is a draft no more."""

    def reopen_pull_request(self, repository: Repository, number: int) -> None: ...


@runtime_checkable
class ReadsInBulk(Protocol):
    """A host that reads the files of many repositories at once."""

    def read_many(self, repositories: Sequence[Repository], paths: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        """As `Host.read_files`, by repository name; one that is not there (any more) is left out."""


@runtime_checkable
class KnowsProperties(Protocol):
    """A host where an org gives its repositories properties of its own."""

    def properties(self, org: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """The values of each property that is set, by the repository's name."""


@runtime_checkable
class KnowsTeams(Protocol):
    """A host where an org has teams."""

    def is_in_team(self, org: str, team: str, user: str) -> bool:
        """Is the person in this team, or in one below it? As it was a minute ago at most. Raises NotFound without the team."""


@dataclass(frozen=True, slots=True)
class HostCommit:
    """A commit that a host made: its full id, and the branch that holds it until it is let go of."""

    id: str
    branch: str


@runtime_checkable
class VerifiedCommits(Protocol):
    """A host that makes a commit itself, and so shows it as verified."""

    def why_not(self, changeset: Changeset) -> str:
        """Why the host cannot make this commit (an executable, a link, too large), so that it is pushed instead; or ""."""

    def commit(
        self, repository: Repository, changeset: Changeset, *, branch: str, message: str
    ) -> AbstractContextManager[HostCommit]:
        """The change as a commit on its base, held by a branch of its own until the block ends.

        Fetch it there, record it, and move `branch` by a push: the host itself cannot compare and swap.
        """


@runtime_checkable
class Forks(Protocol):
    """A host where the bot may propose, from a fork, what it may not push to the repository itself.

    A fork is a repository as any other: `Host.remote` fetches from it and pushes to it. Raises HostError, HostUnavailable,
    NotFound, and ConfigurationError for what the operator must set up.
    """

    def may_push(self, repository: Repository) -> bool:
        """Has the bot the right to push there at all? Rules that protect some branches are not looked at."""

    def fork_owner(self) -> str:
        """Where forks go unless the operator says so: the token's own account; "" where there is none."""

    def find_fork(self, repository: Repository, owner: str) -> Repository | None:
        """The fork that `owner` has, None without one. What has its name and is no fork of it is a HostError."""

    def make_fork(self, repository: Repository, owner: str) -> Repository:
        """The fork of `owner`, made where there is none: HostUnavailable, with the time to wait, while that goes on."""


class SandboxEnd(StrEnum):
    """What ended a sandboxed command."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    IDLE = "idle"
    MEMORY = "memory"
    PROCESSES = "processes"
    DISK = "disk"
    OUTPUT = "output"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path made visible, read-only unless `writable`.

    Mounting what does not exist is a SandboxError, and so is a target below /workspace or /home/agent, where an earlier command
    could have planted a link for it.
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare:` has made for the sandboxes of an attempt: nothing, unless the policy asks for it. `key` says of what."""

    key: str = ""
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


NOTHING_PREPARED = Prepared()


@dataclass(frozen=True, slots=True)
class SandboxCommand:
    """One command in a sandbox of its own.

    `workspace` is /workspace (read-write, the working directory), `home` is /home/agent (read-write). The command gets
    `environment` besides PATH, HOME, LANG and TMPDIR, and nothing else of the caller's. `idle_seconds` bounds silence on
    stdout and stderr together. `limits.timeout_minutes` is the whole attempt's: this command's clock is `timeout_seconds`.
    """

    argv: Sequence[str]
    workspace: Path
    home: Path
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    stdin: bytes = b""
    timeout_seconds: float = 1200
    idle_seconds: float = 600


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """`exit_status` as a shell gives it (128 + signal). `tail` is the end of stderr, or of both where they are joined.

    `reason` is empty for SandboxEnd.EXIT; else it says which limit ended it, with the figure.
    """

    exit_status: int
    ended_by: SandboxEnd
    duration_ms: int
    peak_memory_kb: int
    tail: str
    reason: str = ""


class Sandbox(Protocol):
    """An isolation backend: no network, nothing of the host but /usr and what is mounted."""

    @property
    def user(self) -> int | None:
        """Whose commands' processes are (a uid), where that is another than the bot's: their folders must be that user's."""

    @property
    def toolchain(self) -> str:
        """A digest of what is installed where commands run: as long as it is the same, so are their results."""

    def run(
        self,
        command: SandboxCommand,
        *,
        on_line: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SandboxResult:
        """Run to the end; each line of stdout goes to `on_line` (without one, stdout joins the tail).

        Lines come without their newline, cut where they are overlong. `on_line` and `cancelled` are called in this thread, the
        latter several times a second. When it returns or raises, no process of the command is alive. Raises SandboxError where
        the sandbox cannot be started, DiskFull where the host has no room left for it.
        """


class Meter(Protocol):
    """The ledger of one attempt, as the gateway sees it. Every method is a committed transaction before it returns.

    Money fails closed: any error of `reserve` means that the request is not forwarded.
    """

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:
        """Hold the worst case on the org's month, the campaign and the attempt; return the reservation's id.

        Raises QuotaRefused where a cap would be passed, StoreError where the ledger cannot be written.
        """

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        """Turn a reservation into spend; `cost` is at most what was reserved, or is recorded as it is when it is more."""

    def release(self, reservation: int) -> None:
        """Give a reservation back: only for a request that provably never left."""


class GatewayHandle(Protocol):
    """The open gateway of one step: the only way from its sandbox to a model.

    `socket_dir` holds `api.sock` and nothing else; it is mounted read-only at /run/api. The other three are the gateway's own
    count of this step so far, and may be read from any thread while it is open and after.
    """

    @property
    def socket_dir(self) -> Path: ...
    @property
    def refusal(self) -> QuotaRefused | None:
        """The first request that was refused because a cap would have been passed, or None."""

    @property
    def retry_after(self) -> float:
        """How long the last request that had to wait was told to stay away, in seconds; 0 where none was told."""

    @property
    def usage(self) -> Usage: ...
    @property
    def cost(self) -> MicroUsd: ...


class Emit(Protocol):
    """Tells progress: a short line for people, and data for machines. Never a secret."""

    def __call__(self, message: str, **data: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Workspace:
    """The disposable checkout of one attempt: `tree` has no .git; `home` is fresh; `scratch` is seen by no sandbox."""

    tree: Path
    home: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's session, to be gone on with. The agent could write to its `transcript`: it is data, and no more.

    `cost` is what the gateway has counted for it.
    """

    id: str
    transcript: bytes
    cost: MicroUsd


@dataclass(frozen=True, slots=True)
class StepContext:
    """What an engine may use to make its change.

    `variables` are the values templates see; `remaining_seconds` is the wall clock left to the attempt;
    `artifact` stores a file for the record (kind, bytes); `rendered` tells what a template gave for a path, before anything
    local was merged into it: it is what the next three-way merge starts from; `output` tells the structured result of the step
    of that name, which the templates of later steps see. `words` are what a person who may said to an agent, with a retry.
    `feedback` is what came of an agent's change, for it to mend that, in the session `resume` where there is one; `session`
    is told of the one that may be gone on with later: without it, none is kept.
    """

    workspace: Workspace
    variables: Mapping[str, Any]
    limits: Limits
    usd_cap_micro: int
    remaining_seconds: Callable[[], float]
    emit: Emit
    artifact: Callable[[str, bytes], object]
    rendered: Callable[[str, bytes], None]
    output: Callable[[str, Any], None]
    cancelled: Callable[[], bool]
    words: str = ""
    feedback: str = ""
    resume: Session | None = None
    session: Callable[[Session], None] | None = None
    prepared: Prepared = NOTHING_PREPARED


class Judge(Protocol):
    """A second model's opinion of one attempt's changes, as it may be called several times."""

    def judge(self, case: Case, remaining_seconds: float) -> Opinion | str:
        """An opinion, or in words why it gave none that can be used: it was asked twice by then.

        Raises QuotaRefused, or AgentFailed where the API could not be used.
        """


class Engine(Protocol):
    """What makes a change: template, command, claude-code."""

    def apply(self, step: Step, context: StepContext) -> None:
        """Change the workspace. Raises EngineError, ChangeRefused, QuotaRefused or SandboxError."""


class Progress(Protocol):
    """Where a long command shows how far it is: rich, JSON lines, or silent."""

    def start(self, title: str, total: int) -> None: ...
    def update(self, event: Mapping[str, Any]) -> None: ...
    def finish(self) -> None: ...


class OnFetch(Protocol):
    """Is told of a URL that a preparation has asked for, and of the status that it was answered with; from another thread."""

    def __call__(self, url: str, status: int) -> None: ...


class OpenRegistries(Protocol):
    """Opens `proxy.sock` in a folder that it makes, the only way from a preparation to these registries.

    `client` is the uid that may use it, where it is another than this process's.
    """

    def __call__(
        self, folder: Path, registries: Sequence[Registry], on_fetch: OnFetch, client: int | None
    ) -> AbstractContextManager[object]: ...


class OpenGateway(Protocol):
    """Opens the gateway of one step for the given models only; leaving the block closes it."""

    def __call__(self, models: frozenset[str], context: StepContext) -> AbstractContextManager[GatewayHandle]: ...
