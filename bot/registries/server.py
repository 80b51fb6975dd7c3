"""Serves the registries of one preparation on a unix socket, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette

from bot.domain.registries import Registry
from bot.ports import OnFetch
from bot.registries.proxy import Registries


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette):
        quiet: dict[str, Any] = {"log_config": None, "log_level": "critical", "access_log": False, "server_header": False}
        super().__init__(uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan="off", **quiet))
        self.ready = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class RegistryServer:
    """A context manager: while it is open, and only then, the folder's `proxy.sock` leads to the registries.

    `client` is the uid that may use it, where it is another than this process's.
    """

    def __init__(self, folder: Path, registries: Sequence[Registry], on_fetch: OnFetch, client: int | None):
        self._folder, self._owner = folder, client
        self._registries = Registries(registries, on_fetch)
        self._server = _Server(self._registries.app())
        self._thread = Thread(target=self._run, name="registries", daemon=True)

    def __enter__(self) -> Self:
        self._listener = _listen(self._folder, self._owner)
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        (self._folder / "proxy.sock").unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._server.ready.set()

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._listener])
            under_way = list(self._server.server_state.tasks)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        finally:
            await self._registries.close()


def _listen(folder: Path, owner: int | None) -> socket.socket:
    """A socket of mode 0600 in a folder of mode 0700, both `owner`'s."""
    folder.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Through the folder's descriptor: a socket's own path may have 107 bytes only, and a home lies where it lies.
        listener.bind(f"/proc/self/fd/{opened}/proxy.sock")
    finally:
        os.close(opened)
    (folder / "proxy.sock").chmod(0o600)
    if owner is not None:
        for place in (folder / "proxy.sock", folder):
            os.chown(place, owner, owner)
    listener.listen(64)
    return listener
