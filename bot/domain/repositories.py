"""What the bot knows of a repository, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository as its host lists it.

    `name` is the path below the org (a GitLab project in a subgroup has slashes in it); `default_branch` is a short name;
    `head` is the full commit id of the default branch. `head` is None exactly when the repository has no commit, or is
    `unusable`: what keeps the host from reading it, in words.
    `size_kb` is the host's own figure. `languages` are lower-case names, `topics` as the host has them. `id` is the host's own
    of it, the same whatever its name; empty where the host has none.
    """

    org: str
    name: str
    default_branch: str
    head: str | None
    archived: bool = False
    fork: bool = False
    template: bool = False
    visibility: str = "private"
    size_kb: int = 0
    languages: frozenset[str] = field(default_factory=frozenset)
    topics: frozenset[str] = field(default_factory=frozenset)
    description: str = ""
    url: str = ""
    unusable: str = ""
    id: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.org}/{self.name}"


@dataclass(frozen=True, slots=True)
class Remote:
    """Where git talks to a repository: `url` never holds a secret; `environment` does, for one git process, in memory."""

    url: str
    environment: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A repository and the base branch to change, at the commit that was seen when it was planned."""

    repository: str
    base: str
    head: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.repository}/{self.path}" if self.path else self.repository
