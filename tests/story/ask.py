"""Asks the gateway, through its socket, what an agent must not get. It travels into a repository, so it needs Python alone."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

USER = {"role": "user", "content": "hi"}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 5, "messages": [USER]}
IMAGE = {"type": "image", "source": {"type": "url", "url": "http://example.com/a.png"}}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "allowed": ("/v1/messages", MESSAGE),
    "another model": ("/v1/messages", MESSAGE | {"model": "claude-opus-4-5"}),
    "another path": ("/v1/models", MESSAGE),
    "a file": ("/v1/files", MESSAGE),
    "a server tool": ("/v1/messages", MESSAGE | {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "an MCP server": ("/v1/messages", MESSAGE | {"mcp_servers": [{"type": "url", "url": "http://example.com", "name": "x"}]}),
    "a URL source": ("/v1/messages", MESSAGE | {"messages": [{"role": "user", "content": [IMAGE]}]}),
    "another tier": ("/v1/messages", MESSAGE | {"service_tier": "priority"}),
}


def ask(path: str, body: dict[str, Any]) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("/run/api/api.sock")
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    return connection.getresponse().status


if __name__ == "__main__":
    print(json.dumps({what: ask(*asked) for what, asked in ASKED.items()}))  # noqa: T201
