"""S11: paths that climb, wherever a client can write one: no file but the gateway's own is served, read or written.

What a damaged or hostile cache folder can name stands in tests/stores/test_safedisk.py and test_diskcache.py.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.plugin import FULL, Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("S11")

SECRET = "what-no-request-may-read"
STATIC = "/static-offline-docs"

CLIMBS = [
    "../",
    "..\\",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%5c",
    "%252e%252e%252f",
    "..%252f",
    "..;/",
    ".../",
    "....//",
    "..//",
    "./../",
    "%c0%ae%c0%ae/",
    "%c0%ae%c0%ae%c0%af",
    "..%c0%af",
    "%u002e%u002e/",
    "..%00/",
    "\uff0e\uff0e/",
    "..\u2215",
]
"""One step up, in the spellings that servers have taken for one."""

FILES = ["etc/passwd", "proc/self/environ", "proc/self/cmdline", "core.py", "__init__.py"]
PREFIXES = [STATIC, f"{STATIC}/", "", "/docs", "/static", "/v1/models", "/api/parea/v1/trace_log", "/v4/logs"]
PREFIXES += ["/v4/sessions", "/v4/projects", "/v5/models"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Started with a secret in its environment and beside its data."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "planted").write_text(SECRET)
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    with Process(folder, {"model_list": models}, PLANTED=SECRET) as gateway:
        gateway.wait_for("/openapi.json")
        yield gateway


def asked(gateway: Process, target: str) -> tuple[int, bytes]:
    """The status and the body of a GET of this very target, which no client library has tidied up."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as line:
        line.sendall(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = b"".join(iter(lambda: line.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def leaks(gateway: Process, body: bytes) -> bool:
    """Whether an answer holds anything of a file that is not for clients."""
    known = (
        SECRET.encode(),
        b"root:x:",
        b"FastAPIOffline",
        b"SQLite format",
        (gateway.data / "cache.key").read_bytes(),
    )
    return any(one in body for one in known)


def test_s11_no_path_climbs_out(gateway: Process, figure: Figure) -> None:
    status, body = asked(gateway, f"{STATIC}/swagger-ui.css")
    assert (status, len(body) > 100_000) == (200, True)
    count = 0
    for prefix in PREFIXES:
        for climb in CLIMBS if FULL else CLIMBS[::4]:
            for file in [*FILES, str(gateway.data).lstrip("/") + "/traces.db", str(gateway.data.parent / "planted")]:
                for steps in (1, 9):
                    status, body = asked(gateway, f"{prefix}/{climb * steps}{file}")
                    assert not leaks(gateway, body), (prefix, climb, file)
                    assert status in (400, 404), (prefix, climb, file, status)
                    count += 1
    for target in (
        "/etc/passwd",
        "//etc/passwd",
        f"{STATIC}//etc/passwd",
        "file:///etc/passwd",
        f"{STATIC}/%2fetc/passwd",
    ):
        status, body = asked(gateway, target)
        assert (status in (400, 404), leaks(gateway, body)) == (True, False), target
        count += 1
    figure("files read by paths that climb", f"0 by {count:,} requests")


def test_s11_names_in_a_body_are_no_paths(gateway: Process, figure: Figure) -> None:
    """Ids, names, projects and models, and a key that would be read where it is configured."""
    planted = gateway.data.parent / "planted"
    planted.write_text(json.dumps({"type": "service_account", "token_uri": "x", "secret": SECRET}))
    before = tree(gateway.data.parent)
    names = [
        f"{'../' * 9}{str(planted).lstrip('/')}",
        str(planted),
        f"file://{planted}",
        "..",
        ".",
        "~/planted",
        "\\\\x\\y",
    ]
    count = 0
    with httpx.Client(timeout=30) as client:
        for name in names:
            message = [{"role": "user", "content": "x"}]
            llm = {"model": "echo", "messages": message}
            parea, v4 = gateway.parea, f"{gateway.url}/v4"
            for url, body in (
                (f"{parea}/completion", {"llm_configuration": llm, "trace_id": name, "project_name": name}),
                (f"{parea}/completion", {"llm_configuration": {"model": name, "messages": message}}),
                (f"{parea}/completion", {"deployment_id": name}),
                (f"{parea}/deployed-prompt", {"deployment_id": name}),
                (f"{parea}/project", {"name": name}),
                (f"{parea}/trace_log", {"trace_id": name, "session_id": name, "inputs": {"f": name}}),
                (f"{parea}/trace_log/{name.replace('/', '%2f')}", {"id": "x"}),
                (f"{v4}/logs", {"project": name, "output": "x", "reference_id": name}),
                (f"{v4}/completion-deployed", {"project": name, "environment": name}),
                *(
                    (
                        f"{parea}/completion",
                        {
                            "llm_configuration": {"model": "x", "provider": provider, "messages": message},
                            "provider_api_key": name,
                        },
                    )
                    for provider in ("vertexai", "aws_bedrock", "openai")
                ),
            ):
                answered = client.post(url, json=body)
                assert answered.status_code < 500, (url, body, answered.text)
                assert SECRET not in answered.text, (url, body)
                count += 1
    assert tree(gateway.data.parent) - before <= {"data/plans.json"}
    figure("files read or written by names in bodies", f"0 by {count:,} requests")


def tree(folder: Path) -> set[str]:
    """The files below a folder, but for those that the cache makes of answers."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {path.as_posix() for path in paths if "cache" not in path.parts}
