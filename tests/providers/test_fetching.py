"""Addresses that a message names: which may be fetched, and that what was looked at is what is connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.providers.engine.fetching import certify, pinned
from proxy.providers.engine.transport import SyncGuard
from proxy.providers.litellm import LiteLLM
from tests.upstreams.authority import Authority
from tests.upstreams.raw import raw, whole

pytestmark = pytest.mark.fault("S5")

PUBLIC = "93.184.216.34"


class Refused(ValueError):
    """What the checks here raise."""


def resolved(address: str) -> Any:
    """LiteLLM's check of a URL, as far as it matters here: every name leads to one address, and http is rewritten."""

    def validate(url: str) -> tuple[str, str]:
        parts = httpx.URL(url)
        return str(parts.copy_with(host=address)), parts.netloc.decode()

    return pinned(validate, Refused)


@pytest.mark.parametrize(
    ("url", "found", "host"),
    [
        ("http://name.test/a?b=c", f"http://{PUBLIC}/a?b=c", "name.test"),
        ("https://name.test/a?b=c", f"https://{PUBLIC}:443/a?b=c", "name.test"),
        ("https://name.test:8443/", f"https://{PUBLIC}:8443/", "name.test:8443"),
        ("HTTPS://user:word@name.test/", f"https://{PUBLIC}:443/", "name.test"),
        ("https://[2606:2800::1]/", f"https://{PUBLIC}:443/", "[2606:2800::1]"),
    ],
)
def test_a_name_becomes_the_address_that_was_looked_at(url: str, found: str, host: str) -> None:
    fetched, said = resolved(PUBLIC)(url)
    assert (httpx.URL(fetched), said) == (httpx.URL(found), host)


@pytest.mark.parametrize(
    "address", ["64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::", "2001:0:1::1", "::7f00:1"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_that_stands_for_another_is_refused(address: str, scheme: str) -> None:
    with pytest.raises(Refused, match="stands for another"):
        resolved(address)(f"{scheme}://name.test/")


@pytest.mark.parametrize("address", ["2606:2800:220:1::1", "2620:0:2d0:200::7"])
def test_other_addresses_of_ipv6_are_not(address: str) -> None:
    assert f"[{address}]" in resolved(address)("https://name.test/")[0]


@pytest.mark.parametrize(
    ("url", "host", "name"),
    [
        ("https://93.184.216.34/", "name.test", "name.test"),
        ("https://93.184.216.34:8443/", "name.test:8443", "name.test"),
        ("https://[2606:2800::1]/", "name.test", "name.test"),
        ("https://93.184.216.34/", "93.184.216.34", None),
        ("https://name.test/", "other.test", None),
        ("http://93.184.216.34/", "name.test", None),
    ],
)
def test_a_certificate_is_for_the_name_behind_an_address(url: str, host: str, name: str | None) -> None:
    request = httpx.Request("GET", url, headers={"host": host})
    certify(request)
    assert request.extensions.get("sni_hostname") == name


@pytest.fixture
async def engine() -> AsyncIterator[Any]:
    """LiteLLM, set up as for calls."""
    provider = LiteLLM(timeout=10, max_response=2**20)
    await provider.start()
    import litellm

    yield litellm
    await provider.close()


@pytest.mark.parametrize("name", ["pictures.test", "others.test"])
@pytest.mark.parametrize("way", ["thread", "loop"])
async def test_a_picture_comes_from_who_can_show_the_name(name: str, way: str, engine: Any, tmp_path: Path) -> None:
    """By both of LiteLLM's clients; a server that took over the address alone is not believed."""
    authority = Authority(tmp_path)
    async with raw(whole(b"a picture"), context=authority.server("pictures.test")) as server:
        url, headers = f"https://127.0.0.1:{server.port}/a.png", {"host": name}

        async def fetch() -> bytes:
            if way == "loop":
                handler = engine.AsyncHTTPHandler(ssl_verify=str(authority.file))
                return bytes((await handler.get(url, headers=headers)).content)
            trust = ssl.create_default_context(cafile=str(authority.file))
            with httpx.Client(transport=SyncGuard(verify=trust)) as client:
                return (await asyncio.to_thread(client.get, url, headers=headers)).content

        if name == "pictures.test":
            assert await fetch() == b"a picture"
        else:
            with pytest.raises(Exception, match=r"(?i)certificate|hostname mismatch"):
                await fetch()


async def test_litellm_itself_fetches_so(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from litellm.litellm_core_utils import url_utils

    answers = iter([PUBLIC, "169.254.169.254"])

    def rebinding(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert url_utils.validate_url("https://rebound.test/x")[0] == f"https://{PUBLIC}:443/x"
    with pytest.raises(url_utils.SSRFError):
        url_utils.validate_url("https://rebound.test/x")
