from __future__ import annotations

import time
from collections.abc import AsyncGenerator, MutableMapping
from hashlib import sha256
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from proxy.asgi import App, Receive, Scope, Send, answer, read
from proxy.caller import Caller
from proxy.http.guard import LOOPBACK, Guard, fenced, hostname, is_loopback
from proxy.protocols import Answer, refusal

pytestmark = pytest.mark.fault("S3")

REFUSE = refusal([])
JSON = {"content-type": "application/json"}


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read(receive)
    await answer(send, Answer(200, b'{"read": %d}' % len(body or b"")))


CALLERS = {
    sha256(b"one").digest(): Caller(name="one"),
    sha256(b"old").digest(): Caller(name="old", expires=time.time() - 1),
    sha256(b"soon").digest(): Caller(name="soon", expires=time.time() + 3600),
}


def keyed(app: App, key: str | None = None) -> httpx.AsyncClient:
    """A client of `app` behind a guard that knows `CALLERS`."""
    secret = SecretStr(key) if key else None
    guard = Guard(app, hosts=LOOPBACK, key=secret, max_body=100, refuse=REFUSE, callers=CALLERS)
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1:4000")


async def named(scope: Scope, receive: Receive, send: Send) -> None:
    caller = scope.get("caller")
    await answer(send, Answer(200, (caller.name if caller else "nobody").encode()))


def client(key: str | None = None, hosts: frozenset[str] | None = LOOPBACK, max_body: int = 100) -> httpx.AsyncClient:
    guard = Guard(told, hosts=hosts, key=SecretStr(key) if key else None, max_body=max_body, refuse=REFUSE)
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1:4000")


@pytest.mark.parametrize("host", ["localhost", "localhost:4000", "127.0.0.1:80", "[::1]:4000", "LOCALHOST"])
async def test_this_machines_names_are_served(host: str) -> None:
    assert (await client().get("/x", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.com", "evil.com:4000", "localhost.evil.com", "127.0.0.1.evil.com", "", "[::2]"])
async def test_other_names_are_refused(host: str) -> None:
    assert (await client().get("/x", headers={"host": host})).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        *("a/..", "localhost:80/..", "localhost:x@evil.com", "localhost:?x", "localhost:abc", "localhost:999999"),
        *("[::1].evil.com", "[::1", "[::1]x", "localhost, evil.com", "localhost evil.com", "[]", "[127.0.0.1]"),
    ],
)
@pytest.mark.parametrize("hosts", [LOOPBACK, None])
async def test_a_host_that_is_more_than_a_name_and_a_port_is_refused(host: str, hosts: frozenset[str] | None) -> None:
    refused = await client(hosts=hosts).get("/x", headers={"host": host})
    assert (refused.status_code, refused.headers["connection"]) == (400, "close")


@pytest.mark.parametrize("origin", ["http://evil.com", "https://evil.com:4000", "null", "http://127.0.0.1:9999", ""])
async def test_other_origins_are_refused(origin: str) -> None:
    assert (await client().post("/x", headers={**JSON, "origin": origin}, content=b"{}")).status_code == 403


async def test_the_own_origin_is_served() -> None:
    headers = {**JSON, "origin": "http://127.0.0.1:4000"}
    assert (await client().post("/x", headers=headers, content=b"{}")).status_code == 200


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
async def test_what_the_browser_says_of_the_site_counts(site: str, status: int) -> None:
    assert (await client().get("/x", headers={"sec-fetch-site": site})).status_code == status


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_must_be_json(kind: str, method: str) -> None:
    assert (await client().request(method, "/x", headers={"content-type": kind}, content=b"{}")).status_code == 415


async def test_json_may_name_its_charset() -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await client().post("/x", headers=headers, content=b"{}")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": "k"}, {"x-user-id": "k"}, {"authorization": "Bearer k"}, {"authorization": "bearer k"}],
)
async def test_the_key_is_taken_from_any_of_three_headers(headers: dict[str, str]) -> None:
    assert (await client("k").get("/x", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "no"}, {"authorization": "Basic k"}, {"authorization": "Bearer"}]
)
async def test_a_wrong_or_missing_key_is_refused(headers: dict[str, str]) -> None:
    refused = await client("k").get("/x", headers=headers)
    assert refused.status_code == 401
    assert "Bearer" in refused.json()["detail"]


async def test_health_needs_no_key() -> None:
    assert (await client("k").get("/health")).status_code == 200


async def test_without_a_key_any_is_accepted() -> None:
    assert (await client().get("/x", headers={"x-api-key": "whatever"})).status_code == 200


async def test_an_announced_body_over_the_limit_is_refused_unread() -> None:
    refused = await client().post("/x", headers=JSON, content=b"x" * 101)
    assert refused.status_code == 413
    assert refused.headers["connection"] == "close"
    assert (await client().post("/x", headers=JSON, content=b"x" * 100)).json() == {"read": 100}


async def test_a_body_that_only_turns_out_too_large_is_stopped() -> None:
    messages: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 3
    asked = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        return next(asked)

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError("nothing is answered before the body is read")

    guard = Guard(told, hosts=None, key=None, max_body=100, refuse=REFUSE)
    headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/x", "headers": headers}
    with pytest.raises(Exception, match="larger than 100 bytes"):
        await guard(scope, receive, send)
    assert len(list(asked)) == 1


async def test_two_hosts_are_refused() -> None:
    headers = [("host", "localhost"), ("host", "evil.com")]
    assert (await client().get("/x", headers=headers)).status_code == 400


async def test_a_network_server_answers_to_any_name() -> None:
    assert (await client("k", hosts=None).get("/x", headers={"host": "box.lan", "x-api-key": "k"})).status_code == 200


@pytest.mark.parametrize(
    ("host", "name"), [("A.b:1", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("x", "x"), ("", ""), ("[", None)]
)
def test_hostname(host: str, name: str | None) -> None:
    assert hostname(host) == name


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.0.2", True), ("::1", True)]
    + [("0.0.0.0", False), ("::", False), ("128.0.0.1", False), ("127.evil.example", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
async def test_without_a_body_there_is_no_type_to_ask_for(headers: dict[str, str]) -> None:
    assert (await client().post("/x", headers=headers)).status_code == 200


async def test_a_body_of_unknown_length_needs_its_type() -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"{}"

    assert (await client().post("/x", content=body())).status_code == 415


@pytest.mark.parametrize("master", [None, "master"])
@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({}, 401, "give this gateway's key"),
        ({"x-api-key": "two"}, 401, "give this gateway's key"),
        ({"x-api-key": sha256(b"one").hexdigest()}, 401, "give this gateway's key"),
        ({"x-api-key": "one"}, 200, "one"),
        ({"x-user-id": "one"}, 200, "one"),
        ({"authorization": "bearer one"}, 200, "one"),
        ({"authorization": "Basic one"}, 401, "give this gateway's key"),
        ({"x-api-key": "two", "authorization": "Bearer soon"}, 200, "soon"),
        ({"x-api-key": "old"}, 401, "'old' has expired"),
    ],
)
async def test_a_key_of_the_file_is_told_to_the_application(
    master: str | None, headers: dict[str, str], status: int, told: str
) -> None:
    answered = await keyed(named, master).get("/x", headers=headers)
    assert (answered.status_code, told in answered.text) == (status, True)


async def test_the_masters_key_is_nobodys_among_them() -> None:
    both = {"x-api-key": "one", "authorization": "Bearer master"}
    for headers in ({"x-api-key": "master"}, both):
        assert (await keyed(named, "master").get("/x", headers=headers)).text == "nobody"
    assert (await keyed(named).get("/x", headers={"x-api-key": "master"})).status_code == 401


async def test_no_key_of_the_file_opens_what_is_the_masters() -> None:
    for path in ("/admin", "/admin/reload"):
        assert (await keyed(named, "master").get(path, headers={"x-api-key": "one"})).status_code == 403
        assert (await keyed(named, "master").get(path, headers={"x-api-key": "master"})).status_code == 200
        assert (await keyed(named).get(path)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models", 200),
        ("/v1/models/a/b", 200),
        ("/v1/modelsx", 403),
        ("/docs", 200),
        ("/docsx", 403),
        ("/v4/logs", 403),
        ("/", 403),
    ],
)
async def test_behind_the_fence_is_what_every_key_may_see(path: str, status: int) -> None:
    fence = fenced(named, REFUSE)
    assert (await keyed(fence, "master").get(path, headers={"x-api-key": "one"})).status_code == status
    assert (await keyed(fence, "master").get(path, headers={"x-api-key": "master"})).status_code == 200
