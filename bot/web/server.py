"""`whimbrel web`: the application under gunicorn, in one process of many threads that is started again when it dies."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from gunicorn.app.base import BaseApplication

from bot.config import Settings, assemble
from bot.web.app import create_app


class Server(BaseApplication):
    """`bind` is HOST:PORT or unix:PATH. `run` returns at SIGTERM or SIGINT, when what was begun is answered."""

    def __init__(self, settings: Settings, *, bind: str, threads: int):
        self._settings, self._bind, self._threads = settings, bind, threads
        self._opened = ExitStack()
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind,
            "worker_class": "gthread",
            "threads": self._threads,
            # A body that was refused unread ends its connection, in the place of being read on from it.
            "keepalive": 0,
            "control_socket_disable": True,
            "worker_exit": lambda _server, _worker: self._opened.close(),
            "proc_name": "whimbrel-web",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """In the process that answers: a connection to the database is not to be forked."""
        return create_app(self._opened.enter_context(assemble(self._settings)), self._settings)
