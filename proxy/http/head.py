"""What the head of a request may be, where the parser takes anything: so large, so many lines, a path for a target."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

from httptools import HttpParserInvalidURLError, parse_url

from proxy.http.exchange import STATUS

LARGEST = 64 * 1024
"""Bytes of a head; also of what frames a body, between two pieces of it. llhttp takes any number."""

MOST = 100
"""Headers of one request: as many as Apache and Envoy take."""

FRAMING = (b"content-length", b"transfer-encoding")

WRONG = (400, b"Invalid HTTP request received.")
LARGE = (431, b"The head of the request is too large.")
VERSION = (505, b"HTTP/1.1 is spoken here.")
BUSY = (503, b"Too many connections are open.")
LATE = (408, b"The request took too long to arrive.")


class Refused(Exception):
    """This is no request. `args` are the status and the text that say so."""


def refusal(status: int, text: bytes) -> bytes:
    """The whole answer that says so, after which the connection ends."""
    head = b"%b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
    return head % (STATUS[status], len(text), text)


def framing(headers: list[tuple[bytes, bytes]]) -> bytes:
    """A head with nothing in it but how its body is framed."""
    kept = [b"%b: %b\r\n" % header for header in headers if header[0] in FRAMING]
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(kept)


def measure(headers: list[tuple[bytes, bytes]], url: bytes) -> None:
    """Raises `Refused` for a head that is too large, not counting what stands between its parts."""
    if len(headers) > MOST or len(url) + sum(len(name) + len(value) for name, value in headers) > LARGEST:
        raise Refused(*LARGE)


@lru_cache(maxsize=256)
def target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target. Raises `Refused`.

    Only a path will do: another form names a host, which would have to be looked at as the header Host is.
    """
    if url[:1] != b"/" or b"#" in url:
        raise Refused(*WRONG)
    try:
        parsed = parse_url(url)
        path = parsed.path.decode("ascii")
    except (HttpParserInvalidURLError, UnicodeDecodeError):
        raise Refused(*WRONG) from None
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""
