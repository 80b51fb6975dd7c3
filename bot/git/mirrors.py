"""A bare mirror a repository: what was fetched once is never fetched again, and every attempt shares it.

Many processes use one mirror at once. A lock file beside it covers making it, fetching, and moving its refs; objects are
only ever added, so reading and writing them needs no lock, and nothing is ever collected as garbage.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pygit2

from bot.domain.repositories import Remote
from bot.errors import GitError, StaleHead
from bot.git.bare import open_bare
from bot.git.names import is_safe
from bot.git.porcelain import NO_ROOM, Output, failure, git

_HEADS = "refs/remotes/origin/"
_ATTEMPTS = "refs/whimbrel/attempts/"
_CONDEMNED = "condemned"
LITTLE_ROOM = 16 << 20
"""Bytes. What cannot be written to a disk that has less left, cannot be for that reason."""

_NO_SUCH_BRANCH = re.compile(r"couldn't find remote ref refs/heads/(\S+)")
_IN_THE_WAY = re.compile(r"cannot lock ref .*(exists; cannot create|is a directory|not a directory)", re.IGNORECASE)
_CORRUPT = re.compile(
    r"corrupt|bad (object|ref|config)|unable to (read|parse)|missing (blob|tree|commit|object)|object file .* is empty"
    r"|not a git repository: '|invalid (object|sha1|index-pack)|did not send all necessary|broken ref|garbage at",
    re.IGNORECASE,
)
_LOST_RACE = re.compile(r"stale info|but expected|reference already exists|incorrect old value", re.IGNORECASE)


_Object = TypeVar("_Object", bound=pygit2.Object)


class Mirror:
    """One repository's mirror. `repository` is libgit2's view of it; the file system is shared with other processes."""

    def __init__(self, folder: Path, repository: pygit2.Repository):
        self.folder, self.repository = folder, repository

    @classmethod
    def open(cls, root: Path, org: str, name: str) -> Mirror:
        """The mirror below `root`, made where there is none; one that is broken is made anew. Raises GitError."""
        parts = f"{org}/{name}".split("/")
        if not all(map(is_safe, parts)):
            raise GitError(f"{org}/{name} is no repository's name")
        folder = root.joinpath(*parts[:-1], f"{parts[-1]}.git")
        with written(folder):
            return cls(folder, _open(folder) or _open_or_make(folder))

    def fetch(self, remote: Remote, branches: Sequence[str], known: Mapping[str, str] | None = None) -> dict[str, str | None]:
        """Bring the branches here; return the head of each, None for one that the remote does not have (any more).

        `known` are heads seen elsewhere, in a listing: a branch that this mirror has at that very head is not asked for.
        Name the branch that is sure to be there first. Raises GitError.
        """
        _check_names(branches)
        wanted = [branch for branch in branches if not self._is_at(branch, (known or {}).get(branch))]
        if not wanted:
            return {branch: self._head(branch) for branch in branches}
        with _lock(self.folder) as held:
            self._discard_leftovers()
            output = self._fetch(remote, wanted, held)
            if _IN_THE_WAY.search(output.stderr):
                self._delete_refs(_HEADS)
                output = self._fetch(remote, wanted, held)
            if self._shows_damage(output, branches):
                self._make_anew()
                output = self._fetch(remote, branches, held)
            if output.status != 0:
                raise failure(f"cannot fetch {remote.url}", output)
            return {branch: self._head(branch) for branch in branches}

    def push(self, remote: Remote, commit: str, branch: str, *, expected: str | None) -> None:
        """Move the remote's branch to `commit` if it is at `expected` (None: if it is not there), or at `commit` already.

        Raises StaleHead where it is elsewhere, GitError (retryable when the network was at fault).
        """
        _check_names([branch])
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{expected or ''}"
        arguments = ["push", "--porcelain", "--no-verify", lease, remote.url, f"{commit}:{ref}"]
        output = git(arguments, self.folder, environment=remote.environment)
        if output.status == 0:
            return
        said = output.stdout.decode("utf-8", "replace")
        refused = next((line.rpartition("\t")[2] for line in said.splitlines() if line.startswith("!")), "")
        if _LOST_RACE.search(refused + output.stderr):
            raise StaleHead(f"{branch} is not at {expected or 'nothing'} any more: somebody else has moved it")
        raise failure(f"cannot push {branch} {refused}".rstrip(), output)

    def has(self, commit: str) -> bool:
        return isinstance(self._find(commit), pygit2.Commit)

    def keep(self, attempt: str, commit: str) -> None:
        """Protect a commit, and all that it points at, until the attempt is forgotten."""
        with written(self.folder), _lock(self.folder):
            self.repository.references.create(f"{_ATTEMPTS}{attempt}", commit, force=True)

    def forget(self, attempt: str) -> None:
        with written(self.folder), _lock(self.folder):
            self._delete_ref(f"{_ATTEMPTS}{attempt}")

    def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Is `ancestor` that commit, or in its history?"""
        return ancestor == commit or self.repository.descendant_of(commit, ancestor)

    def same_change(self, one: str, other: str) -> bool:
        """Do two commits make the same tree of the same parents? Message, author and time may differ."""
        left, right = self.commit(one), self.commit(other)
        return left.tree_id == right.tree_id and left.parent_ids == right.parent_ids

    def commit(self, commit: str) -> pygit2.Commit:
        """Raises GitError where it was never fetched."""
        found = self._find(commit)
        if not isinstance(found, pygit2.Commit):
            raise GitError(f"the commit {commit} is not in the mirror {self.folder}")
        return found

    def read(self, object_id: pygit2.Oid, kind: type[_Object]) -> _Object:
        """An object that a commit points at. Without it the mirror is broken: the next one to open it makes it anew."""
        found = self._find(object_id)
        if found is None:
            (self.folder / _CONDEMNED).touch()
            raise GitError(f"the mirror {self.folder} is broken: it has no {object_id}", retryable=True)
        if not isinstance(found, kind):
            raise GitError(f"{object_id} is no {kind.__name__.lower()}: the repository itself is broken")
        return found

    def _fetch(self, remote: Remote, branches: Sequence[str], held: int) -> Output:
        """One fetch, and another for each branch that turns out to be missing."""
        asked = list(branches)
        arguments = ["fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", remote.url]
        while asked:
            output = git([*arguments, *_refspecs(asked)], self.folder, environment=remote.environment, inherit=[held])
            missing = _NO_SUCH_BRANCH.search(output.stderr)
            if missing is None or missing[1] not in asked:
                return output
            asked.remove(missing[1])
            self._delete_ref(f"{_HEADS}{missing[1]}")
        return Output(0, b"", "")

    def _find(self, object_id: pygit2.Oid | str) -> pygit2.Object | None:
        try:
            return self.repository[object_id]
        except (KeyError, ValueError, pygit2.GitError):
            return None
        except OSError as error:
            raise GitError(f"the mirror {self.folder} cannot be read: {error}", retryable=True) from error

    def _shows_damage(self, output: Output, branches: Sequence[str]) -> bool:
        """Git says so; or it had nothing to fetch, and yet a head cannot be read."""
        if output.status != 0:
            return bool(_CORRUPT.search(output.stderr))
        return not all(self.has(head) for head in map(self._head, branches) if head is not None)

    def _make_anew(self) -> None:
        """libgit2 keeps packs open by their path, and the new mirror's may have the broken ones' names: let go of those."""
        self.repository.free()
        gc.collect()
        self.repository = _make(self.folder)

    def _head(self, branch: str) -> str | None:
        reference = self.repository.references.get(f"{_HEADS}{branch}")
        return None if reference is None else str(reference.target)

    def _is_at(self, branch: str, commit: str | None) -> bool:
        return commit is not None and self._head(branch) == commit

    def _delete_refs(self, prefix: str) -> None:
        for name in list(self.repository.references):
            if name.startswith(prefix):
                self._delete_ref(name)

    def _delete_ref(self, name: str) -> None:
        if name in self.repository.references:
            self.repository.references.delete(name)

    def _discard_leftovers(self) -> None:
        """What a killed git has left: whoever could be using it holds the lock that is held here."""
        refs, packs = self.folder / "refs", self.folder / "objects" / "pack"
        for leftover in [*self.folder.glob("*.lock"), *refs.rglob("*.lock"), *packs.glob("tmp_*")]:
            leftover.unlink(missing_ok=True)


def forget_dead(root: Path, under_way: Callable[[str], bool]) -> None:
    """Have the mirrors below `root` forget what they keep for attempts that are not `under_way` any more."""
    for folder, attempt in _kept(root):
        if not under_way(attempt) and (repository := _open(folder)):
            Mirror(folder, repository).forget(attempt)


def move_mirror(root: Path, org: str, old: str, new: str) -> None:
    """Give the mirror of a renamed repository its new name: unless an attempt is at work on it, or the new one has a mirror.

    It is only a store: where it stays behind, the new one is fetched whole.
    """
    if not all(map(is_safe, [*org.split("/"), *old.split("/"), *new.split("/")])):
        return
    before, after = (root / f"{org}/{name}.git" for name in (old, new))
    if not before.is_dir() or after.exists():
        return
    with written(before), _lock(before):
        if not any((before / _ATTEMPTS).glob("*")):
            after.parent.mkdir(parents=True, exist_ok=True)
            before.rename(after)


def _kept(root: Path) -> Iterator[tuple[Path, str]]:
    """Each mirror below `root` with each attempt that it keeps something for. No mirror is opened: there may be thousands."""
    for place, folders, _ in os.walk(root):
        for mirror in (Path(place) / name for name in folders if name.endswith(".git")):
            for ref in (mirror / _ATTEMPTS).glob("*"):
                if ref.suffix != ".lock":
                    yield mirror, ref.name
        folders[:] = [name for name in folders if not name.endswith(".git") and not name.startswith(".")]


def _refspecs(branches: Sequence[str]) -> Iterator[str]:
    """The first by its name; the others as a pattern, which may match nothing, where a name would fail the whole fetch."""
    for position, branch in enumerate(branches):
        pattern = branch if position == 0 else f"{branch}*"
        yield f"+refs/heads/{pattern}:{_HEADS}{pattern}"


def _check_names(branches: Sequence[str]) -> None:
    for branch in branches:
        if not pygit2.reference_is_valid_name(f"refs/heads/{branch}"):
            raise GitError(f"{branch!r} is no branch name that git takes")


def _open(folder: Path) -> pygit2.Repository | None:
    if (folder / _CONDEMNED).exists():
        return None
    try:
        return open_bare(folder)
    except pygit2.GitError:
        return None


def _open_or_make(folder: Path) -> pygit2.Repository:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        return _open(folder) or _make(folder)


def _make(folder: Path) -> pygit2.Repository:
    """A new, empty mirror in the place of whatever is there. It is moved into its place whole; the lock must be held."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    pygit2.init_repository(scratch / "new", bare=True)
    if folder.exists():
        folder.rename(scratch / "old")
    (scratch / "new").rename(folder)
    shutil.rmtree(scratch)
    return open_bare(folder)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Raises GitError where the mirror cannot be written, retryable where its disk is full."""
    try:
        yield
    except (OSError, pygit2.GitError) as error:
        full = bool(NO_ROOM.search(str(error))) or _room(folder) < LITTLE_ROOM
        why = os.strerror(errno.ENOSPC) if full else error
        raise GitError(f"the mirror {folder} cannot be written: {why}", retryable=full) from error


def _room(folder: Path) -> int:
    """The bytes left on its disk, or where it would be made. A short write is no error, and libgit2 has no words for it."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
