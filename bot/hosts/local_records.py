"""What the local host keeps beside a bare repository, in NAME.meta: repository.json, pulls/NUMBER.json, checks/COMMIT.json.

A file is written whole or not at all. Writers take turns by a lock on the folder; readers need none.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.domain.pull_requests import (
    CheckReport,
    ChecksState,
    Comment,
    PullRequest,
    PullRequestState,
    PullRequestText,
    Reaction,
    Review,
    checks_state,
    review_state,
)
from bot.errors import HostError, NotFound


class RepositoryRecord(BaseModel):
    """repository.json: what a bare repository does not know of itself. Every key may be left out, and the file too."""

    model_config = ConfigDict(extra="forbid")

    archived: bool = False
    fork: bool = False
    template: bool = False
    topics: list[str] = []
    description: str = ""
    visibility: str = "private"
    properties: dict[str, list[str]] = {}


class ReactionRecord(BaseModel):
    """`comment_id` is the place of a comment among the pull request's, from 1; of its text (kind thread), its own number."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    comment_id: int
    reaction: Reaction


class PullRequestRecord(BaseModel):
    """One pull request. Times are ISO 8601 in UTC, "" for what has not happened; `head` is as of the last change of state."""

    model_config = ConfigDict(extra="forbid")

    number: int
    state: PullRequestState = PullRequestState.OPEN
    title: str
    body: str
    labels: list[str] = []
    reviewers: list[str] = []
    draft: bool = False
    branch: str
    base: str
    head: str
    author: str
    comments: list[Comment] = []
    reviews: list[Review] = []
    reactions: list[ReactionRecord] = []
    closed_by: str = ""
    merge_commit: str = ""
    created_at: str
    updated_at: str
    closed_at: str = ""

    @property
    def is_open(self) -> bool:
        return self.state is PullRequestState.OPEN

    def write_text(self, text: PullRequestText) -> None:
        self.title, self.body, self.draft = text.title, text.body, text.draft
        self.labels, self.reviewers = list(text.labels), list(text.reviewers)

    def value(self, *, head: str, url: str) -> PullRequest:
        return PullRequest(
            number=self.number,
            state=self.state,
            branch=self.branch,
            base=self.base,
            head=head,
            text=PullRequestText(self.title, self.body, tuple(self.labels), tuple(self.reviewers), self.draft),
            url=url,
            closed_by=self.closed_by,
            comments=tuple(self.comments),
            reviews=tuple(self.reviews),
            author=self.author,
            review=review_state(self.reviews),
            updated_at=self.updated_at,
        )


class ChecksRecord(BaseModel):
    """What was reported of one commit, by the name of the check."""

    model_config = ConfigDict(extra="forbid")

    reports: dict[str, CheckReport]

    @property
    def state(self) -> ChecksState:
        return checks_state({name: report.passed for name, report in self.reports.items()})


class Records:
    """The records of one repository, in its NAME.meta folder, which is made when something is first written."""

    def __init__(self, folder: Path):
        self._folder = folder

    def repository(self) -> RepositoryRecord:
        file = self._folder / "repository.json"
        return _read(file, RepositoryRecord) or RepositoryRecord()

    def pull_requests(self) -> list[PullRequestRecord]:
        """All of them, by number."""
        numbers = sorted(int(file.stem) for file in self._folder.glob("pulls/*.json") if file.stem.isdecimal())
        return [self.pull_request(number) for number in numbers]

    def pull_request(self, number: int) -> PullRequestRecord:
        """Raises NotFound."""
        found = _read(self.file(number), PullRequestRecord)
        if found is None:
            raise NotFound(f"{self._folder.stem} has no pull request #{number}")
        return found

    def save(self, record: PullRequestRecord) -> None:
        """Write it to the disk; the lock must be held."""
        _write(self.file(record.number), record.model_dump_json(indent=2) + "\n")

    def checks(self, commit: str) -> ChecksRecord:
        """What was reported of a commit."""
        return _read(self._checks_file(commit), ChecksRecord) or ChecksRecord(reports={})

    def save_check(self, commit: str, report: CheckReport) -> None:
        """In the place of an earlier one with the same name; the lock must be held."""
        self._checks_file(commit).parent.mkdir(exist_ok=True)
        record = ChecksRecord(reports=self.checks(commit).reports | {report.name: report})
        _write(self._checks_file(commit), record.model_dump_json(indent=2) + "\n")

    def _checks_file(self, commit: str) -> Path:
        return self._folder / "checks" / f"{commit}.json"

    def file(self, number: int) -> Path:
        return self._folder / "pulls" / f"{number}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, of any process. What a dead one left half written is removed."""
        (self._folder / "pulls").mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for leftover in self._folder.glob("*/*.part"):
                leftover.unlink()
            yield
        finally:
            os.close(descriptor)


_Record = TypeVar("_Record", bound=BaseModel)


def _read(file: Path, kind: type[_Record]) -> _Record | None:
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise HostError(f"{file}: {f'{place}: ' if place else ''}{first['msg']}", mend="mend the file, or remove it") from error


def _write(file: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, suffix=".part", delete=False) as part:
        part.write(text)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
