"""A gateway for the tests of Humanloop's routes, and what they ask it."""

from __future__ import annotations

from typing import Any

from proxy.ids import derived_id
from tests.gateway import Local

CONFIG: dict[str, Any] = {
    "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
    "deployments": {
        "p-text": {"model": "echo", "prompt": "Say {{word}}", "params": {"temperature": 0.5, "top_k": 3}},
        "p-chat": {
            "name": "Chat",
            "provider": "echo",
            "model": "echo",
            "messages": [{"role": "developer", "content": "Be brief about {{word}}"}],
            "functions": [{"name": "f", "parameters": {"type": "object"}}],
        },
    },
    "projects": {
        "support": {
            "environments": {"production": "p-text", "staging": {"experiment": {"p-text": 3, "p-chat": 1}}},
        },
        "trial": {"id": "pr_own", "environments": {"only": {"experiment": {"p-text": 1, "p-chat": 1}}}},
    },
}

SUPPORT = derived_id("pr", "support")


class Humanloop:
    """The routes of one gateway."""

    def __init__(self, gateway: Local) -> None:
        self.gateway = gateway

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **params: Any) -> Any:
        """The JSON of an answer, which has this status."""
        response = self.gateway.client.request(method, f"{self.gateway.url}/v4{path}", json=body, params=params or None)
        assert response.status_code == status, response.text
        return response.json()

    def log(self, **body: Any) -> dict[str, Any]:
        answered: dict[str, Any] = self.ask("POST", "/logs", {"project": "support", **body})
        return answered

    def read(self, trace_id: str) -> dict[str, Any]:
        answered: dict[str, Any] = self.ask("GET", f"/logs/{trace_id}")
        return answered
