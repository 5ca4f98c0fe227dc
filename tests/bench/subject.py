"""Who is measured and what each is asked: the same question in the words of each.

`hit` repeats questions whose answers are cached, `miss` and `stream` never ask the same twice; the cache is on in all
three. The gateway is asked as its original client does, with every field.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import NUMBER
from tests.bench.server import HOST, Server
from tests.bench.upstream import ENDING

CASES = ("hit", "miss", "stream")
KEY = "sk-bench"

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer briefly and say where you are unsure."},
    {"role": "user", "content": f"Question {NUMBER}: what should a traveller know before the first visit to Lisbon?"},
]


@dataclass(frozen=True, slots=True)
class Ask:
    """One case's request, and what must stand in its answer."""

    path: str
    body: str
    expect: str = ENDING


@dataclass(frozen=True, slots=True)
class Subject:
    """A server with its requests by case, and how many distinct ones its cache is asked for."""

    name: str
    server: Server
    asks: Mapping[str, Ask]
    distinct: int


def upstream(folder: Path) -> Server:
    argv = [sys.executable, "-m", "tests.bench.upstream", "{port}"]
    return Server("the upstream", argv, log=folder / "upstream.log", ready="/")


def direct(server: Server) -> Subject:
    """The upstream itself: what a client would wait for without a gateway."""
    return Subject("upstream", server, _openai(), distinct=1000)


def gateway(server: Server) -> Subject:
    path = "/api/parea/v1/completion"
    asks = {
        "hit": Ask(path, parea(), expect='"cache_hit":true'),
        "miss": Ask(path, parea()),
        "stream": Ask(f"{path}/stream", parea()),
    }
    return Subject("gateway", server, asks, distinct=1000)


def litellm(server: Server) -> Subject:
    """Its cache in memory holds 200 answers."""
    return Subject("LiteLLM", server, _openai(), distinct=100)


def gateway_server(folder: Path, upstream_port: int) -> Server:
    """This gateway as a user starts it, with the log and the cache of a fresh data folder in `folder`."""
    config = _write(folder / "gateway.yaml", {"model_list": _models(upstream_port)})
    argv = [sys.executable, "-m", "proxy", "serve", "--config", str(config), "--data", str(folder / "data")]
    return Server("the gateway", [*argv, "--port", "{port}"], log=folder / "gateway.log", ready="/ready")


def litellm_server(folder: Path, upstream_port: int, bin: Path) -> Server:
    """The LiteLLM proxy, tuned as its documents say: one worker, no debug log, no database, nothing fetched."""
    settings = {"cache": True, "cache_params": {"type": "local"}}
    config = _write(folder / "litellm.yaml", {"model_list": _models(upstream_port), "litellm_settings": settings})
    argv = [str(bin / "litellm"), "--config", str(config), "--host", HOST, "--port", "{port}"]
    environ = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_OFFLINE_MODE": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        # without a key it need not check any, which is faster
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    log = folder / "litellm.log"
    return Server("the LiteLLM proxy", argv, log=log, ready="/health/liveliness", environ=environ)


def parea(model: str = "bench", *, cache: bool = True) -> str:
    """A body of the original client's."""
    params = {"temp": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    configuration = {
        "model": model,
        "model_params": params | dict.fromkeys(("max_length", "response_format", "safe_prompt")),
        "messages": MESSAGES,
        **dict.fromkeys(("provider", "history", "functions", "function_call")),
    }
    body: dict[str, object] = {
        "llm_inputs": {},
        "llm_configuration": configuration,
        "cache": cache,
        "tags": [],
        "log_omit_inputs": False,
        "log_omit_outputs": False,
        "log_omit": False,
        "log_sample_rate": 1.0,
        **dict.fromkeys(("end_user_identifier", "deployment_id", "name", "metadata", "target")),
    }
    return json.dumps(body)


def _openai() -> dict[str, Ask]:
    path = "/v1/chat/completions"
    whole = Ask(path, json.dumps({"model": "bench", "messages": MESSAGES}))
    return {
        "hit": whole,
        "miss": whole,
        "stream": Ask(path, json.dumps({"model": "bench", "messages": MESSAGES, "stream": True})),
    }


def _models(upstream_port: int) -> list[object]:
    params = {"model": "openai/bench", "api_base": f"http://{HOST}:{upstream_port}/v1", "api_key": KEY}
    return [{"model_name": "bench", "litellm_params": params}]


def _write(path: Path, config: object) -> Path:
    path.write_text(json.dumps(config))  # JSON is YAML
    return path
