"""S8: scripts in everything that is logged. No page of the gateway shows what is logged; its answers are JSON, which a
browser shows as text, and each says so.

Every payload runs where it is put into a page as it is: the same browser shows that first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.faults import everywhere
from tests.faults.chromium import Browser
from tests.faults.plugin import FULL, Figure
from tests.faults.stranger import Stranger
from tests.gateway import Process

pytestmark = pytest.mark.fault("S8")

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt >alert(1)</sCrIpT >",
    "<script>window['al'+'ert'](1)</script>",
    "<script>\\u0061lert(1)</script>",
    "<script src=data:text/javascript,alert(1)></script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=&#97;lert(1)>",
    "<img src=x onerror=eval(atob('YWxlcnQoMSk='))>",
    "<img src=x onerror=import('data:text/javascript,alert(1)')>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
    "<math><mtext></mtext><img src=x onerror=alert(1)></math>",
    "<body onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<details open ontoggle=alert(1)>x</details>",
    "<input autofocus onfocus=this.remove(),alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)></audio>",
    "<style onload=alert(1)></style>",
    "<link rel=stylesheet href=data:text/css, onload=alert(1)>",
    "<xss style=animation-name:x onanimationstart=alert(1)></xss><style>@keyframes x{}</style>",
]

USED = PAYLOADS if FULL else PAYLOADS[::16]

PAGES = ("/docs", "/redoc", "/docs/oauth2-redirect")
"""Every HTML page of the gateway."""

READ = {
    "/api/parea/v1/trace_log/{trace_id}": ["/api/parea/v1/trace_log/t-{n}", "/api/parea/v1/trace_log/c-t-{n}"],
    "/v1/models": ["/v1/models", "/v1/models?after_id={text}"],
    "/v1/models/{model}": ["/v1/models/{text}"],
    "/v4/logs": ["/v4/logs?project_id={project}", "/v4/logs?project_id={project}&search={text}"],
    "/v4/logs/{id}": ["/v4/logs/t-{n}"],
    "/v4/sessions": ["/v4/sessions?project_id={project}"],
    "/v4/sessions/{id}": ["/v4/sessions/{text}"],
    "/v4/projects": ["/v4/projects", "/v4/projects?filter={text}"],
    "/v4/projects/{id}": ["/v4/projects/{project}"],
    "/v4/projects/{id}/active-config": ["/v4/projects/{project}/active-config?environment={text}"],
    "/v4/projects/{id}/deployed-configs": ["/v4/projects/{project}/deployed-configs"],
    "/v4/projects/{id}/configs": ["/v4/projects/{project}/configs"],
    "/v5/chat/completions/models": ["/v5/chat/completions/models?name={text}"],
    "/v5/models": ["/v5/models?sort_by={text}"],
    "/v5/models/{model_id}": ["/v5/models/{text}"],
    "/health": ["/health?{text}"],
    "/ready": ["/ready"],
    "/admin/config": ["/admin/config"],
    "/admin/export": ["/admin/export?format=csv", "/admin/export", "/admin/export?where={text}"],
    "/admin/log": ["/admin/log?limit=2", "/admin/log?where={text}", "/admin/log?after={text}"],
    "/admin/log/{id}": ["/admin/log/t-{n}", "/admin/log/{text}"],
    "/admin/sql": ["/admin/sql?query=select output from traces", "/admin/sql?query={text}"],
    "/admin/stats": ["/admin/stats?by=model", "/admin/stats?by={text}"],
}
"""Every operation that a browser can be led to, and addresses that show what was stored or repeat what was asked."""

OTHERS = ["/", "/nothing/{text}", "/openapi.json?{text}", "/{text}"]
DRAWN = ["/docs?url={elsewhere}&configUrl={elsewhere}#/{text}", "/docs/oauth2-redirect?{text}#{text}"]
DRAWN += ["/redoc?{text}&url={elsewhere}#{text}"] if FULL else []
"""What takes a browser seconds to draw; every eighth payload will do, since they show nothing that is stored."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    named = [{"model_name": name, "litellm_params": {"model": "echo/echo"}} for name in ("echo", *PAYLOADS)]
    with Process(tmp_path_factory.mktemp("gateway"), {"model_list": named}) as gateway:
        gateway.wait_for("/openapi.json")
        yield gateway


def addresses(gateway: Process, client: httpx.Client, number: int, text: str, elsewhere: str) -> list[str]:
    """Where the payload may be seen, once it is stored."""
    listed = client.get(f"{gateway.url}/v4/projects", params={"filter": text}).json()["records"]
    places = {"n": number, "text": quote(text, safe=""), "elsewhere": quote(elsewhere, safe="")}
    places["project"] = quote(listed[0]["id"], safe="") if listed else "none"
    paths = [*OTHERS, *(DRAWN if number % 8 == 0 else ()), *(one for each in READ.values() for one in each)]
    return [gateway.url + path.format(**places) for path in paths]


def harmless(response: httpx.Response) -> bool:
    """Whether a browser runs nothing of an answer that it is led to: no page, and not to be taken for one."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    saved = response.headers.get("content-disposition", "").startswith("attachment;")
    named = saved or kind in ("application/json", "text/event-stream")
    return named and response.headers["x-content-type-options"] == "nosniff"


def test_s8_every_operation_that_a_browser_can_be_led_to_is_looked_at(gateway: Process) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    assert set(READ) == {path for path, item in document["paths"].items() if "get" in item}


@pytest.mark.timeout(300)
def test_s8_stored_scripts_are_shown_as_text(gateway: Process, tmp_path: Path, figure: Figure) -> None:
    client = httpx.Client(timeout=30)
    answers = shown = 0
    with Stranger() as elsewhere, Browser(tmp_path / "profile") as browser, client:
        elsewhere.pages = {f"/{n}": f"<!doctype html>{text}" for n, text in enumerate(USED)}
        home = f"http://127.0.0.1:{elsewhere.port}"
        for number in range(len(USED)):
            browser.open(f"{home}/{number}")
            assert len(browser.dialogs) == number + 1, USED[number]
        browser.dialogs.clear()

        for number, text in enumerate(USED):
            for asked in everywhere.requests(f"t-{number}", text):
                response = everywhere.post(client, gateway.url, asked)
                assert response.status_code < 500, (asked, response.text)
                assert harmless(response), (asked, response.headers)
                answers += 1
            assert text in client.get(f"{gateway.url}/api/parea/v1/trace_log/t-{number}").json()["output"]
            for address in addresses(gateway, client, number, text, home):
                path = httpx.URL(address).path
                response = client.get(address)
                assert path in PAGES or harmless(response), (address, response.headers)
                browser.open(address)
                shown += 1
        assert browser.dialogs == []
    figure("dialogs from stored scripts", f"0 of {len(USED)} payloads, {shown} pages and answers shown")
    figure("answers that a browser could run", f"0 of {answers + shown}")


def test_s8_the_pages_run_their_own_scripts_only(gateway: Process) -> None:
    """They show the document of the API, which holds nothing that was logged or configured."""
    for page in PAGES:
        answered = httpx.get(gateway.url + page, params={"x": PAYLOADS[0]})
        assert answered.headers["content-type"].startswith("text/html")
        assert answered.headers["x-content-type-options"] == "nosniff"
        policy = dict(one.strip().partition(" ")[::2] for one in answered.headers["content-security-policy"].split(";"))
        assert "unsafe" not in policy["script-src"]
        assert policy["default-src"] == "'self'"
        assert "alert" not in answered.text
    assert "alert" not in httpx.get(f"{gateway.url}/openapi.json").text
