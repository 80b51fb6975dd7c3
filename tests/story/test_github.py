"""An organization and its bot, from the first click on: web, scheduler and two workers as the Procfile starts them.

The host is a fake one with state, git and webhooks of its own (`forges`); all else is real, up to the Claude Code binary, whose
model is scripted. Each chapter ends when the host has nothing more to tell, and the bot nothing more to do.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bot.config import Settings
from bot.demo.conversation import Conversation, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from bot.domain.states import RunState
from bot.store.database import Database
from bot.store.effects import BEGUN
from bot.store.schema import deliveries, effects, installations, runs
from tests.story.attempts import playing, write
from tests.story.conftest import KEY, Project
from tests.story.forges import FORGES, MAINTAINER, OPERATOR, ORG, READER, CheckSeen, Forge, PullSeen
from tests.story.test_cli import process

PATIENCE_SECONDS = 150
LOOK_SECONDS = 0.1
NOTICE = "whimbrel/notice"
GREET = "whimbrel/greet"


@dataclass
class Site:
    """The forge, and the project whose processes are up. `names` are the repositories, without the archived one; in some of
    them, an issue was opened."""

    forge: Forge
    project: Project
    names: list[str]
    database: Database
    address: str = ""
    issues: dict[str, int] = field(default_factory=dict)

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"in vain was waited until {what}; {self.unfinished()}\n{self.output()}")
            time.sleep(LOOK_SECONDS)

    def settle(self) -> None:
        """Until all webhooks are answered and handled, all runs have ended, and what is to be told is told."""
        self.until(self._is_settled, "all is done")

    def _is_settled(self) -> bool:
        """What the bot had done when it was idle has been delivered; and nothing has come of that, nor of anything else."""
        before = self._received()
        was_idle = not any(self.unfinished())
        return was_idle and self.forge.is_quiet() and not any(self.unfinished()) and self._received() == before

    def unfinished(self) -> tuple[list[str], list[str], list[str]]:
        """Deliveries, runs and effects."""
        with self.database.reading() as tx:
            waiting = tx.execute(select(deliveries.c.event).where(deliveries.c.state == "received")).scalars()
            going_on = tx.execute(select(runs.c.id).where(runs.c.state != RunState.ENDED)).scalars()
            begun = tx.execute(select(effects.c.key).where(effects.c.state == BEGUN)).scalars()
            return list(waiting), list(going_on), list(begun)

    def _received(self) -> int:
        with self.database.reading() as tx:
            return tx.execute(select(func.count()).select_from(deliveries)).scalar_one()

    def output(self) -> str:
        """What the processes have written."""
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(self.project.folder.glob("*.log")))

    def pull(self, repository: str, branch: str) -> PullSeen:
        """The one from this branch: there is never another."""
        (found,) = (pull for pull in self.forge.pulls(repository) if pull.branch == branch)
        return found

    def the_check(self, repository: str, branch: str) -> CheckSeen:
        """The one on its head."""
        (found,) = self.forge.checks(repository, self.pull(repository, branch).head)
        return found

    def start(self, policy: str) -> dict[str, Any]:
        """The operator starts it on the whole organization; the status of its campaign at once."""
        started: dict[str, Any] = self.project.whimbrel("run", policy, "--org", ORG, "--detach", "--json").json
        return started

    def plan(self, policy: str) -> dict[str, Any]:
        made: dict[str, Any] = self.project.whimbrel("plan", policy, "--org", ORG, "--json").json
        return made

    def audited(self, action: str) -> list[tuple[str, str]]:
        """Who, and what, of each such event."""
        lines = self.project.whimbrel("audit", "export", "--org", ORG).stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [(event["actor"], event["subject"]) for event in events if event["action"] == action]

    def picture(self) -> list[object]:
        """All that people see."""
        return [self.forge.seen(name) for name in self.names]


def greeting(conversation: Conversation) -> Turn:
    """A model that writes a greeting, in Latin where it is told to."""
    return playing(write("GREETING", "Salve!\n" if "in Latin" in conversation.prompt else "Hello!\n"))(conversation)


@contextmanager
def living(forge: Forge, project: Project, count: int) -> Iterator[Site]:
    """`count` repositories, one of them archived, and every process up; at the end they are told to go, and do."""
    names = [f"tool-{number:02}" for number in range(count - 1)]
    for name in names:
        forge.create(name, {"README.md": f"# {name}\n", "setup.cfg": "[metadata]\n"})
    forge.create("old", {"README.md": "# old\n"}, archived=True)
    write_policies(forge, project)
    settings = Settings.from_environment(project.environment | {"WHIMBREL_HOME": str(project.home)})
    database = Database(settings.database_url)
    site = Site(forge, project, names, ["old"], database)
    with ExitStack() as stack:
        stack.callback(database.dispose)
        started = [stack.enter_context(process(project, *command)) for command in of_procfile()]
        site.until(lambda: is_up(site), "all processes are up")
        yield site
        for each in started:
            each.send_signal(signal.SIGTERM)
        assert [each.wait(PATIENCE_SECONDS) for each in started] == [0, 0, 0], site.output()


def of_procfile() -> list[list[str]]:
    """The arguments of each process; the web's port is any that is free."""
    lines = (Path(__file__).parents[2] / "Procfile").read_text().splitlines()
    commands = {name: shlex.split(command)[1:] for name, _, command in (line.partition(":") for line in lines)}
    commands["web"] += ["--bind", "127.0.0.1:0"]
    return list(commands.values())


def write_policies(forge: Forge, project: Project) -> None:
    notice = project.folder / "templates" / "files" / "NOTICE.j2"
    notice.write_text("{{ repo.name }} belongs to {{ org }}.\n")
    project.write_org(
        host=forge.host, campaigns=[], quota={"usd_per_month": 50, "concurrent_runs": 4}, ceilings={"pull_requests_per_hour": 100}
    )
    project.write_campaign(
        "notice", steps=[{"template": "files/NOTICE.j2", "to": "NOTICE"}], checks=[{"run": "grep -q acme NOTICE"}]
    )
    project.write_campaign(
        "greet",
        on={"label": "whimbrel:greet", "comment": True},
        steps=[{"prompt": "Write a GREETING."}],
        checks=[{"run": "test -s GREETING"}],
    )


def is_up(site: Site) -> bool:
    """Is there a database, a web process that answers, and a Redis that the others have started?"""
    listening = re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", site.output())
    if listening is None:
        return False
    site.address = listening[1]
    return httpx.get(f"{site.address}/health", trust_env=False).json()["status"] == "ok"


@pytest.fixture(params=FORGES)
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    with FORGES[request.param](tmp_path / "forge") as made:
        yield made


@pytest.mark.parametrize("count", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_an_organization_is_migrated(
    forge: Forge, count: int, project: Project, serve: Callable[[Play], ScriptedModel]
) -> None:
    project.environment |= {"LOGNAME": OPERATOR}
    project.use(serve(greeting))
    with living(forge, project, count) as site:
        the_bot_is_installed(site)
        everything_is_found(site)
        issues = the_operator_and_two_labels_start_work(site)
        each_has_one_pull_request(site, issues)
        a_reader_is_refused(site)
        a_comment_retries_one_with_words(site)
        what_is_closed_stays_closed_and_what_is_merged_is_done(site)
        the_bot_does_not_answer_itself(site)
        nothing_comes_of_what_is_told_again(site)
    no_secret_was_kept(site)


def the_bot_is_installed(site: Site) -> None:
    site.forge.connect(site.project, site.address)

    def is_installed() -> bool:
        with site.database.reading() as tx:
            return tx.execute(select(installations.c.state).where(installations.c.org == ORG)).scalar() is not None

    site.until(is_installed, "the bot knows of its installation")
    site.settle()


def everything_is_found(site: Site) -> None:
    plan = site.plan("notice")
    assert [target["repository"] for target in plan["targets"]] == site.names
    assert [(each["repository"], "archived" in each["reason"]) for each in plan["skipped"]] == [(site.archived[0], True)]


def the_operator_and_two_labels_start_work(site: Site) -> dict[str, int]:
    """All at the same time. The issues that were labelled, by their repositories."""
    site.start("notice")
    issues = {name: site.forge.open_issue(MAINTAINER, name, "Be kind") for name in site.names[:2]}
    for name, number in issues.items():
        site.forge.label(MAINTAINER, name, number, "whimbrel:greet")
    site.settle()
    return issues


def each_has_one_pull_request(site: Site, issues: Mapping[str, int]) -> None:
    forge = site.forge
    for name in site.names:
        branches = {NOTICE, GREET} if name in issues else {NOTICE}
        assert {pull.branch for pull in forge.pulls(name)} == branches
        for branch in branches:
            pull = site.pull(name, branch)
            assert (pull.state, pull.labels) == ("open", ("whimbrel",))
            assert forge.comments(name, pull.number) == []
            assert site.the_check(name, branch).passed is True
        assert forge.file(name, NOTICE, "NOTICE") == f"{name} belongs to {ORG}.\n"
        assert "No model was asked." in site.the_check(name, NOTICE).summary
    for name, issue in issues.items():
        assert forge.file(name, GREET, "GREETING") == "Hello!\n"
        verdict = site.the_check(name, GREET)
        assert re.search(r", \$0\.\d+$", verdict.title), verdict
        assert re.search(r"test -s GREETING.*\| pass ", verdict.summary), verdict
        assert forge.reactions(name, issue) == [(forge.bot, "eyes")]
        follows(site, name, issue, f"`greet`: #{site.pull(name, GREET).number}: 1 file changed")


def follows(site: Site, name: str, number: int, last: str) -> None:
    """One comment of the bot's followed the work, changed for each state and no oftener, and ends with `last`."""
    by_bot = [body for author, body in site.forge.comments(name, number) if author == site.forge.bot]
    assert len(by_bot) == 1, by_bot
    assert last in by_bot[0]
    told = site.forge.told(name, number)
    assert told[-1] == by_bot[0]
    assert len(set(told)) == len(told), told


def a_reader_is_refused(site: Site) -> None:
    name = site.names[2]
    pull = site.pull(name, NOTICE)
    comment = site.forge.comment(READER, name, pull.number, "/whimbrel run greet")
    site.settle()
    (_, (author, body)) = site.forge.comments(name, pull.number)
    assert author == site.forge.bot
    assert "rita has the permission `read`" in body
    assert site.forge.reactions(name, pull.number, comment) == [(site.forge.bot, "eyes")]
    assert len(site.forge.pulls(name)) == 1


def a_comment_retries_one_with_words(site: Site) -> None:
    name = site.names[0]
    before = site.pull(name, GREET)
    comment = site.forge.comment(MAINTAINER, name, before.number, "/whimbrel retry Say it in Latin, please.\n\n@everybody")
    site.settle()
    after = site.pull(name, GREET)
    assert (after.number, after.state, after.head != before.head) == (before.number, "open", True)
    assert site.forge.file(name, GREET, "GREETING") == "Salve!\n"
    assert site.the_check(name, GREET).passed is True
    assert site.forge.reactions(name, after.number, comment) == [(site.forge.bot, "eyes")]
    follows(site, name, after.number, f"`greet`: #{after.number}: 1 file changed")


def what_is_closed_stays_closed_and_what_is_merged_is_done(site: Site) -> None:
    closed, merged = site.names[2:4]
    site.forge.close(MAINTAINER, closed, site.pull(closed, NOTICE).number)
    site.forge.merge(MAINTAINER, merged, site.pull(merged, NOTICE).number)
    site.settle()
    before = site.picture()
    site.start("notice")
    site.settle()
    assert site.picture() == before
    assert site.pull(closed, NOTICE).state == "closed"
    assert site.pull(merged, NOTICE).state == "merged"
    skipped = {each["repository"]: each["reason"] for each in site.plan("notice")["skipped"]}
    print(skipped)
    assert site.audited("pull_request.closed") == [(MAINTAINER, f"{ORG}/{closed}#{number}")]
    assert site.audited("pull_request.merged") == [(MAINTAINER, f"{ORG}/{merged}#{number}")]


def nothing_comes_of_what_is_told_again(site: Site) -> None:
    before = site.picture()
    site.forge.deliver_again(as_new=False)
    site.settle()
    site.forge.deliver_again(as_new=True)
    site.settle()
    assert site.picture() == before
    assert site.forge.refused() == []


def the_bot_does_not_answer_itself(site: Site) -> None:
    """Neither what it says and labels in the course of its work, nor a command that came to be among its words."""
    name = site.names[2]
    before = site.forge.told(name, site.issues[name]), site.forge.pulls(name)
    comment = site.forge.comment(site.forge.bot, name, site.issues[name], "/whimbrel run greet")
    site.settle()
    assert before == (site.forge.told(name, site.issues[name])[:-1], site.forge.pulls(name))
    assert site.forge.reactions(name, site.issues[name], comment) == []
    own = site.forge.delivered_of(site.forge.bot)
    assert own
    with site.database.reading() as tx:
        ends = tx.execute(select(deliveries.c.state, deliveries.c.reason).where(deliveries.c.id.in_(own))).all()
    assert set(ends) == {("ignored", "nothing was asked for"), ("ignored", "nothing follows such an event")}


def no_secret_was_kept(site: Site) -> None:
    forge, project = site.forge, site.project
    forge.require_narrow_tokens(site.names)
    kept_at = project.home / "github"
    nowhere = [*forge.secrets(), KEY]
    for file in (each for each in project.folder.rglob("*") if each.is_file()):
        unwanted = nowhere if file.is_relative_to(kept_at) else [*nowhere, *forge.kept_secrets()]
        content = readable(file)
        found = [secret for secret in unwanted if secret.encode() in content]
        assert found == [], f"{len(found)} secrets are in {file}"


def readable(file: Path) -> bytes:
    """With what git has compressed laid open."""
    content = file.read_bytes()
    try:
        return content + zlib.decompress(content)
    except zlib.error:
        return content
