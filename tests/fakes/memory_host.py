"""A host in memory: the port and its people, without git or network, for simulations of thousands of repositories.

It passes the conformance suite of hosts but for what needs a git process or several processes at once
(`tests/simulation/test_memory_host.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1
from itertools import count

from bot.domain.pull_requests import (
    ChecksState,
    Comment,
    PullRequest,
    PullRequestRef,
    PullRequestState,
    PullRequestText,
)
from bot.domain.repositories import Remote, Repository
from bot.errors import HostError, HostUnavailable, NotFound
from bot.hosts.languages import languages

Tree = Mapping[str, bytes]


@dataclass(frozen=True)
class Commit:
    """`tree` has regular files only."""

    id: str
    parents: tuple[str, ...]
    tree: Tree


@dataclass
class Kept:
    """One repository: what it is said to be, its commits, where its branches are, its pull requests by number."""

    described: Repository
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pull_requests: dict[int, PullRequest] = field(default_factory=dict)
    checks: dict[str, ChecksState] = field(default_factory=dict)
    properties: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def reachable(self, head: str) -> Iterator[str]:
        waiting, seen = [head], set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self.commits[name].parents
                yield name

    def ahead(self, head: str, base: str) -> list[str]:
        """What the base has not, merges left out, oldest first."""
        behind = set(self.reachable(base))
        return [
            name for name in reversed([*self.reachable(head)]) if name not in behind and len(self.commits[name].parents) < 2
        ]


class MemoryHost:
    """`ports.Host`, and people. `acting` is called before and after each thing that it does for the bot, who may die there."""

    own_login = "whimbrel"

    def __init__(self, org: str = "acme", *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self.org, self._now, self._numbers = org, now, count(1)
        self.kept: dict[str, Kept] = {}
        self.opened_at: dict[tuple[str, int], datetime] = {}
        self.reachable = True
        self.acting: Callable[[str], None] = lambda _: None

    # --- the port ---

    def repositories(self, org: str) -> Iterator[Repository]:
        self._require_org(org)
        return (self._described(self.kept[name]) for name in sorted(self.kept))

    def repository(self, org: str, name: str) -> Repository:
        self._require_org(org)
        return self._described(self._kept(name))

    def properties(self, org: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
        self._require_org(org)
        return {name: kept.properties for name, kept in self.kept.items()}

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        tree = self._tree(repository)
        return {path: tree[path] for path in paths if path in tree}

    def list_paths(self, repository: Repository) -> Sequence[str]:
        return sorted(self._tree(repository))

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:
        self._kept(repository.name)
        return Remote(f"memory:{repository.full_name}")

    def permission(self, org: str, user: str) -> str:
        self._require_org(org)
        return "write"

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        kept = self._kept(repository.name)
        return [self._now_is(kept, found) for found in kept.pull_requests.values() if found.branch == branch]

    def pull_requests_to(self, repository: Repository, base: str) -> Sequence[PullRequest]:
        kept = self._kept(repository.name)
        there = [found for found in kept.pull_requests.values() if found.base == base]
        return [self._now_is(kept, found) for found in there if found.state is PullRequestState.OPEN]

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        self._require_org(org)
        there = [ref for ref in refs if ref.repository in self.kept and ref.number in self.kept[ref.repository].pull_requests]
        return {ref: self._now_is(kept := self.kept[ref.repository], kept.pull_requests[ref.number]) for ref in there}

    def open_pull_request(self, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
        kept = self._kept(repository.name)
        for found in kept.pull_requests.values():
            if (found.branch, found.base, found.state) == (branch, base, PullRequestState.OPEN):
                return self._now_is(kept, found)
        if branch not in kept.branches or base not in kept.branches:
            raise NotFound(f"{repository.full_name} has no branch {branch} or {base}")
        if kept.described.archived:
            raise HostError(f"{repository.full_name} is archived")
        if not kept.ahead(kept.branches[branch], kept.branches[base]):
            raise HostError(f"{branch} has no commit that {base} has not")
        with self._doing("open"):
            number = len(kept.pull_requests) + 1
            url = f"memory:{repository.full_name}/{number}"
            made = PullRequest(
                number, PullRequestState.OPEN, branch, base, kept.branches[branch], text, url, author=self.own_login
            )
            kept.pull_requests[number] = made
            self.opened_at[repository.name, number] = self._now()
        return self._now_is(kept, made)

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
        kept = self._kept(repository.name)
        with self._doing("update"):
            self._change(repository.name, number, text=text)
        return self._now_is(kept, kept.pull_requests[number])

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        said = self._pull_request(repository.name, number).comments
        if not any(marker in comment.body for comment in said):
            self._say(repository.name, number, body if marker in body else f"{body}\n\n{marker}", self.own_login)

    # --- git, as far as it goes ---

    def push(self, name: str, branch: str, tree: Mapping[str, bytes | None], *, expected: str | None, commit: str = "") -> str:
        """A commit on the base's head, and the branch moved there, if it is where it was seen. Returns the commit's id."""
        kept = self._kept(name)
        with self._doing("push"):
            if kept.branches.get(branch) not in (expected, commit or None):
                raise HostError(f"{branch} of {name} is not where it was seen")
            base = kept.branches[kept.described.default_branch]
            return self._commit(kept, branch, (base,), self._changed(kept, base, tree), commit)

    # --- people ---

    def create(self, name: str, files: Tree | None, *, branch: str = "main", archived: bool = False) -> None:
        kept = self.kept[name] = Kept(Repository(self.org, name, branch, None, archived=archived, url=f"memory:{name}"))
        if files is not None:
            self._commit(kept, branch, (), dict(files))

    def describe(self, name: str, **about: object) -> None:
        kept = self.kept[name]
        kept.properties = about.pop("properties", kept.properties)  # type: ignore[assignment]
        if "topics" in about:
            about["topics"] = frozenset(about["topics"])  # type: ignore[call-overload]
        kept.described = replace(kept.described, **about)  # type: ignore[arg-type]

    def commit(self, name: str, files: Mapping[str, bytes | None], *, branch: str) -> str:
        """Somebody adds a commit to a branch, which is made from the default one where it is missing."""
        kept = self.kept[name]
        parent = kept.branches.get(branch) or kept.branches.get(kept.described.default_branch)
        return self._commit(kept, branch, (parent,) if parent else (), self._changed(kept, parent, files))

    def check(self, name: str, number: int, state: ChecksState) -> None:
        kept = self.kept[name]
        kept.checks[self._now_is(kept, kept.pull_requests[number]).head] = state

    def say(self, name: str, number: int, body: str, *, author: str) -> None:
        self._say(name, number, body, author)

    def close(self, name: str, number: int, *, by: str = "bob") -> None:
        kept = self.kept[name]
        head = self._now_is(kept, self._pull_request(name, number)).head
        self._change(name, number, state=PullRequestState.CLOSED, closed_by=by, head=head)

    def merge(self, name: str, number: int, *, by: str = "bob") -> None:
        kept, found = self.kept[name], self._pull_request(name, number)
        head, base = kept.branches[found.branch], kept.branches[found.base]
        tree = {**kept.commits[base].tree, **kept.commits[head].tree}
        self._commit(kept, found.base, (base, head), tree)
        self._change(name, number, state=PullRequestState.MERGED, closed_by=by, head=head)

    # --- what it is made of ---

    def _require_org(self, org: str) -> None:
        if not self.reachable:
            raise HostUnavailable("the host is out of reach")
        if org != self.org:
            raise NotFound(f"there is no org {org}")

    def _kept(self, name: str) -> Kept:
        self._require_org(self.org)
        if name not in self.kept:
            raise NotFound(f"there is no repository {name}")
        return self.kept[name]

    def _pull_request(self, name: str, number: int) -> PullRequest:
        found = self._kept(name).pull_requests.get(number)
        if found is None:
            raise NotFound(f"there is no pull request {name}#{number}")
        return found

    def _tree(self, repository: Repository) -> Tree:
        kept = self._kept(repository.name)
        head = kept.branches.get(repository.default_branch)
        return kept.commits[head].tree if head else {}

    def _described(self, kept: Kept) -> Repository:
        head = kept.branches.get(kept.described.default_branch)
        sizes = [(path, len(content)) for path, content in kept.commits[head].tree.items()] if head else []
        size_kb = -(-sum(size for _, size in sizes) // 1024)
        return replace(kept.described, head=head, size_kb=size_kb, languages=languages(sizes))

    def _now_is(self, kept: Kept, found: PullRequest) -> PullRequest:
        """An open one's head follows its branch, and so does what is known of it."""
        if found.state is not PullRequestState.OPEN:
            return replace(found, checks=kept.checks.get(found.head, ChecksState.NONE))
        head = kept.branches[found.branch]
        ahead = tuple(kept.ahead(head, kept.branches[found.base]))
        checks = kept.checks.get(head, ChecksState.NONE)
        return replace(found, head=head, checks=checks, conflicts=False, commits=ahead)

    def _commit(self, kept: Kept, branch: str, parents: tuple[str, ...], tree: Tree, name: str = "") -> str:
        name = name or sha1(f"{kept.described.name} {next(self._numbers)}".encode()).hexdigest()
        kept.commits[name] = Commit(name, parents, tree)
        kept.branches[branch] = name
        return name

    def _changed(self, kept: Kept, parent: str | None, files: Mapping[str, bytes | None]) -> Tree:
        tree: dict[str, bytes | None] = {**(kept.commits[parent].tree if parent else {}), **files}
        return {path: content for path, content in tree.items() if content is not None}

    def _say(self, name: str, number: int, body: str, author: str) -> None:
        said = Comment(author, body, self._now().isoformat())
        self._change(name, number, comments=(*self._pull_request(name, number).comments, said))

    def _change(self, name: str, number: int, **values: object) -> None:
        found = self._pull_request(name, number)
        self.kept[name].pull_requests[number] = replace(found, **values)  # type: ignore[arg-type]

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        self.acting(f"before {what}")
        yield
        self.acting(f"after {what}")
