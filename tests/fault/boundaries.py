"""The boundaries between the stages of an attempt, each with how an attempt is brought there and held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pygit2
from sqlalchemy import select

from bot.domain.policies import COMMIT_TEMPLATE
from bot.store.schema import publications
from tests.fakes import repositories
from tests.fakes.queue_parts import eventually
from tests.fault.holds import Pipe, Traps
from tests.fault.site import TEMPLATE, Site


@dataclass
class Held:
    """An attempt on its way: at first it waits for the lock of its mirror, before it has fetched anything."""

    site: Site
    name: str
    traps: Traps = field(default_factory=Traps)

    @property
    def mirror(self) -> Path:
        return self.site.project.home / "mirrors" / "acme" / f"{self.name}.git"

    @property
    def records(self) -> Path:
        """What the host keeps of the repository."""
        return self.site.project.bare(self.name).with_suffix(".meta")

    @property
    def mirror_lock(self) -> Path:
        return self.mirror.with_suffix(".lock")

    def waits_for_mirror(self) -> bool:
        return any(
            str(self.mirror_lock) in opened_by(horse) for worker in self.site.workers for horse in self.site.children(worker)
        )

    def hold_mirror(self) -> None:
        self.traps.lock("mirror", self.mirror_lock)

    def hold_database(self) -> None:
        self.traps.database("database", self.site.project.home / "whimbrel.db")

    def hold_records(self) -> None:
        self.traps.lock("records", self.records / "lock")

    def hold_model(self) -> None:
        self.site.model.answers.clear()
        self.traps.keep("model").callback(self.site.model.answers.set)

    def template(self, name: str) -> Pipe:
        [revision] = (self.site.project.home / "revisions").iterdir()
        return self.traps.pipe(name, revision / name)

    def publication(self, column: str) -> str:
        return str(self.site.value(select(publications.c[column]).where(publications.c.repository == self.name)) or "")

    def go(self, name: str) -> None:
        self.traps.open(name)

    def let_command_go(self) -> None:
        """The step or check that waits for it; until its sandbox is gone."""
        eventually(self.site.held, "the command waits")
        self.hold_database()
        self.site.release()
        eventually(lambda: not self.site.sandboxes(), "the command has ended")


def opened_by(process: psutil.Process) -> list[str]:
    try:
        return [opened.path for opened in process.open_files()]
    except psutil.NoSuchProcess:
        return []


Arrive = Callable[[Held], None]


def before_checkout(held: Held) -> None:
    """It waits already."""


def before_steps(held: Held) -> None:
    template = held.template(TEMPLATE)
    held.go("mirror")
    template.wait_for_reader()


def during_a_request(held: Held) -> None:
    held.hold_model()
    held.go("mirror")
    eventually(lambda: held.site.model.asked[held.name], "the model is asked")
    assert held.site.reserved() > 0


def after_steps(held: Held) -> None:
    held.go("mirror")
    held.let_command_go()


def before_commit(held: Held) -> None:
    template = held.template(COMMIT_TEMPLATE)
    held.go("mirror")
    template.wait_for_reader()


def before_it_is_noted(held: Held) -> None:
    before_commit(held)
    held.hold_database()
    held.go(COMMIT_TEMPLATE)
    base, ref = repositories.head(held.site.project.bare(held.name)), f"refs/whimbrel/attempts/{held.site.key_of(held.name)}"
    eventually(lambda: str(pygit2.Repository(held.mirror).references[ref].target) != base, "the commit is kept")


def during_a_check(held: Held) -> None:
    held.go("mirror")
    eventually(held.site.held, "the check waits")


def before_publishing(held: Held) -> None:
    held.go("mirror")
    held.let_command_go()


def during_a_push(held: Held) -> None:
    """The git that receives it waits for its configuration."""
    during_a_check(held)
    bare = held.site.project.bare(held.name)
    included = bare / "included"
    included.touch()
    config = pygit2.Config(str(bare / "config"))
    config["include.path"] = str(included)
    pipe = held.traps.pipe("push", included)
    held.site.release()
    pipe.wait_for_reader()


def before_opening(held: Held) -> None:
    held.hold_records()
    held.go("mirror")
    eventually(lambda: held.publication("head"), "the push is recorded")


def before_recording(held: Held) -> None:
    before_opening(held)
    held.hold_database()
    held.go("records")
    eventually((held.records / "pulls" / "1.json").exists, "the pull request is open")


def before_the_end(held: Held) -> None:
    before_opening(held)
    held.hold_mirror()
    held.go("records")
    eventually(lambda: held.publication("state") == "open", "the pull request is recorded")
    eventually(held.waits_for_mirror, "it is about to forget what it kept")


@dataclass(frozen=True)
class Boundary:
    """`flags` are files of the repository that have commands wait. `collected` tells whether the change was kept by then."""

    arrive: Arrive
    flags: tuple[str, ...] = ()
    collected: bool = False


BOUNDARIES = {
    "before checkout": Boundary(before_checkout),
    "checkout-steps": Boundary(before_steps),
    "model request": Boundary(during_a_request),
    "steps-collect": Boundary(after_steps, ("hold-step",)),
    "collect-commit": Boundary(before_commit),
    "commit-note": Boundary(before_it_is_noted),
    "note-check": Boundary(during_a_check, ("hold-check",), collected=True),
    "check-publish": Boundary(before_publishing, ("hold-check",), collected=True),
    "intent-push": Boundary(during_a_push, ("hold-check",), collected=True),
    "push-open": Boundary(before_opening, collected=True),
    "open-record": Boundary(before_recording, collected=True),
    "record-end": Boundary(before_the_end, collected=True),
}


@contextmanager
def held_at(site: Site, boundary: Boundary, name: str) -> Iterator[Held]:
    """A campaign on a repository of that name, whose attempt waits at the boundary for as long as the block lasts."""
    held = Held(site, name)
    with held.traps:
        held.hold_mirror()
        site.begin(name, *boundary.flags)
        # By then the renderer has found its templates: a pipe in the place of one is read as a file.
        eventually(held.waits_for_mirror, "the attempt waits for its mirror")
        boundary.arrive(held)
        yield held
