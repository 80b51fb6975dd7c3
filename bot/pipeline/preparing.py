"""Prepare: what a repository's own tests need is fetched before the agent, in a sandbox that reaches registries alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bot.domain.preparing import PREPARED, Recipe, recipe_of
from bot.domain.registries import PORT, environment
from bot.domain.steps import ShellCommand
from bot.errors import CommandFailed, EngineError, LimitReached
from bot.git import checkout, paths_at, read_blob
from bot.pipeline.assignment import Assignment
from bot.pipeline.lease import Deadline
from bot.pipeline.prepared_cache import entry
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import Base
from bot.pipeline.workspaces import workspace
from bot.ports import NOTHING_PREPARED, Mount, Prepared, SandboxCommand, SandboxEnd, Workspace
from bot.services import Services

SOCKET = "/run/registries"
SHOWN = 50
"""URLs that the timeline names; all of them are in the artifact."""

# pip and npm speak TCP, and the way out is a socket: this leads the one to the other, and ends as its command does.
RELAY = f"""
import socket, subprocess, sys, threading
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
def serve(server):
    while True:
        client = server.accept()[0]
        registry = socket.socket(socket.AF_UNIX)
        registry.connect("{SOCKET}/proxy.sock")
        for ends in ((client, registry), (registry, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()
server = socket.create_server(("127.0.0.1", {PORT}), backlog=64)
threading.Thread(target=serve, args=(server,), daemon=True).start()
status = subprocess.run(sys.argv[1:]).returncode
sys.exit(status if status >= 0 else 128 - status)
"""


@contextmanager
def preparation(
    services: Services, assignment: Assignment, base: Base, recorder: Recorder, stop: Deadline
) -> Iterator[Prepared]:
    """What later sandboxes of the attempt are given. What `auto` cannot prepare is told, and done without.

    Raises CommandFailed, LimitReached where the policy's own commands fail.
    """
    prepare = assignment.policy.prepare
    recipe = recipe_of(prepare, paths_at(base.mirror, base.commit)) if prepare != "none" else None
    if recipe is None:
        yield NOTHING_PREPARED
        return
    preparer = _Preparer(services, assignment, base, recorder, stop, recipe)
    key = preparer.key()
    with ExitStack() as stack:
        try:
            place = stack.enter_context(entry(services.home / "prepared", key, preparer.make))
        except EngineError as error:
            if prepare != "auto":
                raise
            recorder.emit(f"prepare: it goes on without, because {error}")
            ready = NOTHING_PREPARED
        else:
            ready = _given(place, key)
        stop.require()
        yield ready


class _Preparer:
    def __init__(
        self, services: Services, assignment: Assignment, base: Base, recorder: Recorder, stop: Deadline, recipe: Recipe
    ):
        self._services, self._assignment, self._base = services, assignment, base
        self._recorder, self._stop, self._recipe = recorder, stop, recipe
        self._fetched: list[str] = []

    def key(self) -> str:
        """Of the repository, of what decides the result there, and of what is installed and named by the operator."""
        run, base, recipe = self._assignment.run, self._base, self._recipe
        told = hashlib.sha256(json.dumps([run.org, run.repository.name, recipe.commands]).encode())
        told.update(json.dumps([self._services.sandbox.toolchain, str(self._registries)]).encode())
        for path in recipe.decided_by:
            told.update(f"\0{path}\0".encode() + (read_blob(base.mirror, base.commit, path) or b""))
        told.update(b"" if recipe.decided_by else base.commit.encode())
        return told.hexdigest()

    @property
    def _registries(self) -> dict[str, object]:
        return {name: each.model_dump() for name, each in self._assignment.campaign.org_policy.registries.items()}

    def make(self, result: Path) -> None:
        services, recorder = self._services, self._recorder
        root = services.attempts / self._assignment.run.attempt_key / "prepare"
        with workspace(root, services.sandbox.user) as place:
            checkout(self._base.mirror, self._base.commit, place.tree)
            registries = list(self._assignment.campaign.org_policy.registries.values())
            folder = root / "registries"
            try:
                with services.registries(folder, registries, self._note, services.sandbox.user):
                    for command in self._recipe.commands:
                        self._run(command, place, folder, result)
            finally:
                recorder.artifact("fetched", "\n".join(self._fetched).encode())
                recorder.emit(f"prepare: {len(self._fetched)} fetched", urls=self._fetched[:SHOWN])

    def _run(self, command: str, place: Workspace, socket: Path, result: Path) -> None:
        self._recorder.emit(f"prepare: {command}")
        seconds = self._stop.remaining_seconds() / 2
        ended = self._services.sandbox.run(
            SandboxCommand(
                argv=("/usr/bin/python3", "-I", "-c", RELAY, *ShellCommand(run=command).argv),
                workspace=place.tree,
                home=place.home,
                limits=self._assignment.policy.limits,
                environment=environment(self._assignment.campaign.org_policy.registries),
                mounts=(Mount(socket, SOCKET), Mount(result, PREPARED, writable=True)),
                timeout_seconds=seconds,
                idle_seconds=seconds,
            ),
            cancelled=self._stop.cancelled,
        )
        if ended.ended_by is not SandboxEnd.EXIT:
            raise LimitReached(f"prepare: `{command}`: {ended.reason or ended.ended_by}")
        if ended.exit_status != 0:
            words = f"prepare: `{command}` ended with {ended.exit_status}: {ended.tail[-500:]}"
            raise CommandFailed(words, exit_status=ended.exit_status, tail=ended.tail)

    def _note(self, url: str, status: int) -> None:
        self._fetched.append(f"{status} {url}")


def _given(place: Path, key: str) -> Prepared:
    """Read-only, so that nobody changes what the next one is given. Node looks for modules up to the root."""
    modules = place / "node_modules"
    mounts = [Mount(place, PREPARED)]
    folders = [f"{PREPARED}/bin", f"{PREPARED}/venv/bin"]
    if modules.is_dir() and not modules.is_symlink():
        mounts.append(Mount(modules, "/node_modules"))
        folders.append("/node_modules/.bin")
    path = ":".join([*folders, "/usr/local/bin:/usr/bin:/bin"])
    return Prepared(key, tuple(mounts), {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
