"""One exception tree for the whole bot.

    WhimbrelError                 code, retryable, retry_after (seconds), mend (what to do, in words)
    ├── UsageError                a wrong flag or argument                                    exit 2
    │   └── PolicyError           a policy, with file, line and the nearest right name        exit 2
    ├── QuotaRefused              a cap (org, campaign, attempt, step) would be passed        exit 3
    ├── ConfigurationError        something the operator must set up (a key, a binary)        exit 2
    ├── StoreError                the database cannot be used as it is
    │   └── FenceLost             the run went on without us: stop, write nothing more
    ├── HostError                 the host refused or could not be reached
    │   ├── NotFound              the repository or pull request is not there
    │   ├── Renamed               the repository has another name now: under that, it can be tried again
    │   ├── HostUnavailable       retryable
    │   │   └── HostLimited       the host's limits are used up for longer than a request may wait: retryable, retry_after
    │   └── CeilingReached        open or hourly pull requests are used up: wait, retryable
    │       └── HeldBack          the campaign's wave, window or halt lets nothing be published now: wait, retryable
    ├── GitError                  git failed; `retryable` tells whether trying again can help
    │   └── StaleHead             a branch is not where it was last seen: compare-and-swap lost
    ├── SandboxError              the sandbox could not be started: never run without it
    ├── DiskFull                  this machine has no room left, whoever has filled it: retryable
    ├── EngineError               a step could not make its change
    │   ├── CommandFailed         a `run:` step ended with another status than 0
    │   ├── LimitReached          wall clock, idle clock, memory, processes, disk: with the figure
    │   └── AgentFailed           Claude Code ended with an error
    │       └── AgentCrashed      without a result: another session may come to one, at its own cost
    └── ChangeRefused             the change itself may not be published (outcome `rejected`)

`retryable` is about this very operation: would the same thing, tried later, have a chance?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class WhimbrelError(Exception):
    """Base of all errors that are told to a person.

    `code` is stable and machine-readable; `str(error)` says what happened; `mend`, when there is one, says what to do.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str, *, mend: str = "", retryable: bool | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.mend = mend
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable

    @property
    def explanation(self) -> str:
        """The message and, on the same line, the mend."""
        return f"{self} ({self.mend})" if self.mend else str(self)


class UsageError(WhimbrelError):
    code = "usage"


class PolicyError(UsageError):
    """A policy file that cannot be used. `place` is `file:line` or `file`."""

    code = "policy"

    def __init__(self, message: str, *, place: str, mend: str = ""):
        super().__init__(f"{place}: {message}", mend=mend)
        self.place = place


class QuotaRefused(WhimbrelError):
    """A reservation that would pass a cap. `scope` is org, campaign, exec, attempt or step; the message has the figures."""

    code = "quota"

    def __init__(self, message: str, *, scope: str):
        super().__init__(message)
        self.scope = scope


class ConfigurationError(WhimbrelError):
    code = "configuration"


class StoreError(WhimbrelError):
    code = "store"


class FenceLost(StoreError):
    code = "fence_lost"


class HostError(WhimbrelError):
    code = "host"


class NotFound(HostError):
    code = "not_found"


class Renamed(HostError):
    """`old` and `new` are full names, ORG/NAME."""

    code = "renamed"
    retryable = True

    def __init__(self, old: str, new: str):
        super().__init__(f"{old} is called {new} now", mend="it is followed under that name")
        self.old, self.new = old, new


class HostUnavailable(HostError):
    code = "host_unavailable"
    retryable = True


class HostLimited(HostUnavailable):
    """The host's limits are used up; the message says until when, `retry_after` is in seconds."""

    code = "host_limited"


class CeilingReached(HostError):
    code = "ceiling"
    retryable = True


class HeldBack(CeilingReached):
    code = "held_back"


class GitError(WhimbrelError):
    code = "git"


class StaleHead(GitError):
    code = "stale_head"


class SandboxError(WhimbrelError):
    code = "sandbox"


class DiskFull(WhimbrelError):
    code = "disk_full"
    retryable = True

    def __init__(self, message: str):
        super().__init__(message, mend="make room where WHIMBREL_HOME is")


class EngineError(WhimbrelError):
    code = "engine"


class CommandFailed(EngineError):
    """`exit_status` as the shell gives it; `tail` is the end of the output, at most 4,000 characters."""

    code = "command_failed"

    def __init__(self, message: str, *, exit_status: int, tail: str):
        super().__init__(message)
        self.exit_status, self.tail = exit_status, tail


class LimitReached(EngineError):
    code = "limit"


class AgentFailed(EngineError):
    code = "agent_failed"


class AgentCrashed(AgentFailed):
    code = "agent_crashed"
    retryable = True


class ChangeRefused(WhimbrelError):
    """The change breaks a rule; `reasons` lists each one with its place."""

    code = "refused"

    def __init__(self, reasons: Sequence[str]):
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)
