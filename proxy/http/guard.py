"""What a local server must refuse before anything else looks at a request.

A page in the browser of the same machine can reach loopback. It cannot set these to its liking, so they are checked:

    Host             a name of this server: a page that rebinds its own name to 127.0.0.1 says that name here. Once, and
                     a name and a port only: whoever reads something else in it would decide otherwise than the guard
    Origin           this server, or nothing
    Sec-Fetch-Site   same-origin or none
    Content-Type     JSON for every body: a page may send text/plain and forms anywhere, JSON only after asking,
                     and so protobuf, which spans may come in; any where there is no body, which clients say of
                     whatever they do not send

With a key configured, every request must bring one: as `x-api-key`, `x-user-id` or `Authorization: Bearer`, found by
its digest. The master's may do everything; one of `keys` is told to the application as `scope["caller"]` and gets
neither below `/admin` nor to `/metrics`, nor behind the fence unless its own block says so. `/health` and `/ready` are
open.

A body larger than the limit is refused, by its announced length or by what arrives.
A body is framed by a length or by chunks, said once; what else may be around chunks is understood by nobody here.
A refusal ends the connection, unless only the key or the type of the body was wrong.

Decisions are made on the scope's own path and headers, never on a URL put together from them.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pydantic import SecretStr

from proxy.asgi import App, Receive, Scope, Send, answer
from proxy.caller import Caller
from proxy.errors import BadRequest, ConfigError, Forbidden, RequestError, TooLarge, Unauthorized, UnsupportedMedia
from proxy.protocols import Refuse

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/health", "/ready"})
JSON = b"application/json"
PROTOBUF = b"application/x-protobuf"
SPANS = "/v1/traces"
MASTERS = ("/admin", "/metrics")
"""Where no key of `keys` gets."""

KEY_HEADERS = (b"x-api-key", b"x-user-id")
ONCE = (b"host", b"transfer-encoding")
"""Headers that mean something else when they stand twice. The parser sees to the length."""

WHITE = b" \t"
HOST = re.compile(r"(\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]|[\w.-]*)(:\d{0,5})?", re.ASCII)


class Guard:
    """An ASGI layer around the whole gateway.

    `hosts` are the names this server answers to, loopback's included; None accepts every name, for a server that is
    reached over a network, which then must have a `key`, the master's, or `callers`: those of other keys, by SHA-256.
    `max_body` is in bytes. `refuse` makes the answers.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: frozenset[str] | None,
        key: SecretStr | None,
        max_body: int,
        refuse: Refuse,
        callers: Mapping[bytes, Caller] | None = None,
    ) -> None:
        self.app = app
        self.refuse = refuse
        self.hosts = hosts
        self.digest = sha256(key.get_secret_value().encode()).digest() if key else None
        self.callers = callers or {}
        self.closed = self.digest is not None or bool(self.callers)
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            length = self._admit(scope)
        except RequestError as error:
            closing = [] if isinstance(error, Unauthorized | UnsupportedMedia) else [(b"connection", b"close")]
            await answer(send, self.refuse(scope["path"], error), [(b"x-should-retry", b"false"), *closing])
            return
        if length is None:
            receive, send = self._counted(receive, send)
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> int | None:
        """The announced length of the body, None if there is none announced. Raises `RequestError`."""
        given = scope["headers"]
        headers: dict[bytes, bytes] = dict(given)
        if len(headers) < len(given):
            _check_once([name for name, _ in given])
        host = headers.get(b"host", b"")
        name = _named(host)
        if name is None:
            raise BadRequest("the Host header is no name with a port")
        if self.hosts is not None and name not in self.hosts:
            raise Forbidden("this Host is not served here: use localhost, or add it to server.allowed_hosts")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            raise Forbidden("requests from other origins are refused")
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise Forbidden("requests from other sites are refused")
        if self.closed and scope["path"] not in OPEN:
            self._authorize(scope, headers)
        length = self._length(scope, headers)
        if scope["method"] in ("POST", "PUT", "PATCH"):
            kind = headers.get(b"content-type", b"")
            named = kind if kind == JSON else kind.partition(b";")[0].strip().lower()
            if named != JSON and length != 0 and (named != PROTOBUF or scope["path"] != SPANS):
                raise UnsupportedMedia("the body must be JSON: send the header content-type: application/json")
        return length

    def _authorize(self, scope: Scope, headers: MutableMapping[bytes, bytes]) -> None:
        """Find out whose key came with a request. Raises `RequestError`."""
        given = [headers[name] for name in KEY_HEADERS if name in headers]
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given.append(token.strip())
        digests = [sha256(value).digest() for value in given]
        # Digests are compared, and looked up, so the time tells nothing of a key.
        if self.digest is not None and any(hmac.compare_digest(digest, self.digest) for digest in digests):
            return
        caller = next(filter(None, map(self.callers.get, digests)), None)
        if caller is None:
            raise Unauthorized("give this gateway's key as x-api-key, x-user-id or Authorization: Bearer")
        check_expiry(caller)
        if scope["path"].startswith(MASTERS):
            raise Forbidden("only general_settings.master_key opens this")
        scope["caller"] = caller

    def _length(self, scope: Scope, headers: MutableMapping[bytes, bytes]) -> int | None:
        announced = headers.get(b"content-length")
        if announced is None:
            if b"transfer-encoding" not in headers:
                return 0
            known = headers[b"transfer-encoding"].strip(WHITE).lower() == b"chunked"
            if not known or scope["http_version"] == "1.0":
                raise BadRequest("no transfer-encoding is understood but chunked, in HTTP/1.1")
            return None
        if not (announced.isdigit() or announced.strip(WHITE).isdigit()):
            raise BadRequest("content-length is not a number")
        if int(announced) > self.max_body:
            raise self._too_large()
        return int(announced)

    def _counted(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Read no more than may be; the rest of the body has no end, so the connection ends with the answer."""
        left = self.max_body

        async def counted() -> MutableMapping[str, Any]:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            return message

        async def closing(message: MutableMapping[str, Any]) -> None:
            if left < 0 and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return counted, closing

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self.max_body} bytes (server.max_body)")


FREE = (
    *("/v1/models", "/v1/messages/count_tokens", "/v5/models", "/v5/chat/completions/models"),
    *("/docs", "/redoc", "/openapi.json", "/static-offline-docs"),
)
"""What is no completion and yet open to every key, and all below it: the lists of models show each its own. All else
tells of the log, which is everybody's, or of the configuration.
"""

LOGGED = {
    **{
        ("POST", f"/api/parea/v1/{one}"): "parea" for one in ("project", "trace_log", "trace_log/langchain", "feedback")
    },
    ("PUT", "/api/parea/v1/trace_log"): "parea",
    ("POST", "/v4/logs"): "humanloop",
}
"""Where a key that may use the API may log what it did itself, which these routes see to."""


def fenced(app: App, refuse: Refuse) -> App:
    """`app`, which is all that is no completion, for callers who may not see the log as well."""

    async def fence(scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("caller")
        path: str = scope["path"]
        if caller is None or caller.log or _open(caller, scope["method"], path):
            await app(scope, receive, send)
            return
        error = Forbidden(f"the key {caller.name!r} may not use this: log: true in its block opens the log to it")
        await answer(send, refuse(path, error), [(b"x-should-retry", b"false")])

    return fence


def _open(caller: Caller, method: str, path: str) -> bool:
    """Whether a route is open to a key that may not see the log."""
    if (dialect := LOGGED.get((method, path))) is not None:
        return not caller.dialects or dialect in caller.dialects
    return any(f"{path}/".startswith(f"{one}/") for one in FREE)


def hostname(host: str) -> str | None:
    """The name in a Host header, without its port and an IPv6 address's brackets; lower case. None if there is more."""
    found = HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else None


@lru_cache(maxsize=64)
def _named(host: bytes) -> str | None:
    """The name in a Host header as it came; clients send the same one again and again."""
    return hostname(host.decode("latin-1").strip(" \t"))


def _check_once(names: list[bytes]) -> None:
    for name in ONCE:
        if names.count(name) > 1:
            raise BadRequest(f"more than one header {name.decode()}")


def check_expiry(caller: Caller) -> None:
    """Raises `Unauthorized` where a key does not last any more."""
    if caller.expired(time.time()):
        raise Unauthorized(f"the key {caller.name!r} has expired: its owner here can make another")


def check_key(host: str, closed: bool) -> None:
    """Raises `ConfigError` where a server on `host` would serve a network without asking for a key."""
    if not closed and not is_loopback(host):
        raise ConfigError(
            f"refusing to listen on {host} without a key, since anybody there could spend yours: set"
            " general_settings.master_key in the config (PAREA_PROXY_KEY, without a config), or use --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what listens on `host`: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
