"""S3: pages of other origins in a real Chromium try to have the gateway work, and to read what it knows.

The same tricks are tried on a server without a guard, which falls for them: so they are real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.chromium import Browser
from tests.faults.plugin import FULL, Figure
from tests.faults.stranger import Naive, Rebinder, Stranger
from tests.gateway import Process, rows

pytestmark = pytest.mark.fault("S3")

TRICKS = Path(__file__).with_name("tricks.js").read_text("utf-8")
SECRET = "what-only-this-machine-may-know"
CONFIG = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
MESSAGES = [{"role": "user", "content": "MARK"}]

WORK: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "echo", "messages": MESSAGES}),
    ("/api/parea/v1/completion", {"llm_configuration": {"model": "echo", "messages": MESSAGES}}),
    ("/api/parea/v1/trace_log", {"trace_id": "MARK", "trace_name": "MARK"}),
    ("/api/parea/v1/project", {"name": "MARK"}),
    ("/v1/messages", {"model": "echo", "max_tokens": 9, "messages": MESSAGES}),
    ("/v4/logs", {"project": "MARK", "output": "MARK"}),
    ("/v4/sessions", {"project": "MARK"}),
]
"""Requests that cost something, or leave something behind."""

SHORT = 2
"""Of these in the short form."""

KNOWN = {
    "data": "/api/parea/v1/trace_log/seed",
    "script": "/static-offline-docs/swagger-ui-bundle.js",
    "image": "/static-offline-docs/favicon.png",
}


@dataclass
class Tally:
    """What pages tried on one server, and what came of it."""

    sent: int = 0
    tried: int = 0
    read: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, told: dict[str, Any]) -> None:
        self.sent += told["sent"]
        self.tried += told["tried"]
        self.read |= {f"{where}: {trick}": said for trick, said in told["read"].items()}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        gateway.wait_for("/openapi.json")
        yield gateway


@dataclass
class Sites:
    """The browser, and where its pages come from: their URLs, by what makes them foreign."""

    browser: Browser
    pages: dict[str, str]

    def attack(self, port: int, hosts: tuple[str, ...]) -> Tally:
        """Every trick from every page at a server of this machine, by each of its names."""
        tally = Tally()
        for number, (origin, page) in enumerate(self.pages.items()):
            targets = (
                [f"http://rebound.test:{port}"] if origin == "rebound" else [f"http://{one}:{port}" for one in hosts]
            )
            for at, base in enumerate(targets):
                self.browser.open(page.format(port=port))
                work, label = WORK if FULL else WORK[:SHORT], f"{number}-{at}"
                asked = f"attack({json.dumps(base)}, {json.dumps(work)}, {json.dumps(KNOWN)}, {json.dumps(label)})"
                tally.add(f"{origin} to {base}", self.browser.evaluate(f"(() => {{ {TRICKS}\nreturn {asked} }})()"))
        return tally


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, gateway: Process, naive: Naive) -> Iterator[Sites]:
    folder = tmp_path_factory.mktemp("browser")
    local = folder / "page.html"
    local.write_text("<title>a file</title>")
    with Stranger() as stranger, Rebinder(gateway.port) as rebound, Rebinder(naive.port) as control:
        rules = [
            f"MAP evil.test 127.0.0.1:{stranger.port}",
            f"MAP rebound.test:{gateway.port} 127.0.0.1:{rebound.port}",
            f"MAP rebound.test:{naive.port} 127.0.0.1:{control.port}",
        ]
        pages = {
            "another name": "http://evil.test/",
            "another port": f"http://127.0.0.1:{stranger.port}/",
            "rebound": "http://rebound.test:{port}/attack",
        }
        if FULL:
            pages |= {
                "localhost, another port": f"http://localhost:{stranger.port}/",
                "no origin": "data:text/html,<title>a page</title><body>",
                "a file": local.as_uri(),
            }
        with Browser(folder / "profile", ", ".join(rules)) as browser:
            yield Sites(browser, pages)


@pytest.fixture(scope="module")
def naive() -> Iterator[Naive]:
    with Naive(SECRET) as naive:
        yield naive


@pytest.mark.timeout(300)
def test_s3_pages_of_other_origins_have_nothing_done_and_read_nothing(
    gateway: Process, naive: Naive, sites: Sites, full: bool, figure: Figure
) -> None:
    seed = {"trace_id": "seed", "output": SECRET}
    assert httpx.post(f"{gateway.parea}/trace_log", json=seed).json()["logged"] is True
    hosts = ("127.0.0.1", "localhost", "0.0.0.0") if full else ("127.0.0.1",)
    control = sites.attack(naive.port, hosts)
    tally = sites.attack(gateway.port, hosts)

    # the tricks work where nobody guards against them, each that needs no leave to be asked for
    assert len(naive.worked) > control.sent / 2
    assert any(SECRET in said for said in control.read.values())
    assert tally.sent == control.sent

    left = [row["trace_id"] for row in rows(gateway.data)]
    assert left == ["seed"]
    projects = httpx.get(f"{gateway.url}/v4/projects").text
    assert "mark-" not in projects
    # a page that rebinds its name may read that this name is refused
    assert {trick: said for trick, said in tally.read.items() if "is not served here" not in said} == {}
    # and the gateway still does what it should for this machine
    assert httpx.get(f"{gateway.parea}/trace_log/seed").json()["output"] == SECRET
    figure("requests executed for pages of other origins", f"0 of {tally.sent}")
    figure("answers read by pages of other origins", f"0 of {tally.tried}")
    figure(
        "the same on a server without a guard",
        f"{len(naive.worked)} of {control.sent} executed, {len(control.read)} of {control.tried} read",
    )


def test_s3_no_page_of_another_origin_frames_the_gateways_own(gateway: Process, sites: Sites) -> None:
    """Nor would it if the browser said nothing of sites: the page itself forbids it."""
    policy = httpx.get(f"{gateway.url}/docs").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    answered = httpx.options(f"{gateway.url}/v1/models", headers={"origin": gateway.url})
    assert not [name for name in answered.headers if name.startswith("access-control-")]


def test_s3_the_gateways_own_pages_still_work(gateway: Process, sites: Sites) -> None:
    """What refuses foreign pages lets its own read the document and show it, within their policy."""
    shown = {
        "/docs": "document.querySelectorAll('.opblock').length",
        "/redoc": "document.querySelectorAll('h2').length",
    }
    sites.browser.violations.clear()
    for path, count in shown.items():
        sites.browser.open(gateway.url + path)
        drawn = f"""new Promise(async (done) => {{
            for (let tries = 0; tries < 200 && !({count}); tries++) await new Promise((next) => setTimeout(next, 50));
            done({count});
        }})"""
        assert sites.browser.evaluate(drawn) > 20, path
    # ReDoc would have a picture from its maker's site
    assert [one for one in sites.browser.violations if "logo-mini.svg" not in one] == []
