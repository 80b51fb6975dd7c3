"""An organization and its bot, from the first click on: web, scheduler and two workers as the Procfile starts them.

The host is a fake one with state, git and webhooks of its own (`forges`); all else is real, up to the Claude Code binary, whose
model is scripted. Each chapter ends when the host has nothing more to tell, and the bot nothing more to do.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from bot.demo.conversation import Conversation, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from bot.domain.pull_requests import Thread
from tests.story.attempts import playing, write
from tests.story.conftest import KEY, Project
from tests.story.forges import MAINTAINER, OPERATOR, ORG, READER, Forge, OpenForge
from tests.story.github_forge import github
from tests.story.gitlab_forge import gitlab
from tests.story.sites import Site, living

FORGES: Mapping[str, OpenForge] = {"github": github, "gitlab": gitlab}
NOTICE, GREET = "whimbrel/notice", "whimbrel/greet"


@pytest.fixture(params=["github", pytest.param("gitlab", marks=pytest.mark.slow)])
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    with FORGES[request.param](tmp_path / "forge") as made:
        yield made


@pytest.mark.parametrize("count", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_an_organization_is_migrated(
    forge: Forge, count: int, project: Project, serve: Callable[[Play], ScriptedModel]
) -> None:
    names = create_repositories(forge, count)
    write_policies(forge, project)
    project.environment |= {"LOGNAME": OPERATOR}
    project.use(serve(greeting))
    with living(forge, project, names) as site:
        the_bot_is_installed(site)
        everything_is_found(site)
        an_operator_and_two_labels_start_work(site)
        each_has_one_pull_request(site)
        each_that_was_asked_for_is_followed(site)
        a_reader_is_refused(site)
        a_comment_retries_one_with_words(site)
        closed_stays_closed_and_merged_is_done(site)
        the_bot_does_not_answer_itself(site)
        nothing_comes_of_what_is_told_again(site)
    no_secret_is_where_it_should_not_be(site)


def create_repositories(forge: Forge, count: int) -> list[str]:
    """The last one is archived; the names of the others: one of them is deep in folders, where the host has those."""
    names = sorted([f"{forge.deep}tool-00", *(f"tool-{number:02}" for number in range(1, count - 1))])
    for name in names:
        forge.create(name, {"README.md": f"# {name}\n"})
    forge.create("zoo", {"README.md": "# Old\n"}, archived=True)
    return names


def write_policies(forge: Forge, project: Project) -> None:
    (project.folder / "templates" / "files" / "NOTICE.j2").write_text("{{ repo.name }} belongs to {{ org }}.\n")
    quota = {"usd_per_month": 50, "concurrent_runs": 4}
    project.write_org(host=forge.host, campaigns=[], quota=quota, ceilings={"pull_requests_per_hour": 100})
    notice = {"template": "files/NOTICE.j2", "to": "NOTICE"}
    project.write_campaign("notice", steps=[notice], checks=[{"run": f"grep -q {ORG} NOTICE"}])
    triggers = {"label": "whimbrel:greet", "comment": True}
    greeting = {"prompt": "Write a GREETING."}
    project.write_campaign("greet", on=triggers, steps=[greeting], checks=[{"run": "test -s GREETING"}])


def greeting(conversation: Conversation) -> Turn:
    """A model that writes a greeting, in Latin where it is told to."""
    return playing(write("GREETING", "Salve!\n" if "in Latin" in conversation.prompt else "Hello!\n"))(conversation)


def the_bot_is_installed(site: Site) -> None:
    site.forge.connect(site.project, site.address)
    if site.forge.tells_of_installing:
        site.until(site.is_installed, "the bot knows that it is installed")


def everything_is_found(site: Site) -> None:
    plan = site.plan("notice")
    assert [target["repository"] for target in plan["targets"]] == site.names
    assert plan["skipped"] == [{"repository": "zoo", "reason": "archived"}]


def an_operator_and_two_labels_start_work(site: Site) -> None:
    """All at the same time; the operator twice."""
    site.issues = {name: site.forge.open_issue(MAINTAINER, name, "Be kind") for name in site.names[:3]}
    campaign = site.start("notice")
    for name in site.names[:2]:
        site.forge.label(MAINTAINER, name, site.issues[name], "whimbrel:greet")
    site.start("notice")
    site.settle()
    outcomes = {name: outcome for name, (outcome, _) in site.outcomes(campaign).items()}
    assert outcomes == {"zoo": "skipped", **dict.fromkeys(site.names, "published")}


def each_has_one_pull_request(site: Site) -> None:
    for name in site.names:
        branches = [NOTICE, GREET] if name in site.names[:2] else [NOTICE]
        assert sorted(pull.branch for pull in site.forge.pulls(name)) == sorted(branches)
        for branch in branches:
            pull = site.pull(name, branch)
            assert (pull.state, pull.labels, site.forge.comments(name, pull.thread)) == ("open", ("whimbrel",), [])
        assert site.forge.file(name, NOTICE, "NOTICE") == f"{name} belongs to {ORG}.\n"
        verdict = site.check(name, NOTICE)
        assert (verdict.name, verdict.passed) == ("whimbrel/notice", True)
        if site.forge.shows_summaries:
            assert f"| `grep -q {ORG} NOTICE` | pass |" in verdict.summary
            assert "No model was asked." in verdict.summary


def each_that_was_asked_for_is_followed(site: Site) -> None:
    for name in site.names[:2]:
        assert site.forge.file(name, GREET, "GREETING") == "Hello!\n"
        verdict = site.check(name, GREET)
        assert (verdict.name, verdict.passed) == ("whimbrel/greet", True)
        assert re.search(r", \$0\.\d+$", verdict.title)
        if site.forge.shows_summaries:
            assert re.search(r"\$0\.\d+ for [\d,]+ tokens", verdict.summary)
        assert site.forge.reactions(name, site.issues[name]) == [(site.forge.bot, "eyes")]
        require_one_comment(site, name, site.issues[name], f"`greet`: {reference(site, name)}: 1 file changed")


def reference(site: Site, name: str) -> str:
    """To its greeting."""
    return f"{site.forge.mark}{site.pull(name, GREET).number}"


def require_one_comment(site: Site, name: str, thread: Thread, last: str) -> None:
    """One comment of the bot's follows the work, is changed for each state and no oftener, and ends with `last`."""
    by_bot = [body for author, body in site.forge.comments(name, thread) if author == site.forge.bot]
    assert len(by_bot) == 1, by_bot
    assert last in by_bot[0]
    told = site.forge.told(name, thread)
    assert told[-1:] == by_bot
    assert len(set(told)) == len(told), told


def a_reader_is_refused(site: Site) -> None:
    name = site.names[2]
    thread = site.pull(name, NOTICE).thread
    comment = site.forge.comment(READER, name, thread, "/whimbrel run greet")
    site.settle()
    assert site.forge.reactions(name, thread, comment) == [(site.forge.bot, "eyes")]
    require_one_comment(site, name, thread, "rita has the permission `read`")
    assert len(site.forge.pulls(name)) == 1


def a_comment_retries_one_with_words(site: Site) -> None:
    name = site.names[0]
    before = site.pull(name, GREET)
    comment = site.forge.comment(MAINTAINER, name, before.thread, "/whimbrel retry Say it in Latin, please.\n\nThank you!")
    site.settle()
    after = site.pull(name, GREET)
    assert (after.number, after.state, after.head != before.head) == (before.number, "open", True)
    assert site.forge.file(name, GREET, "GREETING") == "Salve!\n"
    assert site.check(name, GREET).passed is True
    assert site.forge.reactions(name, after.thread, comment) == [(site.forge.bot, "eyes")]
    require_one_comment(site, name, after.thread, f"`greet`: {reference(site, name)}: 1 file changed")


def closed_stays_closed_and_merged_is_done(site: Site) -> None:
    closed, merged = site.names[2:4]
    closed_number, merged_number = site.pull(closed, NOTICE).number, site.pull(merged, NOTICE).number
    site.forge.close(MAINTAINER, closed, closed_number)
    site.forge.merge(MAINTAINER, merged, merged_number)
    site.settle()
    before = site.picture()
    campaign = site.start("notice")
    site.settle()
    assert site.picture() == before
    outcomes = site.outcomes(campaign)
    assert outcomes[closed][0] == "skipped"
    assert "stays closed" in outcomes[closed][1]
    assert {name for name, (outcome, _) in outcomes.items() if outcome != "skipped"} == {merged}
    assert outcomes[merged][0] == "no_change"
    assert sorted(site.audited("pull_request.closed", "pull_request.merged")) == [
        ("pull_request.closed", MAINTAINER, f"{ORG}/{closed}#{closed_number}"),
        ("pull_request.merged", MAINTAINER, f"{ORG}/{merged}#{merged_number}"),
    ]
    assert site.pull(closed, NOTICE).state == "closed"
    assert site.pull(merged, NOTICE).state == "merged"


def the_bot_does_not_answer_itself(site: Site) -> None:
    """Neither what it says and labels in the course of its work, nor a command that has come to be among its words."""
    name = site.names[2]
    before = site.forge.pulls(name)
    comment = site.forge.comment(site.forge.bot, name, site.issues[name], "/whimbrel run greet")
    site.settle()
    assert site.forge.reactions(name, site.issues[name], comment) == []
    assert site.forge.comments(name, site.issues[name]) == [(site.forge.bot, "/whimbrel run greet")]
    assert site.forge.pulls(name) == before
    ended = site.ends(site.forge.delivered_of(site.forge.bot))
    assert ended
    assert {state for state, _ in ended} == {"ignored"}


def nothing_comes_of_what_is_told_again(site: Site) -> None:
    before = site.picture()
    site.forge.deliver_again(as_new=False)
    site.settle()
    site.forge.deliver_again(as_new=True)
    site.settle()
    assert site.picture() == before
    assert site.forge.refused() == []


def no_secret_is_where_it_should_not_be(site: Site) -> None:
    """Not in the database, an artifact, a mirror or its config, nor in what a process wrote."""
    site.forge.require_narrow_tokens(site.names)
    assert holders(site.project.folder, [*site.forge.secrets(), KEY]) == set()
    assert {file.parent.parent for file in holders(site.project.folder, site.forge.kept_secrets())} == {
        site.project.home / site.forge.kind
    }


def holders(folder: Path, secrets: Iterable[str]) -> set[Path]:
    """The files below the folder that have one of them in it."""
    wanted = [secret.encode() for secret in secrets]
    files = [(file, readable(file)) for file in folder.rglob("*") if file.is_file()]
    return {file for file, content in files if any(secret in content for secret in wanted)}


def readable(file: Path) -> bytes:
    """With what git has compressed laid open."""
    content = file.read_bytes()
    try:
        return content + zlib.decompress(content)
    except zlib.error:
        return content
