"""Who is measured and what each is asked: the same question in the words of each.

`hit` repeats questions whose answers are cached, `miss`, `paced` and `unpaced` (streams) never ask the same twice; the
cache is on in all of them. The gateway is asked as its original client does, with every field, and once more in
OpenAI's words, as the peers are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import native
from tests.bench.load import MODEL, NUMBER
from tests.bench.server import HOST, Server
from tests.bench.upstream import CHUNKS, ENDING

KEY = "sk-bench"
PACES = {"paced": 100, "unpaced": 0}
"""Pieces a second of each stream; 0: as fast as the upstream can."""

SYSTEM = {"role": "system", "content": "You are a helpful assistant. Answer briefly and say where you are unsure."}
QUESTION = f"Question {NUMBER}: what should a traveller know before the first visit to Lisbon?"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One case's request, and what must stand in its answer: `chunks` pieces, if it is a stream."""

    path: str
    body: str
    expect: str = ENDING
    headers: Headers = ()
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """A server with its requests by case; a case that is not there is not asked.

    `distinct` answers are cached for the hits, and again before each round if the cache forgets them (`forgets`). One
    that answers by itself does not call the upstream. More than `most` clients at once it does not bear, because of its
    `bound`; 0: as many as there are.
    """

    name: str
    server: Server
    asks: Mapping[str, Ask]
    distinct: int = 10_000
    forgets: bool = False
    calls_upstream: bool = True
    most: int = 0
    bound: str = ""


def upstream(folder: Path, *, in_c: bool = True) -> Server:
    argv = [*native.program("upstream", native=in_c), "{port}"]
    return Server("the upstream", argv, log=folder / "upstream.log", ready="/")


def direct(server: Server) -> Subject:
    """The upstream itself: what a client would wait for without a gateway."""
    return Subject("upstream", server, {case: ask for case, ask in openai().items() if case != "hit"})


def echo_server(folder: Path) -> Server:
    """Bare uvicorn, with what the gateway serves with."""
    options = [
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--lifespan",
        "off",
        "--no-access-log",
        "--log-level",
        "error",
    ]
    argv = [sys.executable, "-m", "uvicorn", "tests.bench.echo:app", "--host", HOST, "--port", "{port}", *options]
    return Server("the echo", argv, log=folder / "echo.log", ready="/")


def echo(server: Server) -> Subject:
    """It answers by itself, as a hit does."""
    ask = Ask("/", parea(), expect="Lisbon")
    return Subject("uvicorn echo", server, {"hit": ask}, distinct=0, calls_upstream=False)


def gateway(server: Server, name: str = "gateway") -> Subject:
    """Asked as the original client of Parea asks."""
    path = "/api/parea/v1/completion"
    asks = {"hit": Ask(path, parea(), expect='"cache_hit":true'), "miss": Ask(path, parea())}
    return Subject(name, server, asks | _streams(lambda pace: Ask(f"{path}/stream", parea(question=paced(pace)))))


def gateway_openai(server: Server) -> Subject:
    """The same server, asked as the peers are; a header asks for the cache."""
    return Subject("gateway, OpenAI", server, openai(headers=(("x-cache", "true"),)))


def gateway_server(folder: Path, upstream_port: int, *, workers: int = 1, models: int = 0) -> Server:
    """This gateway as a user starts it, with the log and the cache of a data folder in `folder`.

    It has one model, `bench`, or with `models` so many, whose names end in their numbers.
    """
    listed = [f"bench-{number:04d}" for number in range(models)] or ["bench"]
    config = {"model_list": [model(name, upstream_port) for name in listed], "cache": {"max_size": "20GB"}}
    path = write(folder / "gateway.yaml", config)
    argv = [sys.executable, "-m", "proxy", "serve", "--config", str(path), "--data", str(folder / "data")]
    argv += ["--port", "{port}"] + (["--workers", str(workers)] if workers > 1 else [])
    return Server("the gateway", argv, log=folder / "gateway.log", ready="/ready")


def parea(model: str = "bench", *, cache: bool = True, question: str = QUESTION) -> str:
    """A body of the original client's."""
    params = {"temp": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    configuration = {
        "model": model,
        "model_params": params | dict.fromkeys(("max_length", "response_format", "safe_prompt")),
        "messages": _messages(question),
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


def openai(
    model: str = "bench", *, path: str = "/v1/chat/completions", headers: Headers = (), **fields: object
) -> dict[str, Ask]:
    """Every case in OpenAI's words."""

    def ask(question: str, **more: object) -> Ask:
        body = {"model": model, "messages": _messages(question), **fields, **more}
        return Ask(path, json.dumps(body), headers=headers)

    whole = ask(QUESTION)
    return {"hit": whole, "miss": whole} | _streams(lambda pace: ask(paced(pace), stream=True))


def paced(pace: int, chunks: int = CHUNKS) -> str:
    """The question that has the upstream answer in `chunks` pieces, `pace` a second."""
    return f"{QUESTION} (pace={pace} chunks={chunks})"


def numbered_models() -> str:
    """The model name that stands for all of `gateway_server(models=N)`'s."""
    return f"bench-{MODEL}"


def model(name: str, upstream_port: int) -> dict[str, object]:
    """An entry of LiteLLM's `model_list`."""
    params = {"model": f"openai/{name}", "api_base": f"http://{HOST}:{upstream_port}/v1", "api_key": KEY}
    return {"model_name": name, "litellm_params": params}


def write(path: Path, config: object) -> Path:
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def _messages(question: str) -> list[dict[str, str]]:
    return [SYSTEM, {"role": "user", "content": question}]


def _streams(make: Callable[[int], Ask]) -> dict[str, Ask]:
    asks = {}
    for case, pace in PACES.items():
        ask = make(pace)
        asks[case] = Ask(ask.path, ask.body, ask.expect, ask.headers, CHUNKS)
    return asks
