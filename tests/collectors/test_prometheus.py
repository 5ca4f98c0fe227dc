"""`/metrics` with Prometheus itself: it scrapes a gateway, and is asked by its own API what it has; promtool finds no
fault with the page.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collectors.environment import free, program, served, until
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario

pytestmark = pytest.mark.timeout(300)

KEY = "the-master-key"
CALLS = 3


def config(fleet: Fleet) -> dict[str, Any]:
    return {
        "model_list": [{"model_name": "small", "litellm_params": {"model": "openai/gpt-4o-mini"}}],
        "providers": fleet.providers,
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0},
    }


def ask(gateway: Local, status: int = 200, **body: Any) -> None:
    asked = {"model": "small", "messages": [{"role": "user", "content": "Hello"}], **body}
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers, timeout=60)
    assert answer.status_code == status


def test_it_scrapes_what_was_counted(tmp_path: Path) -> None:
    server, tool = (str(program("prometheus", f"usr/bin/{name}")) for name in ("prometheus", "promtool"))
    with Fleet() as fleet, Local(tmp_path, config(fleet)) as gateway:
        for _ in range(CALLS):
            ask(gateway)
        ask(gateway, stream=True)
        fleet["openai"].script = Scenario(status=400)
        ask(gateway, 400)
        page = httpx.get(f"{gateway.url}/metrics", headers={"x-api-key": KEY}).content
        checked = subprocess.run([tool, "check", "metrics"], input=page, capture_output=True, timeout=60)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
        (tmp_path / "key").write_text(KEY)
        job = {
            "job_name": "parea-proxy",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [gateway.url.removeprefix("http://")]}],
            "authorization": {"credentials_file": str(tmp_path / "key")},
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
        port = free()
        argv = [server, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
        with served([*argv, f"--web.listen-address=127.0.0.1:{port}"], tmp_path, port, "/-/ready") as prometheus:
            until(lambda: value(prometheus, "up") == 1)

            def of(name: str, labels: str = "") -> float | None:
                return value(prometheus, f"sum(parea_proxy_{name}{{{labels}}})")

            assert of("requests_total", 'model="small",status="success"') == CALLS + 1
            assert of("requests_total", 'status="error"') == of("failures_total", 'code="invalid_request"') == 1
            assert of("tokens_total", 'type="prompt"') == 6 * (CALLS + 1)
            assert (of("cost_usd_total") or 0) > 0
            assert of("latency_seconds_count") == CALLS + 1
            assert of("time_to_first_token_seconds_count") == 1
            slow = "histogram_quantile(0.95, sum by (le, model) (parea_proxy_latency_seconds_bucket))"
            assert 0 < (value(prometheus, slow) or 0) < 60


def value(prometheus: str, query: str) -> float | None:
    """What a query comes to; None when there is nothing."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["result"]
    return float(found[0]["value"][1]) if found else None
