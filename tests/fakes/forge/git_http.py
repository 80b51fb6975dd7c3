"""Git over HTTP, by git's own `git http-backend`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from werkzeug.wrappers import Request, Response

from tests.fakes.forge.gitstore import Bare


def is_write(request: Request, rest: str) -> bool:
    """Whether it is a part of a push; `rest` is the path after NAME.git/."""
    return (request.args.get("service") or rest) == "git-receive-pack"


def backend(request: Request, repository: Bare, rest: str, rules: Mapping[str, str]) -> Response:
    """`rules` are variables for the hooks of the repository."""
    body = request.get_data()
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(repository.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "PATH_INFO": f"/{rest}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string.decode(),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_USER": "hub",
        **rules,
    }
    ran = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
    head, _, content = ran.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return Response(content, status, headers)
