"""A push of all-repos that moves the branch and opens nothing; all-repos itself has one a host, and none for a folder."""

import subprocess
from typing import NamedTuple


class Settings(NamedTuple):
    """None."""


def push(settings: Settings, branch_name: str) -> None:  # noqa: ARG001 - all-repos' signature
    subprocess.run(["git", "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch_name}"], check=True)
