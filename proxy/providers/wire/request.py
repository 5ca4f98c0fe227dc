"""Where a request goes and how its head reads: all of it that a URL and headers decide, so that it can be kept.

What must stay true: no value can end its line; the framing, the connection and the coding of the answer are ours to
say; a key in a URL or in a proxy's address gets into no message.
"""

from __future__ import annotations

import re
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from proxy import __version__
from proxy.providers.wire.exchange import FROM_ENVIRONMENT, Unreachable, Unsendable

OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the caller has no say in."""

PORTS = {"http": 80, "https": 443}
SAFE = "/:@!$&'()*+,;=~-._%"

_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_unsafe = re.compile(r"[\x00-\x20\x7f]").search


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: `secure` if it is spoken to over TLS; `authorization` is a header's value, or empty."""

    host: str
    port: int
    secure: bool
    authorization: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection leads to, and through whom. Equal origins share their connections."""

    host: str
    port: int
    secure: bool
    proxy: Proxy | None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """A POST but for its body: `head` ends where the body's length belongs."""

    origin: Origin
    head: bytes


def request(url: str, headers: Iterable[tuple[str, str]], organization: str | None) -> Request:
    """The request for a URL; of what OpenAI's library takes from the environment only `organization` is sent.

    Raises `Unsendable` for what cannot be written as HTTP, `Unreachable` for a proxy that cannot be used.
    """
    parts = _split(url)
    host = _host(parts)
    port = parts.port or PORTS[parts.scheme]
    proxy = _proxy(parts.scheme, host)
    origin = Origin(host, port, parts.scheme == "https", proxy)
    named = f"[{host}]" if ":" in host else host
    if port != PORTS[parts.scheme]:
        named = f"{named}:{port}"
    target = quote(parts.path or "/", SAFE) + (f"?{quote(parts.query, SAFE + '?')}" if parts.query else "")
    fields = {"host": named, "user-agent": f"parea-proxy/{__version__}", **_own(headers, organization)}
    if parts.username is not None:
        fields["authorization"] = _basic(parts)
    if proxy is not None and not origin.secure:
        target = f"http://{named}{target}"
        if proxy.authorization:
            fields["proxy-authorization"] = proxy.authorization
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return Request(origin, "\r\n".join([*lines, "accept-encoding: identity", "content-length: "]).encode("latin-1"))


def lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they stand in a head, each with its end. Raises `Unsendable`."""
    fields = _own(headers.items(), None)
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0 and not _unsafe(parts.netloc)
    except ValueError:
        usable = False
    if not usable or any(ord(letter) < 32 for letter in url):
        raise Unsendable("the provider's address is not an http or https URL")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise Unsendable("the provider's address has a host that is no name") from None


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _own(headers: Iterable[tuple[str, str]], organization: str | None) -> dict[str, str]:
    """The caller's headers with lower-case names, without those that it has no say in."""
    fields = {}
    for name, value in headers:
        key = name.lower()
        if not _name(key):
            raise Unsendable("a header has a name that HTTP does not allow")
        if "\r" in value or "\n" in value or "\0" in value or any(ord(letter) > 255 for letter in value):
            raise Unsendable(f"the header {key} has a value that HTTP does not allow, such as a line break")
        if key not in OURS and not (key in FROM_ENVIRONMENT and value != organization):
            fields[key] = value
    return fields


def _proxy(scheme: str, host: str) -> Proxy | None:
    """The proxy that the environment (or the system, where it has such settings) names for a host."""
    settings = urllib.request.getproxies()
    address = settings.get(scheme) or settings.get("all")
    if not address or urllib.request.proxy_bypass(host):
        return None
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        usable = parts.scheme in PORTS and bool(parts.hostname) and not _unsafe(parts.netloc)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        usable = False
    if not usable:
        raise Unreachable(f"the proxy that the environment names for {scheme} is not an HTTP proxy's address")
    authorization = _basic(parts) if parts.username is not None else ""
    return Proxy(parts.hostname or "", port, parts.scheme == "https", authorization)
