"""The bodies of Humanloop's six completion routes, by the names that its clients send (`humanloop` 0.7.35).

Every field may be null, which says nothing. Unknown fields are accepted, as the real server does, and recorded by name.
What must stay true: a wrong field is refused under the name that the client gave it, and a key is never shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from proxy.functions import WORDS
from proxy.ids import derived_id
from proxy.models import Json
from proxy.vendors import VENDORS

PROVIDERS = {
    "openai_azure": "azure",
    "bedrock": "aws_bedrock",
    "google": "vertexai",
    "mock": "echo",
    **{name: name for name in VENDORS},
}
"""Humanloop's words for providers and the gateway's; those that Humanloop lacks go by the gateway's own names."""

MAX_SAMPLES = 128
"""As many as OpenAI gives for one request."""


def _provider(word: str) -> str:
    if word == "replicate":
        raise PydanticCustomError("provider", "replicate is not served here: name a model of another provider")
    if word not in PROVIDERS:
        raise PydanticCustomError("provider", "should be one of: {known}", {"known": ", ".join(sorted(PROVIDERS))})
    return PROVIDERS[word]


def _endpoint(word: str) -> str:
    if word == "edit":
        raise PydanticCustomError("endpoint", "no provider has an edit endpoint any more: use complete or chat")
    return word


def _choice(value: str | dict[str, Any]) -> Json:
    """A tool choice in OpenAI's words; the older form names the tool bare."""
    named = value.get("function", value) if isinstance(value, dict) else None
    if isinstance(named, dict) and isinstance(named.get("name"), str):
        return {"type": "function", "function": {"name": named["name"]}}
    if named is None and value in WORDS:
        return value
    raise PydanticCustomError(
        "tool_choice", "should be none, auto, required or {example}", {"example": '{"type": "function", ...}'}
    )


def _format(value: dict[str, Any]) -> Json:
    """A response format in OpenAI's shape; a bare JSON schema gets the name that OpenAI wants."""
    if not isinstance(value.get("type"), str):
        raise PydanticCustomError("response_format", "needs a type: text, json_object or json_schema")
    schema = value.get("json_schema")
    if value["type"] == "json_schema" and isinstance(schema, dict) and "schema" not in schema:
        return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    return {name: given for name, given in value.items() if given is not None}


def _tool(value: dict[str, Any]) -> Json:
    function = value.get("function")
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return value
    raise PydanticCustomError(
        "tool", "should be {example}", {"example": '{"type": "function", "function": {"name": ...}}'}
    )


Name = Annotated[str, Field(max_length=512)]
Number = int | float
Samples = Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
ToolChoice = Annotated[str | dict[str, Any], AfterValidator(_choice)]
ResponseFormat = Annotated[dict[str, Any], AfterValidator(_format)]


class Wire(BaseModel):
    """An object that a client sends."""

    model_config = ConfigDict(defer_build=True, extra="allow", protected_namespaces=())

    def unknown(self) -> list[str]:
        """The names of the fields that have no meaning here."""
        return sorted(self.model_extra or ())


class FunctionTool(Wire):
    name: str
    arguments: str | None = None


class MessageWire(Wire):
    """A message of a conversation. `tool_call` is the older form of `tool_calls`."""

    role: Literal["user", "assistant", "system", "tool", "developer"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call: FunctionTool | None = None


class ToolSchema(Wire):
    """A tool, or a link to one of an organization's, which has to bring its definition along."""

    name: str = Field(description="Also of a tool that is linked by its id: no organization's tools are kept here")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    id: str | None = None
    source: str | None = None
    source_code: str | None = None
    preset_name: str | None = None
    other: dict[str, Any] | None = None


class Other(Wire):
    """Further parameters of the provider's: those that the gateway knows by OpenAI's names, and any it does not."""

    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    seed: int | None = None
    n: Samples | None = Field(None, description="The same as `num_samples`, where that is not given")
    best_of: Samples | None = None
    logprobs: bool | Annotated[int, Field(ge=0)] | None = None
    top_logprobs: int | None = Field(None, ge=0)
    logit_bias: dict[str, Number] | None = None
    user: Name | None = None
    suffix: str | None = None
    echo: bool | None = None
    response_format: ResponseFormat | None = None
    tools: list[Annotated[dict[str, Any], AfterValidator(_tool)]] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    safe_prompt: bool | None = None


PARAMETERS = frozenset(Other.model_fields)
"""What the gateway knows to be a parameter, by OpenAI's names."""


class ModelConfig(Wire):
    """A model configuration that comes with its request."""

    model: str = Field(min_length=1)
    name: str | None = None
    description: str | None = None
    provider: Annotated[str, AfterValidator(_provider)] | None = None
    endpoint: Annotated[Literal["complete", "chat", "edit"], AfterValidator(_endpoint)] | None = None
    max_tokens: int | None = Field(None, ge=-1, description="-1: as many as the model gives")
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    other: Other | None = Field(None, description="Further parameters of the provider's")
    seed: int | None = None
    response_format: ResponseFormat | None = None


class CompletionConfig(ModelConfig):
    prompt_template: str


class ChatConfig(ModelConfig):
    chat_template: list[MessageWire] | None = None
    tools: list[ToolSchema] | None = None


class Asked(Wire):
    """What all six routes take."""

    project: Name | None = Field(None, description="The project's name")
    project_id: Name | None = None
    session_id: Name | None = None
    session_reference_id: Name | None = Field(None, description="The caller's own id of the session")
    parent_id: Name | None = None
    parent_reference_id: Name | None = Field(None, description="The caller's own id of the parent")
    inputs: dict[str, Any] | None = Field(None, description="Values for the template's {{names}}")
    source: str | None = None
    metadata: dict[str, Any] | None = None
    save: bool | None = Field(None, description="false: neither inputs nor outputs are kept anywhere")
    source_datapoint_id: Name | None = None
    provider_api_keys: dict[str, SecretStr | None] | None = Field(
        None, json_schema_extra={"properties": {name: {} for name in PROVIDERS}}
    )
    num_samples: Samples | None = None
    stream: bool | None = None
    user: Name | None = Field(None, description="The end user")
    seed: int | None = None
    return_inputs: bool | None = Field(None, description="false: the answer has {} for its inputs")
    logprobs: int | None = Field(None, ge=0, description="How many tokens' log probabilities")
    suffix: str | None = None


class Deployed(Asked):
    environment: Name | None = Field(None, description="Default: the project's default environment")


class Configured(Asked):
    model_config_id: Name = Field(min_length=1, description="The id of a deployment of the config")


class CompletionInline(Asked):
    config: CompletionConfig = Field(alias="model_config")


class Chat(Asked):
    """What the three chat routes take besides. `tool_call` is the older form of `tool_choice`."""

    messages: list[MessageWire]
    tool_choice: ToolChoice | None = None
    tool_call: ToolChoice | None = None
    response_format: ResponseFormat | None = None


class CompletionDeployed(Deployed):
    """`POST /v4/completion-deployed`"""


class CompletionConfigured(Configured):
    """`POST /v4/completion-model-config`"""


class ChatDeployed(Chat, Deployed):
    """`POST /v4/chat-deployed`"""


class ChatConfigured(Chat, Configured):
    """`POST /v4/chat-model-config`"""


class ChatInline(Chat):
    """`POST /v4/chat`"""

    config: ChatConfig = Field(alias="model_config")


def config_id(config: dict[str, Json]) -> str:
    """The id of a model configuration that came with its request: the same for the same content, nulls aside."""
    given = {name: value for name, value in config.items() if value is not None}
    return derived_id("config", orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode())
