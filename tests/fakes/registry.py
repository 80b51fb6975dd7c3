"""A package registry on loopback: a simple index of wheels that tests build, and whatever other paths it is given."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answers = Mapping[str, tuple[int, dict[str, str], bytes]]


def wheel(name: str, code: str) -> bytes:
    """A wheel of one module."""
    info, content = f"{name}-1.0.dist-info", io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(f"{name}.py", code)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return content.getvalue()


def index_of(name: str, code: str) -> Answers:
    """What a registry answers of one package; its file lies outside the index, by a link from the host's root."""
    file = f"{name}-1.0-py3-none-any.whl"
    page = f'<a href="/files/{file}">{file}</a>'.encode()
    return {
        f"/simple/{name}/": (200, {"content-type": "text/html"}, page),
        f"/files/{file}": (200, {"content-type": "application/octet-stream"}, wheel(name, code)),
    }


class Served:
    def __init__(self, url: str):
        self.url = url
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []


@contextmanager
def serve(answers: Answers) -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
