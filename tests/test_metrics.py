"""`/metrics` from outside: whole gateways, real sockets, and the pages read by prometheus-client's own parser."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as families

from tests.gateway import Local, Process, rows, written
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario

MASTER = {"x-api-key": "the-master-key"}
PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


def config(fleet: Fleet, **rest: Any) -> dict[str, Any]:
    price = {"input_cost_per_token": 0.01, "output_cost_per_token": 0}
    return {
        "model_list": [
            {"model_name": "gpt-4o-mini", "litellm_params": {"model": "openai/gpt-4o-mini", **price}},
            {"model_name": "local/*", "litellm_params": {"model": "echo/*"}},
            {"model_name": "echo", "litellm_params": {"model": "echo/echo"}},
        ],
        "providers": {"openai": fleet.providers["openai"]},
        "deployments": {"d": {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}},
        "projects": {"support": {"environments": {"production": "d"}}},
        "router_settings": {"num_retries": 0, "allowed_fails": 0, "cooldown_time": 30},
        **rest,
    }


def page(url: str, headers: dict[str, str] | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of a page: by name, then by the values of their labels, in the order of the labels' names."""
    answer = httpx.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families(answer.text):
        for sample in family.samples:
            values = found.setdefault(sample.name.removeprefix("parea_proxy_"), {})
            assert tuple(sample.labels.values()) not in values, "a series stands twice"
            values[tuple(sample.labels.values())] = sample.value
    return found


def ask(url: str, model: str = "echo", cache: bool = False, **body: Any) -> httpx.Response:
    headers = {"x-cache": "true"} if cache else {}
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello there"}], "cache": cache, **body}
    return httpx.post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=20)


def test_a_call_is_counted_once_by_what_it_was(fleet: Fleet, tmp_path: Path) -> None:
    fleet.reset()
    with Local(tmp_path, config(fleet)) as gateway:
        bought = {
            "llm_configuration": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
            "project_name": "support",
        }
        first, second = gateway.complete(bought), gateway.complete(bought)
        gateway.stream({**bought, "cache": False, "project_name": "nobody's"})
        assert ask(gateway.url, "no-such").status_code == 404
        found = page(gateway.url)
        kept = rows(gateway.data)
    assert (first["cache_hit"], second["cache_hit"]) == (False, True)
    where = ("gpt-4o-mini", "openai")
    call = ("parea", *where, "success")
    assert found["requests_total"] == {
        ("miss", *call): 1,
        ("hit", *call): 1,
        ("bypass", *call): 1,
        ("bypass", "openai", "other", "other", "error"): 1,
    }
    paid = [row for row in kept if row["status"] == "success" and not row["cache_hit"]]
    assert found["tokens_total"][(*where, "prompt")] == sum(row["input_tokens"] for row in paid)
    assert found["tokens_total"][(*where, "completion")] == sum(row["output_tokens"] for row in paid)
    assert found["cost_usd_total"][where] == pytest.approx(sum(row["cost"] for row in paid))
    assert found["saved_usd_total"][where] == pytest.approx(first["cost"])
    assert found["saved_tokens_total"][(*where, "prompt")] == first["input_tokens"]
    assert found["project_requests_total"] == {("support", "success"): 2}
    assert found["project_cost_usd_total"] == {("support",): pytest.approx(first["cost"])}
    assert found["failures_total"] == {("not_found",): 1}
    ((ended, target),) = found["attempts_total"]
    assert (ended, found["attempts_total"][ended, target]) == ("success", 2)
    assert {one for (one,) in found["target_calls_in_flight"]} >= {target}
    assert found["calls_in_flight"] == {(): 0}
    assert found["log_rows_dropped_total"] == {(): 0}
    for name, streamed in (("latency_seconds", 0), ("time_to_first_token_seconds", 1)):
        counts = {labels: value for labels, value in found[f"{name}_count"].items() if value}
        assert counts == {(one, *where): 1 for one in (("bypass",) if streamed else ("miss", "hit", "bypass"))}
        for labels in counts:
            buckets = [value for at, value in found[f"{name}_bucket"].items() if at[:1] + at[2:] == labels]
            assert buckets == sorted(buckets)
            assert buckets[-1] == found[f"{name}_count"][labels]


def test_ten_thousand_names_make_no_series(fleet: Fleet, tmp_path: Path) -> None:
    """Models, projects and providers that a client makes up, a pattern's names among them."""

    def made_up(number: int) -> dict[str, Any]:
        model = ("local/{}", "made-up-{}", "echo/{}")[number % 3].format(number)
        return {
            "llm_configuration": {"model": model, "messages": [{"role": "user", "content": "Hi"}]},
            "project_name": f"project {number}",
            "cache": False,
        }

    with Local(tmp_path, config(fleet)) as gateway:

        def ask_all(numbers: range) -> None:
            with httpx.Client(base_url=gateway.parea, timeout=30) as client:
                for number in numbers:
                    client.post("/completion", json=made_up(number))

        ask_all(range(30))
        before = page(gateway.url)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask_all, [range(first, 10_000, 4) for first in range(4)]))
        after = page(gateway.url)
    assert {name: values.keys() for name, values in before.items()} == {
        name: values.keys() for name, values in after.items()
    }
    assert sum(after["requests_total"].values()) == 10_030
    assert {model for _, _, model, _, _ in after["requests_total"]} == {"local/*", "other"}
    assert "project_requests_total" not in after


def test_a_target_that_fails(fleet: Fleet, tmp_path: Path) -> None:
    fleet.reset()
    with Local(tmp_path, config(fleet)) as gateway:
        before = page(gateway.url)["target_cooled_down_seconds"]
        fleet["openai"].script = Scenario(status=401)
        assert ask(gateway.url, "gpt-4o-mini").status_code == 401
        found = page(gateway.url)
    fleet.reset()
    (target,) = [labels[0] for labels in before if "gpt" in labels[0]]
    assert set(before.values()) == {0}
    assert found["attempts_total"] == {("authentication", target): 1}
    assert found["failures_total"] == {("authentication",): 1}
    assert 0 < found["target_cooled_down_seconds"][target,] <= 30


@pytest.mark.timeout(120)
def test_two_workers_tell_of_both(fleet: Fleet, tmp_path: Path) -> None:
    with Process(tmp_path, config(fleet), PAREA_PROXY_WORKERS="2") as gateway:

        def one(_: int) -> int:
            return ask(gateway.url).status_code  # a connection of its own: the kernel gives it to any of them

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(200))) == {200}
        # whoever answers, and as often as one likes
        pages = [page(gateway.url)["requests_total"] for _ in range(10)]
        assert [sum(found.values()) for found in pages] == [200] * 10
        assert len(list(gateway.data.glob("tally.*"))) == 2
        assert page(gateway.url)["calls_in_flight"] == {(): 0}
    with Process(tmp_path, config(fleet)) as gateway:
        assert ask(gateway.url).status_code == 200
        assert sum(page(gateway.url)["requests_total"].values()) == 201, "counters went back with a restart"


def test_the_master_alone_may_look(fleet: Fleet, tmp_path: Path) -> None:
    keys: dict[str, dict[str, Any]] = {"team": {"hash": f"sha256:{sha256(b'team').hexdigest()}", "log": True}}
    with Local(tmp_path, config(fleet, keys=keys, general_settings={"master_key": "the-master-key"})) as gateway:
        team = {"authorization": "Bearer team"}
        asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        assert httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=team).status_code == 200
        statuses = [
            httpx.get(f"{gateway.url}/metrics", headers=headers).status_code
            for headers in (MASTER, team, {}, {**MASTER, "origin": "http://elsewhere.test"}, {"host": "evil.test"})
        ]
        assert statuses == [200, 403, 401, 403, 403]
        assert httpx.post(f"{gateway.url}/metrics", headers=MASTER, json={}).status_code == 405
        found = page(gateway.url, MASTER)
        text = httpx.get(f"{gateway.url}/metrics", headers=MASTER).text
    assert found["key_requests_total"] == {("team", "success"): 1}
    assert "the-master-key" not in text
    assert keys["team"]["hash"].removeprefix("sha256:") not in text


def test_reloads_are_told(fleet: Fleet, tmp_path: Path) -> None:
    with Local(tmp_path, config(fleet)) as gateway:
        assert page(gateway.url)["config_reloads_total"] == {(): 0}
        written(tmp_path, config(fleet, log={"sample_rate": 0.5}))
        assert httpx.post(f"{gateway.url}/admin/reload").status_code == 200
        (tmp_path / "gateway.yaml").write_text("cash: {}")
        assert httpx.post(f"{gateway.url}/admin/reload").status_code == 422
        found = page(gateway.url)
        assert found["config_reloads_total"] == {(): 1}
        assert found["config_reloads_refused_total"][()] >= 1
        assert found["config_unusable_workers"] == {(): 1}
        written(tmp_path, config(fleet, server={"metrics": False}))
        assert httpx.post(f"{gateway.url}/admin/reload").status_code == 200
        assert httpx.get(f"{gateway.url}/metrics").status_code == 404


def test_both_formats_of_the_page(fleet: Fleet, tmp_path: Path) -> None:
    with Local(tmp_path, config(fleet)) as gateway:
        assert ask(gateway.url).status_code == 200
        plain = httpx.get(f"{gateway.url}/metrics")
        opened = httpx.get(f"{gateway.url}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    parse: Any = openmetrics.text_string_to_metric_families
    names = [
        Counter(one.name for family in parsed for one in family.samples)
        for parsed in (list(families(plain.text)), list(parse(opened.text)))
    ]
    assert names[0] == names[1]
    told = {family.name for family in families(plain.text)}
    assert {name for name in told if f"`{name}" not in PAGE} == set(), "docs/metrics.md does not tell of these"


def test_calls_under_way_are_seen(fleet: Fleet, tmp_path: Path) -> None:
    fleet.reset()
    fleet["openai"].script = Scenario(delay=1.5)
    with Local(tmp_path, config(fleet)) as gateway, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, gateway.url, "gpt-4o-mini")
        end = time.monotonic() + 10
        while page(gateway.url)["calls_in_flight"] != {(): 1}:
            assert time.monotonic() < end
        assert asked.result().status_code == 200
        assert page(gateway.url)["calls_in_flight"] == {(): 0}
    fleet.reset()
