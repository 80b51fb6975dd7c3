"""A checkout made with the real git, over HTTP, with a token."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Git:
    """In `folder`, with what is at `base` (a fake's URL); `user` goes before the token."""

    def __init__(self, base: str, folder: Path, repository: str, *, user: str, token: str):
        self.base, self.folder, self.repository, self.user, self.token = base, folder, repository, user, token
        folder.mkdir()

    def url(self, repository: str = "", *, token: str | None = None) -> str:
        credential = f"{self.user}:{token or self.token}"
        return self.base.replace("//", f"//{credential}@") + f"/{repository or self.repository}.git"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
        environment = {"PATH": os.environ["PATH"], **alone, **who}
        return subprocess.run(
            ["git", *arguments], check=False, cwd=self.folder, env=environment, capture_output=True, text=True
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, path: str, content: str) -> str:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content)
        self.ok("add", "--all")
        self.ok("commit", "-m", "Change")
        return self.ok("rev-parse", "HEAD")
