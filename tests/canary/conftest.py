"""Gateways whose every key is a canary, one pair for each file of tests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary.search import MASTER, client, search
from tests.gateway import Process
from tests.upstreams.bedrock import Bedrock
from tests.upstreams.fleet import Fleet
from tests.upstreams.vertex import Vertex


@pytest.fixture(scope="session", autouse=True)
def _closed() -> Iterator[None]:
    with client:
        yield


@pytest.fixture(scope="module")
def vendors() -> Iterator[Fleet]:
    """Twelve upstreams whose keys are canaries."""
    search.begin()
    fleet = Fleet()
    for upstream in fleet.upstreams.values():
        upstream.key = search.marked(f"key-of-{upstream.name}")
    with fleet:
        vertex, bedrock = fleet["vertexai"], fleet["aws_bedrock"]
        assert isinstance(vertex, Vertex)
        assert isinstance(bedrock, Bedrock)
        vertex.token = "ya29." + search.marked("vertex-token")
        bedrock.secret = search.marked("aws-secret")
        search.secrets.add(json.loads(vertex.credentials)["private_key"].splitlines()[5])
        yield fleet


@pytest.fixture(scope="module")
def gateways(vendors: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """One gateway that logs, and one whose config says that nothing is to be written down."""
    prompt = {"model": "echo", "messages": [{"role": "user", "content": "Hello {{name}}"}]}
    config: dict[str, Any] = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "providers": vendors.providers,
        "deployments": {"p-hello": prompt},
        "projects": {"p": {"environments": {"production": "p-hello"}}},
        "general_settings": {"master_key": MASTER},
    }
    search.canaries.add(MASTER)
    made = {
        name: Process(tmp_path_factory.mktemp(name), config | {"log": {"omit": omit}}, PAREA_PROXY_LOG_LEVEL="debug")
        for name, omit in (("logging", "none"), ("omitting", "all"))
    }
    with contextlib.ExitStack() as running:
        yield {name: running.enter_context(process) for name, process in made.items()}


@pytest.fixture
def logging(gateways: dict[str, Process], vendors: Fleet) -> Process:
    vendors.reset()
    return gateways["logging"]


@pytest.fixture
def omitting(gateways: dict[str, Process], vendors: Fleet) -> Process:
    vendors.reset()
    return gateways["omitting"]


@pytest.fixture
def restored(vendors: Fleet) -> Iterator[None]:
    """The vendors take their configured keys again afterwards."""
    before = {name: dict(vars(upstream)) for name, upstream in vendors.upstreams.items()}
    yield
    for name, upstream in vendors.upstreams.items():
        upstream.key = before[name]["key"]
        if isinstance(upstream, Bedrock):
            upstream.secret = before[name]["secret"]
