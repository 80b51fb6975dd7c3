"""The demo's organization: twelve small repositories on the local host, the awkward ones included.

What is in them is in files/NAME.txt, as `bot.demo.history` reads it. The same text gives the same commit ids every time.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files as resources
from pathlib import Path

import pygit2

from bot.demo.history import Commit, parse_history
from bot.domain.changesets import FileChange, FileMode
from bot.domain.repositories import Repository
from bot.hosts.local import LocalHost

Comply = Callable[[Repository, dict[str, bytes]], dict[str, bytes]]
"""From a repository and its files by path: the files that it needs to comply, the new ones and those to replace."""

BLOB_MODES = {
    FileMode.REGULAR: pygit2.enums.FileMode.BLOB,
    FileMode.EXECUTABLE: pygit2.enums.FileMode.BLOB_EXECUTABLE,
    FileMode.LINK: pygit2.enums.FileMode.LINK,
}


@dataclass(frozen=True, slots=True)
class DemoRepository:
    """One repository to build. `compliant`: it already has what the `standardize` policy asks for."""

    name: str
    description: str
    topics: tuple[str, ...] = ()
    default_branch: str = "main"
    archived: bool = False
    fork: bool = False
    empty: bool = False
    compliant: bool = False

    def metadata(self) -> dict[str, object]:
        return {
            "archived": self.archived,
            "fork": self.fork,
            "template": False,
            "topics": list(self.topics),
            "description": self.description,
            "visibility": "internal",
        }


REPOSITORIES = (
    DemoRepository("billing-worker", "Charges the invoices that are due.", ("python", "billing")),
    DemoRepository("engineering-handbook", "How we work. Opts out of every campaign.", ("docs",)),
    DemoRepository("feature-flags", "Percentage rollouts. Has all the standard files.", ("python", "platform"), compliant=True),
    DemoRepository("incident-bot", "Opens incident channels. Not begun yet.", ("python",), empty=True),
    DemoRepository("ledger-api", "Double-entry ledger behind a small WSGI API.", ("python", "payments")),
    DemoRepository("legacy-checkout", "The checkout before storefront-web.", ("node",), archived=True),
    DemoRepository("localized-mail", "Mail texts in the reader's language.", ("python", "mail")),
    DemoRepository("payments-sdk", "Signed requests to the payments API. Hostile.", ("python", "payments")),
    DemoRepository(
        "pricing-engine", "Discounts, VAT and rounding. Its tests fail, whatever the bot does.", ("python", "payments")
    ),
    DemoRepository("report-cli", "Monthly revenue reports on the command line.", ("python", "data")),
    DemoRepository("retry-utils", "Our fork of a public package.", ("python",), fork=True),
    DemoRepository("storefront-web", "Basket and prices of the storefront.", ("node", "web"), default_branch="trunk"),
)


def build_organization(host_root: Path, org: str = "acme", *, comply: Comply, canary: Path | None = None) -> list[str]:
    """Build the repositories that are missing below `host_root`/`org`, and return their names.

    One that is there is left as it is. `canary` is the file that the hostile repository tries to touch; without one, it is
    `canary` beside `host_root`.
    """
    folder = host_root / org
    folder.mkdir(parents=True, exist_ok=True)
    canary = (canary or host_root.parent / "canary").absolute()
    missing = [wanted for wanted in REPOSITORIES if not _bare(folder, wanted).exists()]
    for wanted in missing:
        with tempfile.TemporaryDirectory(prefix=".building-", dir=host_root) as scratch:
            _build(Path(scratch), org, wanted, _history(wanted, canary))
            if wanted.compliant:
                _make_compliant(Path(scratch), org, wanted, comply, url=_bare(folder, wanted).absolute().as_uri())
            _install(Path(scratch) / org, folder, wanted)
    return [wanted.name for wanted in missing]


def _build(host_root: Path, org: str, wanted: DemoRepository, history: list[Commit]) -> None:
    folder = host_root / org
    repository = pygit2.init_repository(_bare(folder, wanted), bare=True, initial_head=wanted.default_branch)
    for commit in history:
        _commit(repository, commit)
    meta = _meta(folder, wanted)
    meta.mkdir()
    (meta / "repository.json").write_text(json.dumps(wanted.metadata(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _make_compliant(host_root: Path, org: str, wanted: DemoRepository, comply: Comply, *, url: str) -> None:
    """Add the commit that a campaign would have made of the repository as the host will list it."""
    host = LocalHost(host_root)
    listed = host.repository(org, wanted.name)
    now = dict(host.read_files(listed, host.list_paths(listed)))
    needed = comply(replace(listed, url=url), now)
    files = tuple(FileChange(path, FileMode.REGULAR, content) for path, content in sorted(needed.items()))
    repository = pygit2.Repository(str(_bare(host_root / org, wanted)))
    last = repository.head.peel(pygit2.Commit)
    at = datetime.fromtimestamp(last.author.time, UTC) + timedelta(days=30)
    _commit(repository, Commit(at, last.author.name, "Adopt the organization's standard files", files))


def _install(built: Path, folder: Path, wanted: DemoRepository) -> None:
    """The repository itself moves last: where it is, all of it is. Metadata alone is what a build that was cut off left."""
    meta = _meta(folder, wanted)
    if meta.exists():
        shutil.rmtree(meta)
    _meta(built, wanted).rename(meta)
    _bare(built, wanted).rename(_bare(folder, wanted))


def _history(wanted: DemoRepository, canary: Path) -> list[Commit]:
    if wanted.empty:
        return []
    text = (resources("bot.demo") / "files" / f"{wanted.name}.txt").read_text(encoding="utf-8")
    return parse_history(text.replace("@CANARY@", shlex.quote(str(canary))))


def _commit(repository: pygit2.Repository, commit: Commit) -> None:
    """Add a commit to the default branch."""
    parents = [] if repository.head_is_unborn else [repository.head.target]
    index = pygit2.Index()
    for parent in parents:
        index.read_tree(repository[parent].peel(pygit2.Tree))
    for file in commit.files:
        index.add(pygit2.IndexEntry(file.path, repository.create_blob(file.content or b""), BLOB_MODES[file.mode]))
    author = pygit2.Signature(commit.author, f"{commit.author.split()[0].lower()}@acme.example", int(commit.at.timestamp()), 0)
    branch = str(repository.references["HEAD"].target)
    repository.create_commit(branch, author, author, f"{commit.subject}\n", index.write_tree(repository), parents)


def _bare(folder: Path, wanted: DemoRepository) -> Path:
    return folder / f"{wanted.name}.git"


def _meta(folder: Path, wanted: DemoRepository) -> Path:
    return folder / f"{wanted.name}.meta"
