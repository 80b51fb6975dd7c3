"""Webhooks through the processes of a Procfile, some of which are killed: all that was answered is handled, once."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from benchmarks.webhooks import Site, eventually, kill, made, measure, states


def test_what_was_answered_is_handled_after_a_kill(tmp_path: Path) -> None:
    """kill -9 of `whimbrel web` when it has answered and nobody was there to handle it; and it is told again after that."""
    site, sent = Site(tmp_path), list(made(20))
    with site.web() as web:
        assert [site.post(each) for each in sent] == [202] * 20
        kill(web)
    with site.services() as services, site.process("scheduler"), site.web():
        eventually(lambda: states(services) == {"done": 16, "ignored": 2}, "all is handled")
        assert [site.post(each) for each in sent] == [202] * 20
        assert states(services) == {"done": 16, "ignored": 2}


def test_a_worker_of_the_web_that_dies_is_replaced(tmp_path: Path) -> None:
    site, sent = Site(tmp_path), list(made(2))
    with site.web() as web:
        assert site.post(sent[0]) == 202
        [worker] = psutil.Process(web.pid).children()
        worker.kill()
        eventually(site.answers, "another worker answers")
        assert site.post(sent[1]) == 202


def test_both_end_at_sigterm(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.web() as web, site.process("scheduler") as scheduler:
        eventually((site.settings.home / "redis" / "redis.sock").exists, "the scheduler has started")
        for process in (web, scheduler):
            process.terminate()
        assert [process.wait(60) for process in (web, scheduler)] == [0, 0]


@pytest.mark.slow
def test_under_load_with_the_schedulers_killed_midway_each_is_handled_exactly_once(tmp_path: Path) -> None:
    result = measure(tmp_path, number=400, rate=100)
    assert dict(result.statuses) == {202: 400}
    assert (result.handled, result.most_events) == (result.installations, 1)
    assert set(result.states) <= {"done", "ignored"}
