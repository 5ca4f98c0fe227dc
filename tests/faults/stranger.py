"""Servers that are not ours: one with pages for a browser to be led to, and one that any page may have work for it.

`Naive` does what a server does that takes loopback for safety: it reads JSON from whatever body comes. A trick that
makes it work is a trick that a gateway without its guard would have fallen for.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote_plus


class Answering(BaseHTTPRequestHandler):
    """What the servers here have in common: every method is `answer`, and nothing is printed."""

    protocol_version = "HTTP/1.1"
    server: Stranger

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        status, kind, said = self.server.answer(self.command, self.path, dict(self.headers.items()), body)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Stranger(ThreadingHTTPServer):
    """Somebody's site: an empty page at every path, or the one that `pages` has there."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.port: int = self.server_address[1]
        self.pages: dict[str, str] = {}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        page = self.pages.get(path, "<title>a page</title>")
        return 200, "text/html; charset=utf-8", page.encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes is no error."""

    def __enter__(self) -> Any:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class Naive(Stranger):
    """Works for whoever sends it a `mark` in whatever form, and tells its secret to whoever asks."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.worked: set[str] = set()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if method in ("POST", "PUT", "PATCH"):
            text = body.decode("utf-8", "replace")
            self.worked.update(re.findall(r"mark-[\w-]+", text + unquote_plus(text) + path))
        if path.endswith(".js"):
            return 200, "text/javascript", b"export const x = 1"
        if path.endswith(".png"):
            return 200, "image/png", PIXEL
        return 200, "application/json", json.dumps({"secret": self.secret}).encode()


class Rebinder(Stranger):
    """A name that leads to its owner at first and to loopback afterwards: its page, then `port` of this machine.

    For a browser both are one origin, and the server behind gets the requests as they are, Host and Origin included.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self.behind = port

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if path == "/attack":
            return super().answer(method, path, headers, body)
        there = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=20)
        try:
            there.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                there.putheader(name, value)
            there.endheaders(body or None)
            answered = there.getresponse()
            return answered.status, answered.headers.get("content-type", ""), answered.read()
        finally:
            there.close()


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
