"""A machine of its own for one gateway: every address there is leads here, every name is answered here, and every
connection that is tried is seen, wherever to.

    unshare --net --mount --map-root-user python -m tests.faults.enclosure <folder> short|full

In there a gateway is asked, in every way that `addresses` knows, to connect elsewhere. Printed is one JSON object for
each part: how many requests, and which connections and names came of them besides those to the configured vendors.
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from proxy.providers.credentials import GOOGLE_TOKEN_URI
from tests.canary.test_routes import EXAMPLES
from tests.faults import addresses
from tests.faults.addresses import METADATA, NAMES, PUBLIC, VENDORS
from tests.gateway import Process
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.vertex import Vertex

RESOLVER = "127.0.0.53"
LAST = "198.51.100.1"
"""Connected to by nobody but this program."""

THREADS = 4
ECHO = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
JSON = {"content-type": "application/json"}
ETHERNET_ALL, OUTGOING, PACKET, STATISTICS, FILTER = 3, 4, 263, 6, 26

Asked = tuple[str, str, Any, dict[str, str]]


def enclose(folder: Path) -> None:
    """Every address is this machine, and names are asked of the resolver below."""
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
        f"mount --bind {resolver} /etc/resolv.conf",
    ):
        subprocess.run(command.split(), check=True)


def _only_starts(packets: socket.socket) -> None:
    """Have the kernel hand over only packets that ask for a connection: SYN without ACK, over IPv4 or IPv6."""
    load, shift, mask, same, end = 0x30, 0x74, 0x54, 0x15, 0x06
    program = [
        *[(load, 0, 0, 0), (shift, 0, 0, 4), (same, 5, 0, 6)],
        *[(load, 0, 0, 9), (same, 0, 9, 6), (load, 0, 0, 33), (mask, 0, 0, 0x12), (same, 5, 6, 0x02)],
        *[(load, 0, 0, 6), (same, 0, 4, 6), (load, 0, 0, 53), (mask, 0, 0, 0x12), (same, 0, 1, 0x02)],
        *[(end, 0, 0, 80), (end, 0, 0, 0)],
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    packets.setsockopt(socket.SOL_SOCKET, FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


class Wire(threading.Thread):
    """Sees the first packet of every connection: `tried` counts them by address and port."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERNET_ALL))
        _only_starts(self._packets)
        self._packets.bind(("lo", 0))
        self.tried: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        while True:
            packet, (_, _, direction, *_) = self._packets.recvfrom(80)
            if direction != OUTGOING:
                continue
            family, start, at = (socket.AF_INET, 20, 16) if packet[0] >> 4 == 4 else (socket.AF_INET6, 40, 24)
            address = socket.inet_ntop(family, packet[at : at + (4 if at == 16 else 16)])
            (port,) = struct.unpack("!H", packet[start + 2 : start + 4])
            self.tried[address, port] += 1

    def missed(self) -> int:
        """Packets that came too fast to be seen."""
        return int(struct.unpack("II", self._packets.getsockopt(PACKET, STATISTICS, 8))[1])


class Resolver(threading.Thread):
    """Answers every name: those of `NAMES` as they say, all others as a vendor's."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((RESOLVER, 53))
        self.asked: Counter[str] = Counter()

    def run(self) -> None:
        while True:
            query, client = self._socket.recvfrom(2048)
            labels, at = [], 12
            while size := query[at]:
                labels.append(query[at + 1 : at + 1 + size].decode("latin-1"))
                at += 1 + size
            (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
            name = ".".join(labels).lower()
            found = self._addresses(name) if kind == 1 else []
            records = b"".join(
                b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(each) for each in found
            )
            head = query[:2] + struct.pack("!HHHHH", 0x8580, 1, len(found), 0, 0)
            self._socket.sendto(head + query[12 : at + 5] + records, client)

    def _addresses(self, name: str) -> list[str]:
        self.asked[name] += 1
        if name == "rebound.test":
            return [PUBLIC if self.asked[name] % 2 else METADATA]
        return NAMES.get(name, [VENDORS])


def trap(port: int) -> None:
    """Answer at every address: with a picture, or with a word where the machine's credentials are."""
    listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

    def serve() -> None:
        while True:
            line, _ = listening.accept()
            with line:
                line.settimeout(1)
                try:
                    asked = line.recv(4096)
                except OSError:
                    continue
                moved = b"302 Found\r\nlocation: http://%b/latest/meta-data/" % METADATA.encode()
                said = moved if b"redirected" in asked.partition(b"\r\n")[0] else b"200 OK\r\ncontent-type: image/png"
                line.sendall(b"HTTP/1.1 %b\r\ncontent-length: 8\r\nconnection: close\r\n\r\n\x89PNG\r\n\x1a\n" % said)

    threading.Thread(target=serve, daemon=True).start()


class Enclosure:
    """The gateways in here, and what is seen of them."""

    def __init__(self, fleet: Fleet, wire: Wire, resolver: Resolver) -> None:
        self._wire, self._resolver = wire, resolver
        self._known = {("127.0.0.1", int(one.url.rpartition(":")[2])) for one in fleet.upstreams.values()}
        self._client = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=THREADS))
        self._pool = ThreadPoolExecutor(THREADS)

    def part(self, gateway: Process, asked: Iterable[Asked]) -> dict[str, Any]:
        """What came of some requests to a gateway."""
        before, names = self._wire.tried.copy(), self._resolver.asked.copy()

        def ask(one: Asked) -> str:
            method, path, body, headers = one
            content = None if body is None else json.dumps(body).encode()
            raw = [(name.encode(), value.encode("latin-1")) for name, value in (JSON | headers).items()]
            response = self._client.request(method, gateway.url + path, content=content, headers=raw)
            return f"{response.status_code // 100}xx"

        statuses = Counter(self._pool.map(ask, asked))
        # the wire is seen with a delay: a connection of our own is the last of this part
        with socket.create_connection((LAST, 80)):
            end = time.monotonic() + 20
            while self._wire.tried[LAST, 80] == before[LAST, 80] and time.monotonic() < end:
                time.sleep(0.01)
        tried = self._wire.tried - before
        known = self._known | {("127.0.0.1", gateway.port), (LAST, 80)}
        return {
            "requests": statuses.total(),
            "statuses": statuses,
            "connections": {f"{host} {port}": n for (host, port), n in tried.items() if (host, port) not in known},
            "names": self._resolver.asked - names,
        }


SHOWN = ["http://127.1:8080/", "http://[64:ff9b::a9fe:a9fe]/", "https://rebound.test/", "http://public.test/redirected"]
"""Where pictures lie in the short form."""


def fields(document: dict[str, Any], urls: list[str], full: bool) -> Iterator[Asked]:
    """Every operation, with every field and header: each by itself with one address, all together with every."""
    for path, item in document["paths"].items():
        for method in map(str.upper, item):
            example, at = EXAMPLES.get((method, path)), path.replace("{", "").replace("}", "")
            for name in addresses.FIELDS if full else addresses.FIELDS[:4]:
                yield method, f"{at}?{name}={quote(urls[0], safe='')}", example, {}
                if example is not None:
                    yield method, at, addresses.alone(example, name, urls[0]), {}
                    yield method, at, addresses.single(example, name, urls[0]), {}
            for url in urls:
                told = dict.fromkeys(addresses.HEADERS, url.encode().decode("latin-1"))
                yield method, at, example, told
                if example is not None:
                    every = {name: url for name in addresses.FIELDS if name not in example}
                    yield method, at, example | every | dict.fromkeys(addresses.WITHIN, every), told
                    yield from ((method, at, body, {}) for body in addresses.lists(example, url))


def called(model: str, provider: str | None, messages: Any, key: str | None = None) -> Asked:
    """A completion of Parea's, whose clients may bring a key."""
    configuration = {"model": model, "provider": provider, "messages": messages}
    body = {"llm_configuration": configuration} | ({"provider_api_key": key} if key else {})
    return "POST", "/api/parea/v1/completion", body, {}


def models(urls: list[str]) -> Iterator[Asked]:
    """Names of models that hold an address, or choose a provider that is asked at one."""
    hello = [{"role": "user", "content": "hello"}]
    for shape in addresses.MODELS:
        for url in urls if "{" in shape else urls[:1]:
            model = shape.format(url=url, host=url.partition("://")[2].strip("/"))
            yield "POST", "/v1/chat/completions", {"model": model, "messages": hello}, {}
            yield called(model, None, hello)
            yield called(model, "litellm", hello)
            prefix, _, rest = model.partition("/")
            yield called(rest, prefix, hello)


def keys(urls: list[str], account: dict[str, Any]) -> Iterator[Asked]:
    """Keys that a request brings, which name an address."""
    for url in urls:
        for provider, key in addresses.keys(url, account):
            yield called(MODELS[provider], provider, [{"role": "user", "content": f"hello {url}"}], key)


def contents(urls: list[str], providers: list[str]) -> Iterator[Asked]:
    """Pictures and documents that lie at an address, for vendors that take them only by value too."""
    for url in urls:
        for messages in addresses.contents(url):
            for provider in providers:
                yield called(MODELS[provider], provider, messages)
                yield (
                    "POST",
                    "/v1/chat/completions",
                    {"model": f"{provider}/{MODELS[provider]}", "messages": messages},
                    {},
                )


def main(folder: Path, full: bool) -> None:
    enclose(folder)
    wire, resolver = Wire(), Resolver()
    wire.start()
    resolver.start()
    for port in (80, 443, 8080):
        trap(port)
    urls = addresses.SPELLINGS
    few = urls if full else urls[17::9]
    providers = list(MODELS) if full else ["openai", "anthropic", "vertexai", "aws_bedrock"]
    with Fleet() as fleet:
        vertex = fleet["vertexai"]
        assert isinstance(vertex, Vertex)
        bare = {"openai": {"api_key": "x"}, "anthropic": {"api_key": "x"}, "aws_bedrock": {}, "vertexai": {}}
        for name in ("configured", "bare"):
            (folder / name).mkdir()
        with (
            Process(folder / "configured", ECHO | {"providers": fleet.providers}) as configured,
            Process(folder / "bare", ECHO | {"providers": bare}) as unconfigured,
        ):
            for gateway in (configured, unconfigured):
                gateway.wait_for("/ready")
            document = httpx.get(f"{configured.url}/openapi.json").json()
            here = Enclosure(fleet, wire, resolver)
            account = json.loads(vertex.credentials)
            parts = {
                "fields": here.part(configured, fields(document, urls if full else urls[17::9], full)),
                "models": here.part(configured, models(few)),
                "keys": here.part(configured, keys(few, account)),
                "contents": here.part(configured, contents(urls if full else SHOWN, providers)),
                "bare models": here.part(unconfigured, models(few)),
                "bare keys": here.part(unconfigured, keys(few, account | {"token_uri": GOOGLE_TOKEN_URI})),
            }
    print(json.dumps({"parts": parts, "missed": wire.missed(), "spellings": len(urls)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "full")
