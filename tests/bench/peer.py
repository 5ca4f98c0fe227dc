"""The peers: how each is installed, started as its documents say, and asked. Each in one process, without logging.

What each has to do for a request differs, and is said beside it: none of them keeps rows as the gateway does, but for
the any-llm gateway.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import environment
from tests.bench.environment import Environment
from tests.bench.server import HOST, ROOT, Server
from tests.bench.subject import KEY, Ask, Subject, model, openai, write


def _nothing(_: Server) -> None:
    """Most peers need nothing more once they are up."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. `remark` says how it is run; `prepare` is called once it is up."""

    name: str
    remark: str
    install: Callable[[], Environment]
    serve: Callable[[Path, int, Environment], Server]
    asks: Callable[[int], Mapping[str, Ask]]
    """By case, given the upstream's port."""
    distinct: int = 0
    forgets: bool = False
    most: int = 0
    bound: str = ""
    prepare: Callable[[Server], None] = _nothing

    def subject(self, server: Server, upstream_port: int) -> Subject:
        asks = self.asks(upstream_port)
        return Subject(self.name, server, asks, self.distinct, self.forgets, most=self.most, bound=self.bound)


def _without_hit(asks: Mapping[str, Ask]) -> dict[str, Ask]:
    return {case: ask for case, ask in asks.items() if case != "hit"}


def _environ(folder: Path, **more: str) -> dict[str, str]:
    """A home of its own, so that a peer neither finds nor leaves anything in the user's."""
    return {"HOME": str(folder), **more}


def _nginx(folder: Path, upstream_port: int, env: Environment) -> Server:
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(f"{name}_temp_path temp;" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = f"""
    daemon off; pid nginx.pid; error_log stderr crit; worker_processes 1; {user}
    events {{ worker_connections 4096; }}
    http {{
        access_log off; {temporary} keepalive_requests 1000000000; client_body_buffer_size 64k;
        proxy_cache_path cache keys_zone=answers:32m; open_file_cache max=20000;
        upstream bench {{ server {HOST}:{upstream_port}; keepalive 1024; keepalive_requests 1000000000; }}
        proxy_http_version 1.1; proxy_set_header Connection "";
        server {{
            listen {HOST}:PORT;
            location / {{ proxy_pass http://bench; proxy_buffering off; }}
            location /cached/ {{
                proxy_pass http://bench/; proxy_cache answers; proxy_cache_methods POST; proxy_cache_valid 1h;
                proxy_cache_key $request_body;
            }}
        }}
    }}"""
    server = Server(
        "nginx", [str(env.bin / "nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
        log=folder / "nginx.log", ready="/",
    )  # fmt: skip
    (folder / "nginx.conf").write_text(config.replace("PORT", str(server.port)))
    return server


def _nginx_asks(_: int) -> dict[str, Ask]:
    return openai() | {"hit": openai(path="/cached/v1/chat/completions")["hit"]}


def _litellm(folder: Path, upstream_port: int, env: Environment) -> Server:
    """Tuned as its documents say: one worker, no debug log, no database, nothing fetched."""
    settings = {"cache": True, "cache_params": {"type": "local"}}
    config = write(
        folder / "litellm.yaml", {"model_list": [model("bench", upstream_port)], "litellm_settings": settings}
    )
    return litellm_server(folder, config, env)


def litellm_server(folder: Path, config: Path, env: Environment) -> Server:
    """The LiteLLM proxy with the configuration at `config`."""
    argv = [str(env.bin / "litellm"), "--config", str(config), "--host", HOST, "--port", "{port}"]
    environ = _environ(
        folder,
        LITELLM_MODE="PRODUCTION",
        LITELLM_LOG="ERROR",
        LITELLM_OFFLINE_MODE="true",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
        # without a key it need not check any, which is faster
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
    )
    return Server(
        "the LiteLLM proxy", argv, log=folder / "litellm.log", ready="/health/liveliness", environ=environ
    )  # fmt: skip


def _tensorzero(folder: Path, upstream_port: int, env: Environment) -> Server:
    config = folder / "tensorzero.toml"
    config.write_text(
        "[gateway]\nobservability.enabled = false\n"
        '[models.bench]\nrouting = ["upstream"]\n[models.bench.providers.upstream]\ntype = "openai"\n'
        f'model_name = "bench"\napi_key_location = "none"\napi_base = "http://{HOST}:{upstream_port}/v1/"\n'
    )
    argv = [str(env.bin / "python"), str(ROOT / "tests/bench/embedded.py"), str(config)]
    return Server(
        "TensorZero", argv, log=folder / "tensorzero.log", ready="/", status=404, announced=rf"http://{HOST}:(\d+)/",
        environ=_environ(folder),
    )  # fmt: skip


def _tensorzero_asks(_: int) -> dict[str, Ask]:
    return _without_hit(openai("tensorzero::model_name::bench", path="/openai/v1/chat/completions"))


def _portkey(folder: Path, _: int, env: Environment) -> Server:
    start = environment.FOLDER / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    argv = [str(env.bin / "node"), str(start), "--headless", "--port={port}"]
    environ = _environ(folder, NODE_ENV="production")
    return Server("Portkey", argv, log=folder / "portkey.log", ready="/", environ=environ)


def _portkey_asks(upstream_port: int) -> dict[str, Ask]:
    headers = (
        ("authorization", f"Bearer {KEY}"),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"http://{HOST}:{upstream_port}/v1"),
    )
    return _without_hit(openai(headers=headers))


def _mlflow(folder: Path, upstream_port: int, env: Environment) -> Server:
    endpoint = {
        "name": "bench",
        "endpoint_type": "llm/v1/chat",
        "model": {
            "provider": "openai",
            "name": "bench",
            "config": {"openai_api_key": KEY, "openai_api_base": f"http://{HOST}:{upstream_port}/v1"},
        },
    }
    config = write(folder / "mlflow.yaml", {"endpoints": [endpoint]})
    argv = [str(env.bin / "mlflow"), "gateway", "start", "--config-path", str(config), "--host", HOST]
    # It runs gunicorn, which it finds on the path.
    environ = _environ(folder, PATH=f"{env.bin}{os.pathsep}{os.environ['PATH']}")
    return Server(
        "the MLflow gateway", [*argv, "--port", "{port}", "--workers", "1"], log=folder / "mlflow.log", ready="/health",
        environ=environ,
    )  # fmt: skip


def _anyllm(folder: Path, upstream_port: int, env: Environment) -> Server:
    providers = {"openai": {"api_key": KEY, "api_base": f"http://{HOST}:{upstream_port}/v1"}}
    database = f"sqlite:///{folder / 'anyllm.db'}"
    config = write(folder / "anyllm.yaml", {"database_url": database, "master_key": KEY, "providers": providers})
    argv = [str(env.bin / "any-llm-gateway"), "serve", "--config", str(config), "--host", HOST, "--port", "{port}"]
    return Server(
        "the any-llm gateway", argv, log=folder / "anyllm.log", ready="/health", environ=_environ(folder)
    )  # fmt: skip


ANYLLM_KEY = (("x-anyllm-key", f"Bearer {KEY}"),)


def _anyllm_user(server: Server) -> None:
    """Its master key asks on behalf of a user, who must exist."""
    status, body = server.post("/v1/users", json.dumps({"user_id": "bench"}).encode(), dict(ANYLLM_KEY))
    if status not in (200, 409):  # there already, from an earlier start
        raise server.broken(f"made no user: {status} {body[:200]!r}")


def _anyllm_asks(_: int) -> dict[str, Ask]:
    return _without_hit(openai("openai:bench", headers=ANYLLM_KEY, user="bench"))


PEERS = (
    Peer(
        "nginx", "a plain proxy and its cache, one worker: the limit",
        lambda: environment.of_debian("nginx"), _nginx, _nginx_asks, distinct=10_000,
    ),
    Peer(
        "TensorZero", "its embedded gateway, without its databases",
        lambda: environment.of_python("tensorzero", "tensorzero"), _tensorzero, _tensorzero_asks,
    ),
    Peer(
        "Portkey", "on Node, no cache, no log",
        lambda: environment.of_node("portkey", "@portkey-ai/gateway"), _portkey, _portkey_asks,
    ),
    Peer(
        "MLflow", "its gateway, one worker, no cache, no log",
        lambda: environment.of_python("mlflow", "mlflow"), _mlflow, lambda _: _without_hit(openai()),
    ),
    Peer(
        "LiteLLM", "its proxy, one worker, its cache in memory, no database, no log",
        lambda: environment.of_python("litellm", "litellm"), _litellm, lambda _: openai(),
        distinct=100, forgets=True,  # its cache holds 200 answers
    ),
    Peer(
        "any-llm", "its gateway, one worker, with its database in SQLite",
        lambda: environment.of_python("anyllm", "any-llm-sdk"), _anyllm, _anyllm_asks, prepare=_anyllm_user,
        most=1, bound="its pool of 15 database connections locks up, and the first request fails after 30 s",
    ),
)  # fmt: skip
"""In the order of the tables."""
