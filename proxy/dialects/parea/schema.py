"""The bodies of Parea's completion routes, as its OpenAPI document publishes them: names, defaults, enums and ranges.

Fields that its clients send and the document lacks are accepted: `inputs` of its own example, the roles
`example_user` and `example_assistant`, and what OpenAI messages carry besides role and content.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ProviderName(StrEnum):
    openai = "openai"
    azure = "azure"
    anthropic = "anthropic"
    anyscale = "anyscale"
    vertexai = "vertexai"
    aws_bedrock = "aws_bedrock"
    openrouter = "openrouter"
    mistral = "mistral"
    litellm = "litellm"
    groq = "groq"
    fireworks = "fireworks"
    cohere = "cohere"


class Role(StrEnum):
    user = "user"
    assistant = "assistant"
    system = "system"
    function = "function"
    tool = "tool"
    example_user = "example_user"
    example_assistant = "example_assistant"


class MessageSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    content: str | list[Any] | None = Field("", description="Message content")
    role: Role = Field(Role.user, description="Message role")


class ModelParamsSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, protected_namespaces=())

    model: str | None = Field("", description="Model name")
    temp: float | None = Field(1, ge=0, le=1, description="Temperature")
    top_p: float | None = Field(1, ge=0, le=1, description="Top p")
    frequency_penalty: float | None = Field(0, ge=-2, le=2, description="Frequency penalty")
    presence_penalty: float | None = Field(0, ge=-2, le=2, description="Presence penalty")
    max_length: int | None = Field(None, description="Max length of the output")
    response_format: dict[str, Any] | None = Field(None, description="Response format")
    safe_prompt: bool | None = Field(None, description="Safe prompt. Only used for Mistral")


class LLMInputsSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, protected_namespaces=())

    model: str | None = Field(None, description="Model name")
    provider: ProviderName | None = Field(None, description="Provider name")
    model_params: ModelParamsSchema | None = Field(None, description="Model parameters")
    messages: list[MessageSchema] | None = Field(None, description="List of messages")
    history: list[MessageSchema] | None = Field(
        None,
        description="List of history messages which are prepended to messages. Useful for chatbot applications which "
        "rely on deployed prompts.",
    )
    functions: list[Any] | None = Field(None, description="List of function schemas, following the OpenAI API format")
    function_call: str | dict[str, Any] | None = Field(
        None, description="Optionally, specify the fnction call, following OpenAI API behavior."
    )


class CompletionsSchema(BaseModel):
    llm_inputs: dict[str, Any] | None = Field(
        None,
        description="Key-value pairs as inputs to prompt template. Only needs to be provided if `deployment_id` is "
        "provided or `llm_configuration.messages` are templated.",
    )
    inputs: dict[str, Any] | None = Field(
        None, description="The same as `llm_inputs`, by the name that the published example uses."
    )
    llm_configuration: LLMInputsSchema = Field(
        default_factory=lambda: LLMInputsSchema(),
        description="LLM configuration parameters such as messages, functions, etc.",
        json_schema_extra={"default": {}},
    )
    project_name: str | None = Field(
        "default", description="Project name which is used to associate the log with a project."
    )
    project_uuid: str | None = Field(
        None,
        description="Project UUID which is used to associate the log with a project. Does not need to be provided if "
        "the `project_name` is provided.",
    )
    experiment_uuid: str | None = Field(
        None, description="Experiment UUID which is used to associate the log with an experiment."
    )
    parent_trace_id: str | None = Field(
        None,
        description="UUID of the parent log. If given, will be used to associate the generation in a chain & create "
        "hierarchical nested logs.",
    )
    root_trace_id: str | None = Field(
        None,
        description="UUID of the root log. If given, will be used to associate the generation in a chain & create "
        "hierarchical nested logs.",
    )
    end_user_identifier: str | None = Field(
        None, description="Special field to track the end user which is interacting with your LLM app."
    )
    deployment_id: str | None = Field(
        None,
        description="This is the ID for a specific deployed prompt: a key of `deployments` in the gateway's config. "
        "Its model, parameters, messages and functions are used. Any information provided on the "
        "llm_configuration field will be used instead of the associated deployed prompts fields.",
    )
    eval_metric_ids: list[int] | None = Field(
        None,
        description="List of evaluation metric IDs which should be used to evaluate the completion output; kept with "
        "the log.",
    )
    metadata: dict[str, Any] | None = Field(None, description="Key-value pairs to be associated with the log.")
    tags: list[str] | None = Field(None, description="List of tags to be associated with the log.")
    target: str | None = Field(
        None,
        description="Optional ground truth output for the inputs. Will be used for evaluation and can be used when "
        "creating a test case from the log.",
    )
    trace_id: str | None = Field(None, description="UUID of the generation log. If not given, will be auto-generated.")
    trace_name: str | None = Field(
        None,
        description="Name of the generation log. If not given, will be auto-generated in the format `llm-{provider}`.",
    )
    provider_api_key: str | None = Field(
        None,
        description="Provider API key to generate response. If not given, the key of the gateway's config is used. It"
        " serves this request only and is never stored.",
    )
    cache: bool = Field(
        True,
        description="If true, the completion will be cached to avoid latency & cost for any subsequent completion "
        "using the same inputs.",
    )
    log_omit_inputs: bool = Field(
        False,
        description="If true, the inputs, llm_configuration.messages, llm_configuration.functions, "
        "llm_configuration.model_params will not be logged.",
    )
    log_omit_outputs: bool = Field(False, description="If true, the generated response will not be logged.")
    log_omit: bool = Field(
        False, description="Equivalent to setting both log_omit_inputs and log_omit_outputs to true."
    )
    log_sample_rate: float | None = Field(
        1,
        ge=0,
        le=1,
        description="If specified, this log and its entire associated trace will logged with this probability. Must "
        "be between 0 and 1 (incl.). Defaults to 1.0 (i.e., keeping all logs)",
    )
    inference_id: str | None = Field(None, description="Deprecated field which is the same `trace_id`")
    name: str | None = Field(None, description="Deprecated field: the log's name without `trace_name`.")
    retry: bool = Field(False, description="Deprecated field: repeat a call that failed for a passing reason, twice.")
    fallback_strategy: list[str] | None = Field(
        None, description="Deprecated field: models to ask, in order, when the first one fails."
    )
    stream: bool = Field(False, description="Deprecated field. Use /completion/stream instead.")


class CompletionResponse(BaseModel):
    model_config = ConfigDict(defer_build=True, protected_namespaces=())

    inference_id: str = Field(description="UUID of the log of the completion. The same as the `trace_id`.")
    trace_id: str = Field(
        description="UUID of the log of the completion. Will be the same as the `trace_id` in the request if provided."
    )
    content: str = Field(description="Generated completion content.")
    latency: float = Field(description="Latency of the completion in seconds.")
    input_tokens: int = Field(description="Number of tokens in the input.")
    output_tokens: int = Field(description="Number of tokens in the output.")
    total_tokens: int = Field(description="Total number of tokens in the input and output.")
    cost: float = Field(description="Cost of the completion in USD.")
    model: str = Field(description="Model name.")
    provider: str = Field(description="Provider name.")
    cache_hit: bool = Field(description="If true, the completion was fetched from the cache.")
    status: str = Field(description="Status of the completion. Either 'success' or 'error'.")
    start_timestamp: str = Field(description="Start timestamp of the completion.")
    end_timestamp: str = Field(description="End timestamp of the completion.")
    error: str | None = Field(None, description="Error message if the completion failed.")
