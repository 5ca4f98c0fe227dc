"""A key is told to its vendor and to nobody else: Parea's completions at every vendor."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.canary.bunch import echoing, own_key, secret
from tests.canary.search import finish, numbers, post, row_of, search
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import Scenario

pytestmark = pytest.mark.fault("S1")

VENDORS = tuple(MODELS)


def question(vendor: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {next(numbers)}"}]
    configuration = {"model": MODELS[vendor], "provider": vendor, "messages": messages}
    return {"llm_configuration": configuration, "trace_id": str(uuid.uuid4()), **fields}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("brought", [False, True], ids=["configured", "brought"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_key_is_told_to_its_vendor_only(
    logging: Process, vendors: Fleet, vendor: str, brought: bool, stream: bool
) -> None:
    upstream = vendors[vendor]
    key = {"provider_api_key": own_key(upstream)} if brought else {}
    scenarios = {
        "answered": Scenario(),
        "refused": echoing(upstream, secret(upstream)),
        "cut": Scenario(fault="fin"),
        "garbage": Scenario(raw=b'{"key": "%b' % secret(upstream).encode()),
        # longer than any message that is passed on, so that one of these keys is cut in two
        **{f"at length {n}": echoing(upstream, "w" * (1880 + 15 * n) + " " + secret(upstream)) for n in range(8)},
    }
    for name, scenario in scenarios.items():
        upstream.script = scenario
        for time_of_asking in range(2 if name == "answered" else 1):
            body = question(vendor, **key)
            post(logging, f"{vendor} {name} {time_of_asking}", body, stream=stream)
            assert row_of(logging, body["trace_id"])["status"] == ("success" if name == "answered" else "error")
    assert search.leaks(logging) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_key_is_told_to_nobody_else(logging: Process, vendors: Fleet, vendor: str, stream: bool) -> None:
    body = question(vendor, provider_api_key=search.marked(f"wrong-{vendor}"))
    refused = post(logging, f"{vendor} wrong key", body, stream=stream)
    assert refused is not None
    row = row_of(logging, body["trace_id"])
    assert (row["status"], row["notes"]["failure"]) == (
        "error",
        "permission" if vendor == "aws_bedrock" else "authentication",
    )
    assert search.leaks(logging) == []


def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish(gateways, capsys, "keys", figure)
