"""Serves one attempt's gateway on a unix socket, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import uvicorn
from limits.storage import MemoryStorage
from starlette.applications import Starlette

from bot.domain.money import MicroUsd
from bot.domain.prices import PriceTable
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.gateway.app import build_app
from bot.gateway.charges import Charges
from bot.gateway.forwarder import Forwarder, Rules
from bot.gateway.governor import Governor
from bot.gateway.telling import Telling
from bot.gateway.upstream import Upstream
from bot.ports import Emit, Meter


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette):
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.ready = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _silent(message: str, **data: Any) -> None:
    pass


class Gateway:
    """A context manager: while it is open, and only then, `socket_path` leads to the models that it allows.

    The meter, the governor and `on_request` are called from several threads at once. `on_request` is told of each settled
    request (event=model_request: model, tokens, cost_micro_usd, estimated, latency_ms), and of the first ones that had
    to wait (event=model_wait), were refused (event=model_refused: status) or failed (event=model_failed: status).
    `client` is the uid that may use the socket, where it is another than this process's.

    Closing cancels what is under way and settles it at its worst case; it raises the StoreError of a ledger that could not
    record that, with the reservation still held there.
    """

    def __init__(
        self,
        *,
        socket_path: Path,
        upstream: Upstream,
        models: frozenset[str],
        meter: Meter,
        prices: PriceTable,
        governor: Governor | None = None,
        on_request: Emit = _silent,
        client: int | None = None,
    ):
        self._socket_path, self._client_uid = socket_path, client
        rules = Rules(models, prices, governor or Governor(MemoryStorage(), ""))
        tell = Telling(on_request)
        self._charges = Charges(meter, on_request)
        self._client = upstream.client()
        self._forwarder = Forwarder(upstream, self._client, rules, self._charges, tell)
        self._server = _Server(build_app(self._forwarder, tell))
        self._thread = Thread(target=self._run, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        """Raises OSError where the socket cannot be made."""
        self._listener = _listen(self._socket_path, self._client_uid)
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket_path.unlink(missing_ok=True)
        self._charges.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._server.ready.set()

    async def _serve(self) -> None:
        async with self._client:
            await self._server.serve(sockets=[self._listener])
            under_way = list(self._server.server_state.tasks)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    @property
    def socket_dir(self) -> Path:
        """The folder (mode 0700) that holds the socket and nothing else."""
        return self._socket_path.parent

    @property
    def refusal(self) -> QuotaRefused | None:
        """The first request that was refused because a cap would have been passed, or None."""
        return self._charges.refusal

    @property
    def retry_after(self) -> float:
        """How long the last request that had to wait was told to stay away, in seconds; 0 where none was told."""
        return self._forwarder.retry_after

    @property
    def requests(self) -> int:
        """How many requests were forwarded and are settled."""
        return self._charges.totals.requests

    @property
    def usage(self) -> Usage:
        return self._charges.totals.usage

    @property
    def cost(self) -> MicroUsd:
        return self._charges.totals.cost


def _listen(path: Path, owner: int | None) -> socket.socket:
    """A socket of mode 0600 in a folder of mode 0700, both `owner`'s. One that a killed attempt left there is replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Through the folder's descriptor: a socket's own path may have 107 bytes only, and a home lies where it lies.
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    path.chmod(0o600)
    if owner is not None:
        for place in (path, path.parent):
            os.chown(place, owner, owner)
    listener.listen(64)
    return listener
