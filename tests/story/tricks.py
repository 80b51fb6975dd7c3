"""Says to the gateway's socket, byte for byte, what no client would say. It travels into a sandbox, so it needs Python alone.

`tricks.py TRICK` prints the statuses of the answers, as many as came before the gateway hung up or 5 seconds were silent.
`tricks.py hold COUNT` begins COUNT requests, ends none, says `held`, and holds them for a minute.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time

SOCKET = "/run/api/api.sock"
MODEL = "claude-sonnet-4-5"


def body(**changes: object) -> bytes:
    message = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "tricked"}]}
    return json.dumps({**message, **changes}).encode()


def request(content: bytes = body(), line: str = "POST /v1/messages", **headers: str) -> bytes:
    usual = {
        "host": "localhost",
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
    }
    named = {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode() + content


def chunked(content: bytes, rest: bytes = b"") -> bytes:
    """With a length that is wrong besides: who believes it takes `rest` for a part of the body, or not."""
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    length = str(len(body) + len(rest))
    return request(b"", content_length=length, transfer_encoding="chunked", connection="") + body + rest


FIRST = request(connection="")
EVIL = request(b'{"evil": true}')
TRICKS: dict[str, bytes] = {
    "pipelined": FIRST + request(),
    "pipelined to another path": FIRST + request(line="POST /v1/files"),
    "pipelined for another model": FIRST + request(body(model="claude-opus-4-5")),
    "smuggled behind a chunked body": chunked(body(), EVIL),
    "smuggled behind a body that is too short": request(body() + EVIL, content_length=str(len(body())), connection=""),
    "smuggled in a header": request(x_a="b\r\nx-api-key: sk-ant-mine"),
    "two lengths": request(content_length="5, 500"),
    "an encoding": request(content_encoding="gzip"),
    "another host": request(host="api.example.com", x_forwarded_host="169.254.169.254"),
    "headers of a proxy": request(
        x_api_key="sk-ant-mine", authorization="Bearer mine", x_http_method_override="GET", cookie="a=b"
    ),
    "a beta": request(anthropic_beta="context-1m-2025-08-07,code-execution-2025-05-22"),
    "an address as the path": request(line="POST http://169.254.169.254/v1/messages"),
    "a path upwards": request(line="POST /v1/messages/../files"),
    "a path in disguise": request(line="POST /v1/%6dessages/%2e%2e/files"),
    "a tunnel": b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "an upgrade": request(line="GET /v1/messages", connection="upgrade, close", upgrade="websocket"),
    "a method": request(line="PUT /v1/messages"),
    "a list of models": request(b"", line="GET /v1/models"),
    "a huge answer": request(body(max_tokens=10**9)),
    "a negative answer": request(body(max_tokens=-1)),
    "an answer of no number": request(body(max_tokens=1e308)),
    "forged usage": request(body(usage={"input_tokens": 0, "output_tokens": 0}, service_tier="standard_only")),
    "forged usage in metadata": request(body(metadata={"user_id": "x"}, usage={"input_tokens": 0})),
    "one name twice": request(body()[:-1] + b', "model": "claude-opus-4-5"}'),
    "a batch": request(body(requests=[]), line="POST /v1/messages/batches"),
}


def connected() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(SOCKET)
    return connection


def statuses(said: bytes) -> list[int]:
    answered = b""
    with connected() as connection:
        try:
            connection.sendall(said)
            while chunk := connection.recv(65536):
                answered += chunk
        except (TimeoutError, ConnectionError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answered)]


def hold(count: int) -> None:
    held = [connected() for _ in range(count)]
    for number, connection in enumerate(held):
        connection.sendall(request()[: -1 - number])
    print("held", flush=True)  # noqa: T201
    time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        hold(int(sys.argv[2]))
    else:
        print(json.dumps(statuses(TRICKS[sys.argv[1]])))  # noqa: T201
