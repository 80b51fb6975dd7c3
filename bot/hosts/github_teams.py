"""Who is in a team: asked of GitHub."""

from __future__ import annotations

from urllib.parse import quote

from bot.errors import NotFound
from bot.hosts.github_transport import Client


def is_in_team(client: Client, org: str, team: str, user: str) -> bool:
    """Also by a team below it; whoever was invited and has not come yet is `pending`. Raises NotFound without the team."""
    path = f"/orgs/{quote(org, safe='')}/teams/{quote(team, safe='')}"
    try:
        _, found = client.requestJsonAndCheck("GET", f"{path}/memberships/{quote(user, safe='')}")
    except NotFound:
        _team(client, path, f"{org}/{team}")
        return False
    return bool(found["state"] == "active")


def _team(client: Client, path: str, name: str) -> None:
    try:
        client.requestJsonAndCheck("GET", path)
    except NotFound as error:
        raise NotFound(f"there is no team {name}", mend="name it as its address does; the App needs `members: read`") from error
