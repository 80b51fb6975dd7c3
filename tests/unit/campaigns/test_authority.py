from __future__ import annotations

import pytest

from bot.campaigns.authority import require_permission, require_permission_on
from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.errors import UsageError
from bot.hosts.local import LocalHost
from tests.fakes.world import World


class Strict(LocalHost):
    """Says what a test has it say of everybody."""

    says = "read"

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
