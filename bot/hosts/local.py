"""A local directory as a host: ROOT/ORG/NAME.git are bare repositories, ROOT/ORG/NAME.meta is all else about them.

Useful by itself, for a mass change over a folder of mirrors. It is trusted as a host is, but no hook in it is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pygit2

from bot.domain.pull_requests import (
    CheckReport,
    Comment,
    CommentRef,
    PullRequest,
    PullRequestRef,
    PullRequestState,
    PullRequestText,
    Reaction,
    Review,
    Thread,
)
from bot.domain.repositories import Remote, Repository
from bot.errors import HostError, HostUnavailable, NotFound
from bot.git.bare import open_bare
from bot.git.commits import blob_at
from bot.git.names import is_safe
from bot.hosts.languages import languages
from bot.hosts.local_git import (
    branch_head,
    commits_between,
    conflicts,
    default_branch,
    files_of,
    is_commit,
    merge_branch,
    size_kb,
)
from bot.hosts.local_records import PullRequestRecord, ReactionRecord, Records, RepositoryRecord

AUTHOR = "whimbrel"
_SUFFIX = ".git"


class LocalHost:
    """Every method raises NotFound for an org, repository or pull request that is not there."""

    def __init__(self, root: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._root, self._now = root.absolute(), now

    def repositories(self, org: str) -> Iterator[Repository]:
        """Every repository of the org, ordered by name. One that cannot be read is there too, `unusable` saying why."""
        folder = self._org(org)
        return (self._describe(org, name) for name in sorted(_names_below(folder)))

    def repository(self, org: str, name: str) -> Repository:
        self._bare(Repository(org, name, "", None))
        return self._describe(org, name)

    def properties(self, org: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """As each repository.json has them."""
        names = _names_below(self._org(org))
        return {name: self._records(Repository(org, name, "", None)).repository().properties for name in names}

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        opened = self._open(repository)
        head = branch_head(opened, repository.default_branch)
        if head is None:
            return {}
        tree = opened[head].peel(pygit2.Tree)
        contents = {path: blob_at(tree, path) for path in paths}
        return {path: content for path, content in contents.items() if content is not None}

    def list_paths(self, repository: Repository) -> Sequence[str]:
        opened = self._open(repository)
        head = branch_head(opened, repository.default_branch)
        return () if head is None else sorted(path for path, _ in files_of(opened, head))

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:  # noqa: ARG002 - no credential to narrow
        return Remote(str(self._bare(repository)))

    def permission(self, org: str, user: str) -> str:  # noqa: ARG002 - the file system knows this process only, not its user's name
        """What the file system lets this very process do: write, read or none."""
        return _permission(self._org(org))

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        return [found for found in self._pull_requests(repository) if found.branch == branch]

    def pull_requests_to(self, repository: Repository, base: str) -> Sequence[PullRequest]:
        found = self._pull_requests(repository)
        return [each for each in found if each.state is PullRequestState.OPEN and each.base == base]

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        found = {}
        for ref in refs:
            with suppress(NotFound):
                found[ref] = self.pull_request(Repository(org, ref.repository, "", None), ref.number)
        return found

    def list_pull_requests(self, org: str) -> Sequence[tuple[str, PullRequest]]:
        """Every pull request of the org with its repository's name, by repository, then by number."""
        names = sorted(_names_below(self._org(org)))
        return [(name, found) for name in names for found in self._pull_requests(Repository(org, name, "", None))]

    def pull_request(self, repository: Repository, number: int) -> PullRequest:
        return self._value(repository, self._records(repository).pull_request(number))

    def open_pull_request(
        self, repository: Repository, *, branch: str, base: str, text: PullRequestText, author: str = AUTHOR
    ) -> PullRequest:
        """The bot's, or a person's. Raises HostError where there is nothing to review, or the repository is archived."""
        records = self._records(repository)
        with records.locked():
            known = records.pull_requests()
            for record in known:
                if record.is_open and (record.branch, record.base) == (branch, base):
                    return self._value(repository, record)
            now = self._timestamp()
            record = PullRequestRecord(
                number=max((record.number for record in known), default=0) + 1,
                title=text.title,
                body=text.body,
                branch=branch,
                base=base,
                head=self._reviewable(repository, records.repository(), branch, base),
                author=author,
                created_at=now,
                updated_at=now,
            )
            record.write_text(text)
            records.save(record)
        return self._value(repository, record)

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
        with self._changing(repository, number) as record:
            record.write_text(text)
        return self._value(repository, record)

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        """The marker is added to a body that does not hold it."""
        with self._changing(repository, number) as record:
            if not any(marker in comment.body for comment in record.comments):
                record.comments.append(Comment(AUTHOR, _marked(body, marker), self._timestamp()))

    @property
    def own_login(self) -> str:
        return AUTHOR

    def permission_on(self, repository: Repository, user: str) -> str:  # noqa: ARG002 - as for the org
        return _permission(self._bare(repository))

    def react(self, repository: Repository, comment: CommentRef, reaction: Reaction) -> None:
        """Raises NotFound for a comment that is not there: there are none but of pull requests."""
        with self._changing(repository, comment.thread.number) as record:
            if comment.kind != "thread" and not 1 <= comment.comment_id <= len(record.comments):
                raise NotFound(f"#{comment.thread.number} has no comment {comment.comment_id}")
            made = ReactionRecord(kind=comment.kind, comment_id=comment.comment_id, reaction=reaction)
            if made not in record.reactions:
                record.reactions.append(made)

    def tell(self, repository: Repository, thread: Thread, body: str, *, marker: str) -> None:
        """The marker is added to a body that does not hold it. A person's comment that holds it stays theirs."""
        with self._changing(repository, thread.number) as record:
            for place, known in enumerate(record.comments):
                if known.author == AUTHOR and marker in known.body:
                    record.comments[place] = replace(known, body=_marked(body, marker))
                    return
            record.comments.append(Comment(AUTHOR, _marked(body, marker), self._timestamp()))

    def report_check(self, repository: Repository, commit: str, report: CheckReport) -> None:
        if not is_commit(self._open(repository), commit):
            raise NotFound(f"{repository.full_name} has no commit {commit}")
        records = self._records(repository)
        with records.locked():
            records.save_check(commit, report)

    def close_pull_request(self, repository: Repository, number: int) -> None:
        with self._changing(repository, number) as record:
            if record.is_open:
                self._close(repository, record, by=AUTHOR)

    def merge_pull_request(self, repository: Repository, number: int, *, head: str) -> None:
        found = self.pull_request(repository, number)
        if found.state is PullRequestState.MERGED:
            return
        if found.head != head:
            raise HostError(f"#{number} is at {found.head[:12]} by now", mend="look at it again")
        self.merge(repository, number, by=AUTHOR)

    def mark_ready(self, repository: Repository, number: int) -> None:
        with self._changing(repository, number) as record:
            _require_open(record)
            record.draft = False

    def reopen_pull_request(self, repository: Repository, number: int) -> None:
        if self.pull_request(repository, number).state is not PullRequestState.OPEN:
            self.reopen(repository, number)

    def checks(self, repository: Repository, commit: str) -> Mapping[str, CheckReport]:
        """What was reported of a commit, by the name of the check."""
        return self._records(repository).checks(commit).reports

    def add_comment(self, repository: Repository, number: int, body: str, *, author: str) -> PullRequest:
        """A person's comment."""
        with self._changing(repository, number) as record:
            record.comments.append(Comment(author, body, self._timestamp()))
        return self._value(repository, record)

    def review(self, repository: Repository, number: int, *, author: str, verdict: str, body: str = "") -> PullRequest:
        """A person's review; `verdict` is approved, changes_requested or commented."""
        with self._changing(repository, number) as record:
            record.reviews.append(Review(author, verdict, body, self._timestamp()))
        return self._value(repository, record)

    def merge(self, repository: Repository, number: int, *, by: str) -> PullRequest:
        """Merge it into its base. Raises HostError for one that is not open, is a draft or conflicts with its base."""
        with self._changing(repository, number) as record:
            _require_open(record)
            if record.draft:
                raise HostError(f"#{number} is a draft", mend="mark it as ready first")
            opened = self._open(repository)
            record.head = branch_head(opened, record.branch) or record.head
            message = f"Merge pull request #{number} from {record.branch}\n\n{record.title}\n"
            record.merge_commit = merge_branch(
                opened, base=record.base, branch=record.branch, message=message, by=by, at=self._now()
            )
            record.state, record.closed_by, record.closed_at = PullRequestState.MERGED, by, self._timestamp()
        return self._value(repository, record)

    def close(self, repository: Repository, number: int, *, by: str) -> PullRequest:
        """Close it without a merge; its head stays what it was. Raises HostError for one that is not open."""
        with self._changing(repository, number) as record:
            _require_open(record)
            self._close(repository, record, by=by)
        return self._value(repository, record)

    def reopen(self, repository: Repository, number: int) -> PullRequest:
        """Open a closed one again. Raises HostError for one that is not closed, or where its branch has another one open."""
        with self._changing(repository, number) as record:
            if record.state is not PullRequestState.CLOSED:
                raise HostError(f"#{number} is {record.state.value}: only a closed one can be reopened")
            for other in self._records(repository).pull_requests():
                if other.is_open and (other.branch, other.base) == (record.branch, record.base):
                    raise HostError(f"#{other.number} is open for {record.branch} already")
            record.state, record.closed_by, record.closed_at = PullRequestState.OPEN, "", ""
        return self._value(repository, record)

    def _close(self, repository: Repository, record: PullRequestRecord, *, by: str) -> None:
        record.head = self._value(repository, record).head
        record.state, record.closed_by, record.closed_at = PullRequestState.CLOSED, by, self._timestamp()

    @contextmanager
    def _changing(self, repository: Repository, number: int) -> Iterator[PullRequestRecord]:
        """The record, nobody else's meanwhile; it is saved if it was changed and no error was raised."""
        records = self._records(repository)
        with records.locked():
            record = records.pull_request(number)
            before = record.model_copy(deep=True)
            yield record
            if record != before:
                record.updated_at = self._timestamp()
                records.save(record)

    def _describe(self, org: str, name: str) -> Repository:
        found = Repository(org, name, "", None)
        try:
            return self._read(found)
        except (pygit2.GitError, KeyError, OSError, HostError) as error:
            return Repository(org, name, "", None, unusable=f"it cannot be read: {_words(error)}")

    def _read(self, repository: Repository) -> Repository:
        bare, opened, about = self._bare(repository), self._open(repository), self._records(repository).repository()
        branch = default_branch(opened)
        head = branch_head(opened, branch)
        return Repository(
            org=repository.org,
            name=repository.name,
            default_branch=branch,
            head=head,
            archived=about.archived,
            fork=about.fork,
            template=about.template,
            visibility=about.visibility,
            size_kb=size_kb(bare),
            languages=languages(files_of(opened, head)) if head else frozenset(),
            topics=frozenset(about.topics),
            description=about.description,
            url=bare.as_uri(),
        )

    def _reviewable(self, repository: Repository, about: RepositoryRecord, branch: str, base: str) -> str:
        """The branch's head, which has something that the base has not."""
        opened = self._open(repository)
        head, base_head = branch_head(opened, branch), branch_head(opened, base)
        if head is None or base_head is None:
            raise NotFound(f"{repository.full_name} has no branch {base if base_head is None else branch}")
        if about.archived:
            raise HostError(f"{repository.full_name} is archived: it takes no pull requests")
        if head == base_head or opened.descendant_of(base_head, head):
            raise HostError(f"{repository.full_name}: {branch} has no commit that {base} has not")
        return head

    def _pull_requests(self, repository: Repository) -> list[PullRequest]:
        return [self._value(repository, record) for record in self._records(repository).pull_requests()]

    def _value(self, repository: Repository, record: PullRequestRecord) -> PullRequest:
        """An open one's head follows its branch, and so does what is known of it."""
        records = self._records(repository)
        value = record.value(head=record.head, url=records.file(record.number).as_uri())
        if not record.is_open:
            return replace(value, checks=records.checks(record.head).state)
        opened = self._open(repository)
        head, base = branch_head(opened, record.branch) or record.head, branch_head(opened, record.base)
        return replace(
            value,
            head=head,
            checks=records.checks(head).state,
            conflicts=conflicts(opened, base, head) if base else None,
            commits=commits_between(opened, base, head) if base else (),
        )

    def _records(self, repository: Repository) -> Records:
        return Records(self._bare(repository).with_suffix(".meta"))

    def _open(self, repository: Repository) -> pygit2.Repository:
        try:
            return open_bare(self._bare(repository))
        except (pygit2.GitError, OSError) as error:
            raise HostError(f"{repository.full_name} cannot be read: {error}") from error

    def _bare(self, repository: Repository) -> Path:
        parts = repository.name.split("/")
        folder = self._org(repository.org).joinpath(*parts[:-1], parts[-1] + _SUFFIX)
        if not all(map(is_safe, parts)) or not folder.is_dir():
            raise NotFound(f"there is no repository {repository.full_name} on this host")
        return folder

    def _org(self, org: str) -> Path:
        if not self._root.is_dir():
            raise HostUnavailable(f"the folder of the local host is not there: {self._root}")
        if not is_safe(org) or not (self._root / org).is_dir():
            raise NotFound(f"there is no org {org} in {self._root}")
        return self._root / org

    def _timestamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="seconds")


def _permission(folder: Path) -> str:
    if os.access(folder, os.W_OK | os.X_OK):
        return "write"
    return "read" if os.access(folder, os.R_OK | os.X_OK) else "none"


def _names_below(folder: Path) -> Iterator[str]:
    """The names of the repositories in an org's folder and, with slashes, in its folders. Links to folders are not entered."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            if name.endswith(_SUFFIX):
                yield (Path(place) / name.removesuffix(_SUFFIX)).relative_to(folder).as_posix()
        folders[:] = [name for name in folders if not name.endswith((_SUFFIX, ".meta"))]


def _marked(body: str, marker: str) -> str:
    return body if marker in body else f"{body}\n\n{marker}"


def _require_open(record: PullRequestRecord) -> None:
    if not record.is_open:
        raise HostError(f"#{record.number} is {record.state.value} already")


def _words(error: Exception) -> str:
    if isinstance(error, HostError):
        return error.explanation
    return f"the object {error} is missing" if isinstance(error, KeyError) else str(error)
