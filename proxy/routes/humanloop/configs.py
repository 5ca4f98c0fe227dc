"""Model configurations as the clients read them: of a deployment, and of a row of the log.

What must stay true: the clients know a few providers and refuse any other word, so a provider that they do not know is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.config import Config
from proxy.config.deployment import Deployment, Versions
from proxy.dialects.humanloop.schema import config_id
from proxy.ids import derived_id
from proxy.models import Json, Message
from proxy.record import Record

PROVIDERS = {
    **{name: name for name in ("openai", "anthropic", "cohere", "replicate", "groq")},
    **{name: name for name in ("openai_azure", "mock", "bedrock", "google")},
    "azure": "openai_azure",
    "aws_bedrock": "bedrock",
    "vertexai": "google",
    "echo": "mock",
}
"""Every provider that the clients know, by the gateway's name and by their own."""

PARAMS = frozenset(
    {
        *("max_tokens", "temperature", "top_p", "stop"),
        *("presence_penalty", "frequency_penalty", "seed", "response_format"),
    }
)
LOGGED = {"temp": "temperature", "max_length": "max_tokens", "max_completion_tokens": "max_tokens"}
"""What the log and the config call a parameter, where it is another word."""

ROLES = {"developer": "system", "function": "tool"}

Shown = dict[str, Any]


def of_deployment(versions: Versions, deployment: Deployment) -> Shown:
    """A version of what is deployed, as a model configuration."""
    template: Shown = {"prompt_template": deployment.prompt}
    if deployment.prompt is None:
        template = {"chat_template": messages(deployment.messages)}
    return {
        "id": deployment.config_id,
        "type": "model",
        "name": versions.label(deployment),
        "model": deployment.model or "",
        **_provider(deployment.provider),
        **template,
        **_params(deployment.params),
        **_tools(deployment.functions),
        "endpoint": "chat" if deployment.prompt is None else "complete",
    }


def deployment_with(config: Config, wanted: str | None) -> Deployment | None:
    """The deployment whose id as a model configuration is `wanted`."""
    every = (version for one in config.versions.values() for version in one.versions.values())
    return next((one for one in every if one.config_id == wanted), None) if wanted else None


def of_row(config: Config, record: Record) -> Shown:
    """The configuration that a row was made with, as far as it is known."""
    if (versions := config.versions.get(record.deployment_id or "")) is not None:
        for deployment in versions.versions.values():
            if deployment.version == record.deployment_version:
                return of_deployment(versions, deployment)
    logged = record.extra.get("config")
    shown = _of_logged(logged) if isinstance(logged, dict) else _of_call(record)
    known = record.extra.get("model_config_id")
    if not known and record.deployment_id:
        known = derived_id("config", record.deployment_id, record.deployment_version or "")
    return {"id": known or config_id(shown), **shown}


def messages(stored: list[Message]) -> list[Message]:
    """Messages with the roles that the clients know."""
    return [{**one, "role": ROLES.get(str(one.get("role")), one.get("role"))} for one in stored]


def _of_call(record: Record) -> Shown:
    configuration = record.configuration or {}
    name = record.extra.get("model_config_name")
    params = configuration.get("model_params")
    return {
        "type": "model",
        "model": record.model or str(configuration.get("model") or ""),
        **({"name": name} if name else {}),
        **_provider(record.provider or configuration.get("provider")),
        **_params(params if isinstance(params, dict) else {}),
        **_tools(configuration.get("functions")),
        "endpoint": "complete" if record.notes.get("kind") == "text" else "chat",
    }


def _of_logged(given: Mapping[str, Json]) -> Shown:
    """A configuration that a client logged, with what its answer needs besides."""
    shown = {name: value for name, value in given.items() if value is not None and name not in ("provider", "tools")}
    if given.get("type") == "tool":
        return {**shown, "type": "tool", "status": "committed"}
    return {**shown, "type": "model", **_provider(given.get("provider")), **_tools(given.get("tools"))}


def _provider(name: Json) -> Shown:
    return {"provider": PROVIDERS[name]} if isinstance(name, str) and name in PROVIDERS else {}


def _params(given: Mapping[str, Json]) -> Shown:
    named = {LOGGED.get(name, name): value for name, value in given.items() if value is not None}
    other = {name: value for name, value in named.items() if name not in PARAMS}
    return {name: value for name, value in named.items() if name in PARAMS} | ({"other": other} if other else {})


def _tools(functions: Json) -> Shown:
    """Function schemas, bare or as tools. A client may have logged anything; what has no name is passed over."""
    given = (
        [one.get("function", one) for one in functions if isinstance(one, dict)] if isinstance(functions, list) else []
    )
    named = [one for one in given if isinstance(one, dict) and isinstance(one.get("name"), str)]
    shown = [{**one, "id": one.get("id") or derived_id("config", one["name"])} for one in named]
    return {"tools": shown} if shown else {}
