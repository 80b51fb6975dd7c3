from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bot.campaigns.authority import require_permission, require_permission_on
from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.errors import NotFound, UsageError
from bot.hosts.local import LocalHost
from tests.fakes.talker import Talker
from tests.fakes.world import World


class Strict(LocalHost):
    """Says what a test has it say of everybody; `teams` are the members of each."""

    says = "read"
    teams: Mapping[str, Sequence[str]] = {}

    def is_in_team(self, org: str, team: str, user: str) -> bool:
        if team not in self.teams:
            raise NotFound(f"there is no team {org}/{team}")
        return user in self.teams[team]

    def permission(self, org: str, user: str) -> str:
        return self.says

    def permission_on(self, repository: Repository, user: str) -> str:
        return self.says


@pytest.mark.parametrize(("has", "needed"), [("none", "read"), ("read", "write"), ("write", "admin")])
def test_too_little_is_refused_with_the_mend(world: World, has: str, needed: str) -> None:
    host = Strict(world.folder / "host")
    host.says = has
    org = OrgPolicy.model_validate(world.org.model_dump() | {"may_trigger": {"permission": needed}})
    with pytest.raises(UsageError, match=f"bob has the permission `{has}` on acme, `{needed}` is needed") as refused:
        require_permission(host, org, "bob")
    assert "policies/orgs/acme.yaml" in refused.value.mend


def test_enough_or_being_named_is_fine(world: World) -> None:
    host = Strict(world.folder / "host")
    host.says = "write"
    require_permission(host, world.org, "bob")
    host.says = "none"
    org = OrgPolicy.model_validate(world.org.model_dump() | {"may_trigger": {"permission": "admin", "users": ["bob"]}})
    require_permission(host, org, "bob")


def test_on_a_repository_what_counts_is_the_permission_there(world: World) -> None:
    host, tool = Strict(world.folder / "host"), Repository("acme", "tool", "", None)
    with pytest.raises(UsageError, match="bob has the permission `read` on acme/tool, `write` is needed"):
        require_permission_on(host, world.org, tool, "bob")
    host.says = "admin"
    require_permission_on(host, world.org, tool, "bob")
    host.says = "none"
    org = OrgPolicy.model_validate(world.org.model_dump() | {"may_trigger": {"permission": "admin", "users": ["Bob"]}})
    require_permission_on(host, org, tool, "bOB")


def test_who_is_in_one_of_the_teams_may(world: World, caplog: pytest.LogCaptureFixture) -> None:
    host, tool = Strict(world.folder / "host"), Repository("acme", "tool", "", None)
    host.teams = {"platform": ["bob"]}
    org = OrgPolicy.model_validate(
        world.org.model_dump() | {"host": "github", "may_trigger": {"permission": "write", "teams": ["gone", "platform"]}}
    )
    require_permission(host, org, "bob")
    require_permission_on(host, org, tool, "bob")
    assert "there is no team acme/gone" in caplog.text
    with pytest.raises(UsageError, match="`write` is needed to start a campaign, and eve is in no team of gone, platform"):
        require_permission_on(host, org, tool, "eve")


def test_a_host_without_teams_admits_nobody_by_them(world: World) -> None:
    org = OrgPolicy.model_validate(world.org.model_dump() | {"host": "github", "may_trigger": {"teams": ["platform"]}})
    with pytest.raises(UsageError, match="bob is in no team of platform"):
        require_permission_on(Talker(world.local), org, Repository("acme", "tool", "", None), "bob")
