"""Who the bot is to a group of a GitLab instance: whoever its access token belongs to; from the environment or the home.

A group access token is good for one group and those below it, so the home keeps one a group: gitlab/HOSTNAME/GROUP.json, 0600.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.errors import ConfigurationError
from bot.hosts.credential_files import instance_folder, write_secret
from bot.hosts.signers import Signer, signers

GITLAB = "https://gitlab.com"


@dataclass(frozen=True, slots=True)
class GitLabAccess:
    """`token` is a group's, a service account's, a person's or an OAuth application's: GitLab takes each as a bearer's.

    `webhook_secrets` are valid at once, the newest first, so that they can be rotated: one that begins with `whsec_` is a
    signing token, another a secret token; none refuses every delivery. `group` is the full path that the token was set up for,
    and `webhook_url` where hooks are to deliver; both are empty where they are not known.
    """

    token: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    group: str = ""
    webhook_url: str = ""


def load(home: Path, url: str, group: str, environ: Mapping[str, str]) -> GitLabAccess | None:
    """The credential for `group` on the instance at `url`, the first of these that is there.

    WHIMBREL_GITLAB_TOKEN (with WHIMBREL_GITLAB_WEBHOOK_SECRET, several by commas, and WHIMBREL_GITLAB_WEBHOOK_URL), where
    WHIMBREL_GITLAB_URL is not set or is this instance; the home's for the group, or for the nearest group above it.
    Raises ConfigurationError for a file that cannot be used.
    """
    return of_environment(url, environ) or _of_home(home, url, group)


def of_environment(url: str, environ: Mapping[str, str]) -> GitLabAccess | None:
    token, only = environ.get("WHIMBREL_GITLAB_TOKEN"), environ.get("WHIMBREL_GITLAB_URL")
    if not token or (only and only.rstrip("/").lower() != url):
        return None
    secrets = environ.get("WHIMBREL_GITLAB_WEBHOOK_SECRET", "").split(",")
    return GitLabAccess(
        token=token,
        webhook_secrets=tuple(secret.strip() for secret in secrets if secret.strip()),
        webhook_url=environ.get("WHIMBREL_GITLAB_WEBHOOK_URL", ""),
    )


def save(home: Path, url: str, access: GitLabAccess) -> None:
    """Keep it in the home, in the place of an earlier one for that group."""
    about = {
        "url": url,
        "group": access.group,
        "token": access.token,
        "webhook_secrets": list(access.webhook_secrets),
        "webhook_url": access.webhook_url,
    }
    write_secret(_file(home, url, access.group), json.dumps(about, indent=2) + "\n")


def kept(home: Path) -> list[tuple[str, GitLabAccess]]:
    """All that the home has, each with its instance's URL. Raises ConfigurationError as `load` does."""
    return [_read(file) for file in sorted((home / "gitlab").glob("*/*.json"))]


def webhook_signers(home: Path, environ: Mapping[str, str]) -> list[Signer]:
    """Who signs genuine deliveries: the environment's instance (WHIMBREL_GITLAB_URL, gitlab.com without it), and those of the
    home. Raises ConfigurationError as `load` does."""
    own = (environ.get("WHIMBREL_GITLAB_URL") or GITLAB).rstrip("/").lower()
    given = of_environment(own, environ)
    known = [*([(own, given)] if given else []), *kept(home)]
    return [signer for url, access in known for signer in signers(url, access.webhook_secrets)]


def _of_home(home: Path, url: str, group: str) -> GitLabAccess | None:
    for name in _upwards(group):
        file = _file(home, url, name)
        if file.exists():
            return _read(file)[1]
    return None


def _upwards(group: str) -> Iterator[str]:
    """The group's path, then those of the groups above it."""
    while group:
        yield group
        group = group.rpartition("/")[0]


def _file(home: Path, url: str, group: str) -> Path:
    """GitLab tells no groups apart by the case of their letters."""
    return instance_folder(home, "gitlab", url) / f"{quote(group.lower(), safe='')}.json"


def _read(file: Path) -> tuple[str, GitLabAccess]:
    try:
        about: dict[str, Any] = json.loads(file.read_text())
        return str(about["url"]), GitLabAccess(
            token=str(about["token"]),
            webhook_secrets=tuple(map(str, about["webhook_secrets"])),
            group=str(about["group"]),
            webhook_url=str(about["webhook_url"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} cannot be used: {error}", mend="run `whimbrel setup gitlab` again") from error
