"""A host's repositories as git reaches them by HTTP: the credential is one process' environment, and nowhere else."""

from __future__ import annotations

import base64

from bot.domain.repositories import Remote


def http_remote(web: str, path: str, *, user: str, token: str) -> Remote:
    """The token is in a header that git sends to this instance only; it follows no redirect to another."""
    basic = base64.b64encode(f"{user}:{token}".encode()).decode()
    settings = {f"http.{web}/.extraHeader": f"Authorization: Basic {basic}", "http.followRedirects": "false"}
    environment = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return Remote(f"{web}/{path}.git", environment)
