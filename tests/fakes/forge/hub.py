"""What every fake host is to those who test with it: a server from `with` to its end, a log, deliveries, faults on demand."""

from __future__ import annotations

from typing import Any, Self

from tests.fakes.forge.faults import Fault, Faults
from tests.fakes.forge.outbox import Outbox
from tests.fakes.forge.server import Exchange, Server


class Fake:
    """A host on loopback, from `with` to its end. `url` is where it is.

    Leaving the block raises AssertionError with what went wrong in the fake itself, and with what its guard has found.
    """

    _name: str
    _faults: Faults
    _server: Server
    _outbox: Outbox

    def _found(self) -> list[str]:
        """What was not as the host describes it."""
        return []

    def __enter__(self) -> Self:
        self._outbox.start()
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.stop()
        self._outbox.stop()
        wrong = self._server.errors + self._found()
        if wrong and kind is None:
            raise AssertionError(f"The fake {self._name} found:\n" + "\n".join(wrong))

    def close(self) -> None:
        """What leaving the block does."""
        self.__exit__(None)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def log(self) -> list[Exchange]:
        """Every exchange so far, oldest first."""
        return self._server.log

    def drain(self) -> None:
        """Return when every webhook of what has happened so far was answered, or failed."""
        self._outbox.drain()

    def fail(self, **what: Any) -> Fault:
        """Let something go wrong; the fields are those of `faults.Fault`."""
        return self._faults.add(Fault(**what))
