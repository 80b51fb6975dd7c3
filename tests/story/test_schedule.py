"""An organization whose campaigns run themselves: the real scheduler and worker, on the local host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import select, update

from bot.config import Settings
from bot.store.database import Database
from bot.store.schema import policy_sources, schedules, starts
from tests.fakes import repositories
from tests.story.conftest import Project
from tests.story.test_cli import NOTES, PATIENCE_SECONDS, completed, process

T = TypeVar("T")
DAILY = {"schedule": "0 3 * * *", "schedule_grace_minutes": 1500}


@contextmanager
def database(project: Project) -> Iterator[Database]:
    opened = Database(Settings.from_environment(project.environment | {"WHIMBREL_HOME": str(project.home)}).database_url)
    yield opened
    opened.dispose()


def eventually(look: Callable[[], T], project: Project) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail("in vain was waited:\n" + "\n".join(log.read_text() for log in project.folder.glob("*.log")))
        time.sleep(0.1)
    return found


def rows(opened: Database, table: Any) -> list[Any]:
    with opened.reading() as tx:
        return list(tx.execute(select(table)))


@pytest.mark.slow
def test_a_scheduled_policy_runs_by_itself_and_is_told_of(project: Project) -> None:
    project.write_org(timezone="Europe/Berlin")
    project.write_campaign("notes", on=DAILY, **NOTES)
    project.repository("alpha", {"a": b"a"})
    assert project.whimbrel("schedule", "--json").json[0]["last"] is None
    with database(project) as opened:
        with process(project, "scheduler") as scheduler:
            eventually(lambda: rows(opened, schedules), project)
            scheduler.terminate()
            assert scheduler.wait(PATIENCE_SECONDS) == 0
        two_days_ago = datetime.now(UTC) - timedelta(days=2)
        with opened.transaction() as tx:  # as if no scheduler had been at work since
            tx.execute(update(schedules).values(decided=two_days_ago))
        with process(project, "scheduler"), process(project, "worker"):
            ended = eventually(lambda: [row for row in rows(opened, starts) if row.campaign_id], project)
            campaign = completed(project, ended[0].campaign_id)
        assert sorted(row.state for row in rows(opened, starts)) == ["missed", "started"]
    assert campaign.outcomes == {"alpha": "published"}
    assert len(project.pull_requests()) == 1
    (told,) = project.whimbrel("schedule", "--org", "acme", "--json").json
    assert (told["policy"], told["schedule"], told["timezone"]) == ("notes", "0 3 * * *", "Europe/Berlin")
    assert told["next"][11:16] == told["last"]["slot"][11:16] == "03:00"
    assert (told["last"]["state"], told["last"]["campaign"]) == ("started", campaign.id)
    shown = project.whimbrel("schedule", COLUMNS="200").stdout
    assert "notes" in shown
    assert f"started {campaign.id}" in " ".join(shown.split())
    assert "schedule" in project.whimbrel("audit", "export", "--org", "acme").stdout


def test_mistakes_are_told_with_their_place(project: Project) -> None:
    project.write_campaign("notes", on={"schedule": "0 25 * * *"}, **NOTES)
    refused = project.whimbrel("schedule", status=2)
    assert "policies/campaigns/notes.yaml:" in refused.stderr
    assert "its hour is wrong" in refused.stderr
    project.write_campaign("notes", **NOTES)
    assert "no policy starts by itself" in project.whimbrel("schedule").stdout


POLICY = """name: kind
description: Every repository has a note
on: {template_changed: true}
steps: [{template: note.md.j2, to: NOTE.md, mode: overwrite}]
"""


@pytest.mark.slow
def test_policies_come_from_the_organizations_own_repository(project: Project) -> None:
    project.write_org(policies_from={"repository": "acme/platform"}, campaigns=["standardize", "kind"])
    bare = project.repository("platform", {"whimbrel/templates/note.md.j2": b"Be kind.\n"})
    missing = project.whimbrel("plan", "kind", "--org", "acme", status=2)
    assert "there is no campaign policy 'kind'" in missing.stderr
    commit = repositories.commit(bare, {"whimbrel/campaigns/kind.yaml": POLICY.encode()})
    project.repository("alpha", {"a": b"a"})
    campaign = project.run("kind", "--repo", "alpha")
    assert campaign.outcomes == {"alpha": "published"}
    assert campaign.status["source"] == f"acme/platform@{commit}"
    shown = project.whimbrel("show", campaign["alpha"]["id"], "--json").json
    assert shown["campaign"]["source"] == f"acme/platform@{commit}"
    assert f"acme/platform@{commit}" in project.whimbrel("audit", "export", "--org", "acme").stdout
    repositories.commit(bare, {"whimbrel/campaigns/kind.yaml": b"name: kind\nflavour: sweet\n"})
    assert project.whimbrel("plan", "kind", "--org", "acme", "--json").json["revision"] == campaign.status["revision"]
    shown = " ".join(project.whimbrel("schedule").stdout.split())
    assert f"acme/platform@{commit} is in use" in shown
    assert "`flavour` is unknown" in shown
    assert "standardize" in project.whimbrel("plan", "standardize", "--org", "acme", "--json").stdout


@pytest.mark.slow
def test_a_push_there_is_taken_up_and_starts_what_it_changes(project: Project) -> None:
    project.write_org(policies_from={"repository": "acme/platform"}, campaigns=["standardize", "kind"])
    place, text = "whimbrel/campaigns/kind.yaml", POLICY.encode()
    bare = project.repository("platform", {"whimbrel/templates/note.md.j2": b"Be kind.\n", place: text})
    project.repository("alpha", {"a": b"a"})
    project.whimbrel("db", "upgrade")
    with database(project) as opened, process(project, "scheduler"), process(project, "worker"):

        def seen() -> dict[str, str]:
            """What is in use, and what is wrong with what was read last; it is time to look again."""
            with opened.transaction() as tx:
                tx.execute(update(policy_sources).values(look_at=datetime.now(UTC)))
            return {row.commit: row.problem for row in rows(opened, policy_sources)}

        def check(commit: str) -> Any:
            file = project.bare("platform").with_suffix(".meta") / "checks" / f"{commit}.json"
            return file.exists() and json.loads(file.read_text())["reports"]["whimbrel/policies"]

        first = str(bare.revparse_single("main").id)
        eventually(lambda: first in seen(), project)
        broken = repositories.commit(bare, {place: text + b"flavour: sweet\n"})
        eventually(lambda: seen().get(first), project)
        assert "`flavour` is unknown" in eventually(lambda: check(broken), project)["summary"]
        mended = repositories.commit(bare, {place: text, "whimbrel/templates/note.md.j2": b"Be kinder.\n"})
        (started,) = eventually(lambda: seen() and [row for row in rows(opened, starts) if row.campaign_id], project)
        assert eventually(lambda: check(mended), project)["passed"]
        campaign = completed(project, started.campaign_id)
    assert campaign.status["source"] == f"acme/platform@{mended}"
    assert campaign.outcomes == {"alpha": "published", "platform": "published"}
