"""Policies from an org's own repository: read as data, validated, in use from then on; a broken commit changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pygit2
import pytest

from bot.campaigns.inbox import Inbox
from bot.campaigns.scheduling import start_due
from bot.campaigns.sources import expect_news, look_after
from bot.domain.events import Pushed, RepositoryRef
from bot.domain.org_policies import OrgPolicy
from bot.domain.policy_sources import Sourced
from bot.errors import HostUnavailable, PolicyError, UsageError
from bot.hosts.github_events import normalise_github
from bot.policy_store import Catalogue, Policies
from bot.store import deliveries as stored
from bot.store import policy_sources
from tests.fakes import deliveries, repositories
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.policy_repository import NOTE, PLATFORM, Site, files, policy
from tests.fakes.repositories import Files
from tests.fakes.world import World


@pytest.fixture
def site(world: World) -> Site:
    return Site(world, "notes")


def test_what_the_branch_holds_is_in_use_and_the_commit_says_so(site: Site) -> None:
    commit = site.push(files(notes=policy()))
    site.look()
    chosen = site.catalogue().choose("notes", "acme")
    assert chosen.source == f"acme/platform@{commit}"
    assert chosen.templates["note.md.j2"] == NOTE.decode()
    assert site.check(commit).passed
    assert site.actions() == ["policies.adopted by whimbrel"]
    assert site.audited()[0]["subject"] == f"acme/platform@{commit}"


def test_its_schedule_runs_and_the_campaign_records_the_commit(site: Site) -> None:
    commit = site.push(files(notes=policy(on="{schedule: '0 9 * * *'}")))
    site.world.repository("one")
    site.look()
    start_due(site.services)
    site.world.clock.advance(24 * 3600)
    assert start_due(site.services) == 1
    started = site.audited()[-1]
    assert (started["action"], started["actor"]) == ("campaign.started", "schedule")
    campaign = site.world.campaign(started["subject"])
    assert campaign.source == f"acme/platform@{commit}"
    assert campaign.revision == site.catalogue().choose("notes", "acme").revision


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (files(notes=policy(more="flavour: sweet")), ":whimbrel/campaigns/notes.yaml:5: `flavour` is unknown"),
        (files(notes=policy(more="budget: {usd_per_attempt: 50}")), "above the ceiling of $10.00 that acme sets"),
        (files(tidy=policy()), "is the policy notes (rename it to notes.yaml, or the policy)"),
        ({"whimbrel/templates/note.md.j2": None}, "there is no template note.md.j2"),
        ({"whimbrel/templates/note.md.j2": b"{% if %}"}, "note.md.j2:1: Expected an expression"),
        ({"whimbrel/templates/note.md.j2": b"\xff"}, "templates/note.md.j2: is not UTF-8"),
        ({"whimbrel/orgs/acme.yaml": b"org: acme"}, "org policies come from the operator's disk alone (remove it)"),
        ({"whimbrel/templates/pull_request": b"x"}, "is a folder of templates"),
        ({"whimbrel/templates/" + "x" * 300: b"x"}, "which is no file's name"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_broken_commit_is_refused_beside_it_and_the_last_good_one_stays(site: Site, broken: Files, problem: str) -> None:
    good = site.push(files(notes=policy()))
    site.look()
    bad = site.push(broken)
    for _ in range(3):
        site.look()
    assert site.catalogue().choose("notes", "acme").source.endswith(good)
    shown = site.check(bad)
    assert shown.passed is False
    assert problem in shown.summary
    assert f"`{good[:12]}` stays in use." in shown.summary
    assert site.actions() == ["policies.adopted by whimbrel", "policies.refused by whimbrel"]
    mended = site.push(
        files(notes=policy(more="paths: [NOTE.md]")) | {path: None for path in broken if path not in files(notes=b"")}
    )
    site.look()
    assert site.catalogue().choose("notes", "acme").source.endswith(mended)
    assert site.check(mended).passed


def test_a_mistake_has_its_place_in_the_repository(site: Site) -> None:
    commit = site.push(files(notes=policy(more="flavour: sweet")))
    site.look()
    assert f"acme/platform@{commit[:12]}:whimbrel/campaigns/notes.yaml:5: `flavour` is unknown" in site.check(commit).summary
    assert "No policies are in use." in site.check(commit).summary


def test_only_what_the_operator_lists_may_run(site: Site) -> None:
    site.push(files(notes=policy(), extra=policy("extra", on="{schedule: '* * * * *'}")))
    site.look()
    with pytest.raises(PolicyError, match="`campaigns` does not list extra"):
        site.catalogue().choose("extra", "acme")
    start_due(site.services)
    site.world.clock.advance(3600)
    assert start_due(site.services) == 0


def test_a_policy_that_the_operator_has_too_is_refused_in_the_repository(site: Site) -> None:
    _, site.world.policies["notes"] = site.world.plan()
    commit = site.push(files(notes=policy()))
    site.look()
    assert "the operator has a policy notes too, on the disk: neither wins" in site.check(commit).summary
    assert site.catalogue().choose("notes", "acme").source == ""
    site.world.policies.clear()
    site.look()
    assert site.catalogue().choose("notes", "acme").source == f"acme/platform@{commit}", "the operator has mended it"


def test_one_that_is_put_on_the_disk_later_runs_from_neither_place(site: Site) -> None:
    site.push(files(notes=policy()))
    site.look()
    _, site.world.policies["notes"] = site.world.plan()
    with pytest.raises(PolicyError, match="has a policy of this name too: neither wins"):
        site.catalogue().choose("notes", "acme")
    assert site.catalogue().listed(site.world.org) == []


def test_the_operators_word_is_never_read_from_there(site: Site) -> None:
    """Quota, ceilings, who may start something, hosts: a file of such content is refused, and nothing of it is in use."""
    before = site.catalogue().policies.orgs["acme"]
    org = b"org: acme\nhost: local:elsewhere\nquota: {usd_per_month: 100000}\nceilings: {usd_per_attempt: 1000}\n"
    site.push(files(notes=policy()) | {"whimbrel/orgs/acme.yaml": org, "policies/orgs/acme.yaml": org, "orgs/acme.yaml": org})
    site.look()
    assert site.catalogue().policies.orgs["acme"] == before
    with pytest.raises(UsageError):
        site.catalogue().choose("notes", "acme")


def test_the_operators_templates_are_not_for_the_repositorys_policies(site: Site) -> None:
    site.push({"whimbrel/campaigns/notes.yaml": policy()})
    site.look()
    with pytest.raises(UsageError):  # note.md.j2 is on the operator's disk alone
        site.catalogue().choose("notes", "acme")


def test_a_push_starts_what_it_changes_where_the_policy_says_so(site: Site) -> None:
    site.world.org = site.world.org.model_copy(update={"campaigns": ["notes", "others", "quiet"]})
    site.world.repository("one")
    on = "{template_changed: true}"
    others = b"name: others\ndescription: x\non: {template_changed: true}\nsteps: [{run: 'true'}]\n"
    site.push(files(notes=policy(on=on), quiet=policy("quiet"), others=others))
    site.look()
    assert start_due(site.services) == 0, "the first look is no push"
    site.push({"README.md": b"words"})
    site.look()
    assert start_due(site.services) == 0, "nothing has changed"
    site.push({"whimbrel/templates/note.md.j2": b"Be kinder.\n"})
    site.look()
    assert [start_due(site.services) for _ in range(2)] == [1, 0]
    started = site.audited()[-1]
    assert (started["action"], started["actor"], started["details"]["policy"]) == (
        "campaign.started", "template_changed", "notes",
    )  # fmt: skip
    site.push(files(notes=policy(on=on, more="flavour: sweet")))
    site.look()
    assert start_due(site.services) == 0, "what is refused starts nothing"


def test_a_webhook_has_it_looked_at_before_its_time(site: Site) -> None:
    site.push(files(notes=policy()))
    site.look()
    commit = site.push(files(notes=policy(more="paths: [NOTE.md]")))
    look_after(site.services)
    assert not site.catalogue().choose("notes", "acme").source.endswith(commit)

    def pushed(name: str) -> Pushed:
        return Pushed(RepositoryRef("local", "acme", name), "main", "", commit, "mia")

    expect_news(site.services, site.world.org, pushed("other"))
    look_after(site.services)
    assert not site.catalogue().choose("notes", "acme").source.endswith(commit)
    expect_news(site.services, site.world.org, pushed("platform"))
    look_after(site.services)
    assert site.catalogue().choose("notes", "acme").source.endswith(commit)


def test_what_is_in_use_stays_while_the_host_is_out_of_reach(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    commit = site.push(files(notes=policy()))
    site.look()

    def fail(moment: str) -> None:
        raise HostUnavailable(f"503, {moment}")

    site.world.host = WatchedHost(site.world.local, fail)
    site.push(files(notes=policy(more="paths: [NOTE.md]")))
    site.look()
    assert "policies of acme are looked for again: HostUnavailable: 503" in caplog.text
    assert site.catalogue().choose("notes", "acme").source.endswith(commit)


def test_the_check_that_could_not_be_shown_is_shown_later(site: Site) -> None:
    commit = site.push(files(notes=policy()))

    def fail(_: str) -> None:
        raise HostUnavailable("503")

    site.talker.watch = fail
    site.look()
    assert site.world.local.checks(PLATFORM, commit) == {}
    site.talker.watch = lambda _: None
    look_after(site.services)
    assert site.check(commit).passed


def test_a_repository_or_branch_that_is_not_there_is_told(site: Site) -> None:
    site.look()
    with site.world.database.reading() as tx:
        found = policy_sources.find(tx, site.world.org)
    assert found is not None
    assert found.problem == "there is no repository acme/platform on this host"
    site.push(files(notes=policy()))
    site.world.org = site.world.org.model_copy(
        update={"policies_from": site.world.org.policies_from.model_copy(update={"ref": "release"})}  # type: ignore[union-attr]
    )
    site.look()
    with site.world.database.reading() as tx:
        found = policy_sources.find(tx, site.world.org)
    assert found is not None
    assert found.problem == "acme/platform has no branch release"


def test_another_folder_or_branch_begins_anew(world: World) -> None:
    site = Site(world, "notes", path=".", ref="release")
    site.push({path.removeprefix("whimbrel/"): content for path, content in files(notes=policy()).items()}, branch="main")
    commit = site.push({"templates/more": b"x"}, branch="release")
    site.look()
    assert site.catalogue().choose("notes", "acme").source == f"acme/platform@{commit}"


def test_links_are_no_files(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the operator's")
    site.push(files(notes=policy()) | {"whimbrel/templates/secret": repositories.Link(str(secret).encode())})
    site.look()
    assert "secret" not in site.catalogue().choose("notes", "acme").templates


def test_a_name_that_leads_out_of_the_folder_is_refused(site: Site) -> None:
    site.push(files(notes=policy()))
    made = pygit2.Repository(site.world.folder / "host" / "acme" / "platform.git")
    found = repositories.raw_tree(made, ("100644", b"..", made.create_blob(b"x")))
    for name in (b"templates", b"whimbrel"):
        found = repositories.raw_tree(made, ("40000", name, found))
    commit = repositories.commit_tree(made, found)
    site.look()
    assert "holds '..', which is no file's name" in site.check(commit).summary


def test_an_empty_place_says_what_it_waits_for() -> None:
    org = {"org": "acme", "host": "local:x", "quota": {"usd_per_month": 1}, "policies_from": {"repository": "acme/platform"}}
    parsed = OrgPolicy.model_validate(org)
    sourced = {"acme": Sourced("acme/platform", problem="acme/platform was not read yet")}
    with pytest.raises(
        UsageError, match="no campaign policy 'notes' in policies/campaigns/, and acme/platform was not read yet"
    ):
        Catalogue(Policies({"acme": parsed}, {}), {}, sourced).choose("notes", "acme")


@pytest.mark.slow
def test_whoever_dies_of_it_it_is_taken_up_once(new_world: Callable[..., World]) -> None:
    on = "{template_changed: true}"
    for at in count(1):
        site = Site(new_world(BladedDatabase), "notes")
        world = site.world
        assert isinstance(world.database, BladedDatabase)
        world.repository("one")
        site.push(files(notes=policy(on=on)))
        site.look()
        commit = site.push(files(notes=policy(on=on, more="paths: [NOTE.md]")))
        blade = Blade(at)
        world.database.blade, site.talker.watch = blade, blade.pass_under
        try:
            site.look()
        except Killed:
            site.look()
        world.database.blade, site.talker.watch = None, lambda _: None
        assert [start_due(site.services) for _ in range(2)] == [1, 0]
        assert site.actions() == [*["policies.adopted by whimbrel"] * 2, "campaign.started by template_changed"]
        assert site.check(commit).passed
        if not blade.fallen:
            break
    assert at > 5, "there are that many moments to die at"


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("push", {"ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40}),
        ("pull_request", deliveries.pull_request("opened")),
        ("pull_request", deliveries.pull_request("synchronize")),
    ],
)
def test_webhooks_of_the_repository_are_news_of_it(site: Site, event: str, payload: dict[str, Any]) -> None:
    site.push(files(notes=policy()))
    site.look()
    commit = site.push(files(notes=policy(more="paths: [NOTE.md]")))
    here = deliveries.about("", name="platform")
    body = deliveries.encode({**here, **payload, "repository": here["repository"]})
    with site.world.database.transaction() as tx:
        stored.receive(
            tx, host="github", id="d", event=event, body=body, now=site.world.clock.now(), signers=frozenset({"local"})
        )  # fmt: skip
    Inbox(site.services, {"github": normalise_github}).handle_pending()
    look_after(site.services)
    assert site.catalogue().choose("notes", "acme").source.endswith(commit)
