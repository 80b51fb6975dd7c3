"""`python -m benchmarks.webhooks`: signed deliveries at a steady rate to `whimbrel web`, its handlers killed midway.

A delivery is an installation of its own, which is handled exactly once when there is one audit event of it. In ten deliveries,
one comes twice under its id, and one body comes once more under another id. How long an answer takes is counted from when the
delivery was due: one that waits for its turn behind a slow one is late too.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import click
from sqlalchemy import func, select

from bot.cli.setup import write_starters
from bot.config import Settings, assemble
from bot.hosts import github_credentials
from bot.hosts.github_credentials import GITHUB, GitHubApp
from bot.hosts.webhooks import sign_github
from bot.services import Services
from bot.store import deliveries
from bot.store.schema import audit_events

WHIMBREL = Path(sys.executable).with_name("whimbrel")
SECRET = "of no worth"
SENDERS = 32
PATIENCE_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Delivery:
    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """`latencies` are in seconds, one an answer; `events` is how many audit events each installation has, the most of any."""

    statuses: Mapping[int, int]
    latencies: Sequence[float]
    installations: int
    handled: int
    most_events: int
    states: Mapping[str, int]

    @property
    def p50(self) -> float:
        return quantiles(self.latencies, n=100)[49]

    @property
    def p99(self) -> float:
        return quantiles(self.latencies, n=100)[98]


class Site:
    """A home with an App's secret, and the processes of a Procfile that work in it."""

    def __init__(self, folder: Path):
        self.folder, self._port = folder, _free_port()
        write_starters(folder)
        org = {"org": "acme", "host": "local:./host", "quota": {"usd_per_month": 1}}
        (folder / "policies" / "orgs" / "acme.yaml").write_text(json.dumps(org))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "WHIMBREL_HOME": str(folder / "home")}
        self.settings = Settings.from_environment(self.environment)
        github_credentials.save(self.settings.home, GITHUB, GitHubApp(1, "whimbrel", "PEM", (SECRET,), GITHUB))

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """`whimbrel` in a session of its own; what is left of it at the end is killed."""
        with (self.folder / "said.log").open("ab") as log:
            process = subprocess.Popen(
                [WHIMBREL, *arguments], cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield process
            finally:
                kill(process)

    @contextmanager
    def web(self) -> Iterator[subprocess.Popen[bytes]]:
        """`whimbrel web`, once it answers."""
        with self.process("web", "--bind", f"127.0.0.1:{self._port}") as process:
            eventually(lambda: self.answers() or process.poll() is not None, "whimbrel web answers")
            if process.poll() is not None:
                raise RuntimeError(f"whimbrel web has ended: {(self.folder / 'said.log').read_text()[-2000:]}")
            yield process

    def post(self, delivery: Delivery) -> int:
        """Deliver it over a connection of its own, as GitHub does; the status of the answer."""
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Delivery": delivery.id,
            "X-GitHub-Event": "installation",
            "X-Hub-Signature-256": sign_github(SECRET, delivery.body),
        }
        return self._ask("POST", "/webhooks/github", delivery.body, headers)

    def services(self) -> AbstractContextManager[Services]:
        return assemble(self.settings)

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/health", None, {}) == 200
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def measure(folder: Path, *, number: int, rate: float, schedulers: int = 2) -> Result:
    """Deliver `number` at `rate` a second; kill every scheduler when half of it is sent, and start as many others."""
    site, sent = Site(folder), list(made(number))
    with ExitStack() as running:
        running.enter_context(site.web())
        first = [running.enter_context(site.process("scheduler")) for _ in range(schedulers)]
        eventually((site.settings.home / "redis" / "redis.sock").exists, "a scheduler has started")
        with ThreadPoolExecutor(SENDERS) as pool:
            began = time.monotonic() + 1
            answers = [pool.submit(_send, site, each, began + place / rate) for place, each in enumerate(sent)]
            answers[number // 2].result()
            for process in first:
                kill(process)
            for _ in range(schedulers):
                running.enter_context(site.process("scheduler"))
            answered = [each.result() for each in answers]
        with site.services() as services:
            eventually(lambda: "received" not in states(services), "all is handled")
            return _result(services, sent, answered)


def made(number: int) -> Iterator[Delivery]:
    """Of ten: eight installations, one delivery that was there before, one body that was."""
    bodies: list[Delivery] = []
    for place in range(number):
        match place % 10:
            case 8:
                yield bodies[-2]
            case 9:
                yield Delivery(f"again-{place}", bodies[-3].body)
            case _:
                bodies.append(Delivery(f"delivery-{place}", _installation(place)))
                yield bodies[-1]


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of it and all that it has started, but for the Redis server, which is in a session of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came to this: {what}")
        time.sleep(0.05)


def _installation(place: int) -> bytes:
    account = {"login": f"org-{place}", "type": "Organization", "html_url": f"https://github.com/org-{place}"}
    installation = {"id": place, "account": account, "permissions": {}, "updated_at": "2026-01-15T12:00:00Z"}
    filling = [{"name": f"repository-{each}", "private": True} for each in range(100)]
    payload = {"action": "created", "installation": installation, "sender": {"login": "alice"}, "repositories": filling}
    return json.dumps(payload).encode()


def _send(site: Site, delivery: Delivery, due: float) -> tuple[int, float]:
    time.sleep(max(0.0, due - time.monotonic()))
    status = site.post(delivery)
    return status, time.monotonic() - due


def states(services: Services) -> dict[str, int]:
    """How many deliveries there are, by state."""
    with services.database.reading() as tx:
        return deliveries.counts(tx)


def _result(services: Services, sent: Sequence[Delivery], answered: Sequence[tuple[int, float]]) -> Result:
    with services.database.reading() as tx:
        counted = select(func.count()).where(audit_events.c.action == "installation.created").group_by(audit_events.c.org)
        events = list(tx.execute(counted).scalars())
    statuses = [status for status, _ in answered]
    return Result(
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        latencies=[seconds for _, seconds in answered],
        installations=len({each.body for each in sent}),
        handled=len(events),
        most_events=max(events, default=0),
        states=states(services),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@click.command()
@click.option("--number", default=2000, show_default=True)
@click.option("--rate", default=200.0, show_default=True, help="Deliveries a second.")
def main(number: int, rate: float) -> None:
    """Measure, and print what was measured; status 1 where a delivery was lost, doubled or late."""
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
        result = measure(Path(folder), number=number, rate=rate)
    click.echo(f"{number} deliveries at {rate:g}/s, the schedulers killed midway; load average {os.getloadavg()[0]:.1f}")
    click.echo(f"statuses {dict(result.statuses)}, states {dict(result.states)}")
    click.echo(f"answers: p50 {1000 * result.p50:.0f} ms, p99 {1000 * result.p99:.0f} ms, max {max(result.latencies):.2f} s")
    click.echo(f"{result.handled} of {result.installations} installations handled, none more than {result.most_events} times")
    exactly_once = result.handled == result.installations and result.most_events == 1
    sys.exit(0 if exactly_once and set(result.statuses) == {202} and result.p99 < 1 else 1)


if __name__ == "__main__":
    main()
