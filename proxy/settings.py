"""The shape of the config file: one model per block, from which the JSON Schema is made.

Blocks of LiteLLM's format keep the keys they do not know (they are warned about by name); blocks of the gateway's own
refuse them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from proxy.fields import Bytes, Integer, Name, Number, Plugin, Price, Seconds, Secret, Text, Url


class Block(BaseModel):
    """A block of the gateway's own: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Foreign(BaseModel):
    """A block of LiteLLM's format: an unknown key is kept, to be warned about."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, hide_input_in_errors=True)


class Params(Block):
    """Default parameters, by OpenAI's names; a request's own win."""

    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    top_k: Annotated[Integer, Field(ge=0)] | None = None
    max_tokens: Annotated[Integer, Field(gt=0)] | None = None
    max_completion_tokens: Annotated[Integer, Field(gt=0)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    stop: str | list[str] | None = None
    n: Annotated[Integer, Field(gt=0)] | None = None
    seed: Integer | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[Integer, Field(ge=0, le=20)] | None = None
    logit_bias: dict[str, Number] | None = None
    reasoning_effort: str | None = None
    thinking: dict[str, Any] | None = None
    safe_prompt: bool | None = None
    user: str | None = None


class Endpoint(BaseModel):
    """Where and with which credentials one provider is called."""

    api_key: Secret = None
    api_base: Url = None
    api_version: Text = None
    organization: Text = None
    azure_ad_token: Secret = None
    aws_access_key_id: Text = None
    aws_secret_access_key: Secret = None
    aws_session_token: Secret = None
    aws_region_name: Text = None
    vertex_project: Text = None
    vertex_location: Text = None
    vertex_credentials: Secret = None
    timeout: Seconds | None = None


SETTINGS = tuple(name for name in Endpoint.model_fields if name not in {"api_key", "api_base", "timeout"})
"""What goes into a target's `settings`."""


class Provider(Endpoint, Block):
    """One provider of the `providers` block; `params` are its defaults."""

    params: Params = Params()


class Providers(Block):
    """The providers by their names in Parea's enum."""

    openai: Provider | None = None
    azure: Provider | None = None
    anthropic: Provider | None = None
    anyscale: Provider | None = None
    vertexai: Provider | None = None
    aws_bedrock: Provider | None = None
    openrouter: Provider | None = None
    mistral: Provider | None = None
    litellm: Provider | None = None
    groq: Provider | None = None
    fireworks: Provider | None = None
    cohere: Provider | None = None
    echo: Provider | None = None


class LiteLLMParams(Endpoint, Params, Foreign):
    """`litellm_params`: a model, its credentials, its price and its default parameters."""

    model_config = ConfigDict(extra="allow")

    model: Name
    input_cost_per_token: Price | None = None
    output_cost_per_token: Price | None = None


class ModelInfo(Foreign):
    """`model_info`: `base_model` is the name under which LiteLLM knows the price of an Azure deployment."""

    base_model: Text = None
    input_cost_per_token: Price | None = None
    output_cost_per_token: Price | None = None


class ModelEntry(Foreign):
    """One target of one model name."""

    model_name: Name
    litellm_params: LiteLLMParams
    model_info: ModelInfo = ModelInfo()


class GeneralSettings(Foreign):
    """`master_key`: the key that clients must send; without one only this machine is served."""

    master_key: Secret = None


class RouterKeys(Foreign):
    """`router_settings` as the file has them."""

    num_retries: Annotated[Integer, Field(ge=0, le=10)] | None = None
    timeout: Seconds | None = None


class LiteLLMKeys(Foreign):
    """`litellm_settings` as the file has them; `router_settings` win where both say something."""

    drop_params: bool = True
    request_timeout: Seconds | None = None
    num_retries: Annotated[Integer, Field(ge=0, le=10)] | None = None


class Prompt(Block):
    """A deployed prompt as the file has it. Without a `version` it gets one from its content."""

    name: Name | None = None
    version: Name | None = None
    model: Name | None = None
    provider: Name | None = None
    messages: list[dict[str, Any]] = []
    params: Params = Params()
    functions: list[dict[str, Any]] = []
    function_call: str | dict[str, Any] | None = None


class CacheSettings(Block):
    """The answer cache. `ttl` in seconds, `max_size` in bytes."""

    store: Plugin = "diskcache"
    ttl: Seconds = 30 * 86400.0
    max_size: Bytes = 2 * 2**30


class LogSettings(Block):
    """The trace log: what is kept, and how hard SQLite makes sure of it."""

    store: Plugin = "sqlite"
    sample_rate: Annotated[Number, Field(ge=0, le=1)] = 1.0
    omit: Literal["none", "inputs", "outputs", "all"] = "none"
    synchronous: Literal["normal", "full"] = "normal"


class ServerSettings(Block):
    """Limits in bytes, the depth of JSON, and the Host names that are answered besides this machine's own."""

    max_body: Bytes = 32 * 2**20
    max_depth: Annotated[Integer, Field(gt=0, le=1000)] = 200
    max_response: Bytes = 64 * 2**20
    allowed_hosts: list[str] = []


class File(Block):
    """The whole file."""

    model_list: list[ModelEntry] = []
    router_settings: RouterKeys = RouterKeys()
    litellm_settings: LiteLLMKeys = LiteLLMKeys()
    general_settings: GeneralSettings = GeneralSettings()
    providers: Providers = Providers()
    deployments: dict[Name, Prompt] = {}
    projects: dict[Name, Any] = {}
    cache: CacheSettings = CacheSettings()
    log: LogSettings = LogSettings()
    server: ServerSettings = ServerSettings()


LITELLM_BLOCKS = frozenset(
    {
        "assistant_settings",
        "cache_params",
        "callback_settings",
        "credential_list",
        "environment_variables",
        "files_settings",
        "finetune_settings",
        "guardrails",
        "include",
        "mcp_servers",
        "mcp_tools",
        "prompts",
        "search_tools",
        "vector_store_registry",
        "worker_registry",
    }
)
"""Top-level keys of LiteLLM's format that the gateway has no use for."""


def schema() -> dict[str, Any]:
    """The JSON Schema of the file; where a number, a boolean or a fixed word may stand, so may a reference."""
    found: dict[str, Any] = _referable(File.model_json_schema())
    properties: dict[str, Any] = found["properties"]
    for name, value in properties.items():
        value.pop("default", None)
        properties[name] = {"anyOf": [value, {"type": "null"}]}
    properties |= {name: {"description": "LiteLLM's; not used here."} for name in sorted(LITELLM_BLOCKS)}
    found["$defs"]["Reference"] = {
        "description": "A value from the environment.",
        "type": "string",
        "pattern": r"\$\{|^os\.environ/",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "parea-proxy config.yaml"}


def _referable(node: Any) -> Any:
    if isinstance(node, list):
        return [_referable(item) for item in node]
    if not isinstance(node, dict):
        return node
    below = {key: value if key in {"default", "enum"} else _referable(value) for key, value in node.items()}
    for noise in ("title", "gt"):
        if isinstance(below.get(noise), str | int):
            del below[noise]
    if below.get("type") in ("integer", "number", "boolean") or "enum" in below or "pattern" in below:
        outside = {key: below.pop(key) for key in ("default", "description") if key in below}
        return {**outside, "anyOf": [below, {"$ref": "#/$defs/Reference"}]}
    return below


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
