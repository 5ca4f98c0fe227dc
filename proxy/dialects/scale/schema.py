"""The bodies of Scale's completion routes: the parameters of its document, by the names its clients send.

`scale-gp` sends the v4 bodies, `scale-gp-beta` the v5 ones; they differ in `logprobs` of a text completion, which is
true or false in the former and a count in the latter, and in `prompt`, of which only the latter has several. What a
body holds besides is accepted, as their server does, and left in `model_extra`. A null says as much as nothing.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Number = int | float
Penalty = Annotated[Number, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1)]
Bias = Annotated[Number, Field(ge=-100, le=100)]


def _seconds(value: object) -> float:
    """Checked before pydantic's own rules, to which `true` is a number."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise PydanticCustomError("seconds", "Input should be a number of seconds above 0, as a number or as text")
    return seconds


Seconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=Number | str)]


class ScaleAudioSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    format: str = Field(description="wav, mp3, flac, opus or pcm16")
    voice: str | dict[str, Any] = Field(description="One of the model's voices, as alloy or shimmer")


class ScaleFunctionSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ScaleToolSchema(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    function: ScaleFunctionSchema
    type: str = "function"
    cache_control: dict[str, Any] | None = Field(None, description="Anthropic's mark of what it shall remember")


class ScaleStreamOptionsSchema(BaseModel):
    include_usage: bool | None = Field(None, description="Whether a last chunk without choices tells the usage")


class RequestSchema(BaseModel):
    """What a text and a conversation have in common."""

    model_config = ConfigDict(defer_build=True, extra="allow", protected_namespaces=())

    model: str = Field(
        min_length=1,
        description="`vendor/model_name`, `vendor/model_name/deployment`, or a model_name of the gateway's config",
    )
    temperature: Annotated[Number, Field(ge=0)] | None = Field(None, description="Sampling temperature")
    presence_penalty: Penalty | None = Field(None, description="Between -2.0 and 2.0")
    frequency_penalty: Penalty | None = Field(None, description="Between -2.0 and 2.0")
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = Field(None, description="Nucleus sampling")
    top_k: int | None = Field(None, description="Only sample from the top K options for each token")
    stream: bool | None = Field(None, description="Whether or not to stream the response")
    stream_options: ScaleStreamOptionsSchema | None = None
    stop: str | list[str] | None = Field(None, description="Sequences where the model stops")
    stop_sequences: list[str] | None = Field(None, description="Further sequences, besides `stop`")
    logit_bias: dict[str, Bias] | None = Field(None, description="Bias by token, from -100 to 100")
    max_tokens: Count | None = Field(None, description="The maximum number of tokens to generate")
    max_completion_tokens: Count | None = Field(None, description="The same, by the newer name")
    max_new_tokens: Count | None = Field(None, description="The same, where neither of the others is given")
    n: Annotated[int, Field(ge=1, le=128)] | None = Field(None, description="How many completions to generate")
    best_of: Annotated[int, Field(ge=1, le=128)] | None = Field(
        None, description="Of how many completions to return the best `n`; cannot be streamed"
    )
    seed: int | None = None
    suffix: str | None = Field(None, description="What comes after the completion, for models that insert text")
    response_format: dict[str, Any] | None = Field(None, description="The format that the model must output")
    user: str | None = Field(None, description="A unique identifier of the end user")
    audio: ScaleAudioSchema | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    prediction: dict[str, Any] | None = Field(None, description="A predicted output")
    tools: list[ScaleToolSchema] | None = None
    tool_choice: str | dict[str, Any] | None = Field(None, description="none, auto, required or one function")
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    guided_choice: list[str] | None = Field(None, description="For vLLM, as all that is guided")
    guided_grammar: str | None = None
    guided_json: Any = None
    guided_regex: str | None = None
    include_stop_str_in_output: bool | None = None
    inference_timeout: Seconds | None = Field(None, description="Seconds that the whole call may take")
    inference_extra_params: dict[str, Any] | None = Field(
        None, description="Further fields of the vendor's body; none that chooses an address, a key or the question"
    )
    inference_extra_headers: dict[str, str | Number | bool | None] | None = Field(
        None, description="Further headers of the vendor's request; none of credentials or of the connection"
    )

    @property
    def deployed(self) -> bool:
        """Whether a deployment is asked for, whose prompt stands where the request has none."""
        return self.model.startswith("deployment/")

    def contradiction(self) -> tuple[str, str] | None:
        """The field that does not go with the others, and why, or None."""
        if self.best_of is not None and self.stream:
            return "best_of", "best_of cannot be streamed: leave out stream, or best_of"
        if self.best_of is not None and self.best_of < (self.n or 1):
            return "best_of", "best_of should be at least n"
        return None


class FlaggedSchema(RequestSchema):
    """With log probabilities as conversations have them."""

    logprobs: bool | None = Field(None, description="Whether to return log probabilities of the output tokens")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="The number of most likely tokens at each position; `logprobs` must be true"
    )
    return_token_log_probs: bool | None = Field(None, description="The same as `logprobs`, which is heard first")

    @property
    def flag(self) -> bool | None:
        return self.return_token_log_probs if self.logprobs is None else self.logprobs

    def contradiction(self) -> tuple[str, str] | None:
        if self.top_logprobs and not self.flag:
            return "top_logprobs", "top_logprobs needs logprobs: true"
        return super().contradiction()


class PromptSchema(RequestSchema):
    """What makes a text completion of it."""

    prompt: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="The text to complete; at /v5 also several, each completed by itself"
    )
    echo: bool | None = Field(None, description="Whether to begin the completion with the prompt")


class TextSchema(FlaggedSchema, PromptSchema):
    """The body of `POST /v4/beta/completions`, which has one prompt."""

    def contradiction(self) -> tuple[str, str] | None:
        if isinstance(self.prompt, list) and len(self.prompt) > 1:
            return "prompt", "one request completes one text: send a request for each, or ask /v5/completions"
        return super().contradiction()


class CountedTextSchema(PromptSchema):
    """The body of `POST /v5/completions`."""

    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="Of how many most likely tokens to return log probabilities"
    )


class ScaleMemorySchema(BaseModel):
    name: Literal["last_k"] = "last_k"
    k: Count = Field(description="How many of the last messages are sent; system messages always are")


class ScaleMessageSchema(BaseModel):
    """A message of a conversation. Its role may be left to what else it holds, its content be a single part."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] | None = None
    content: str | list[dict[str, Any]] | dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ScaleMessageSchema:
        if self.content is None and self.role != "assistant" and not self.tool_calls:
            raise PydanticCustomError("missing_content", "Input should have content")
        return self


class ChatSchema(FlaggedSchema):
    """The body of `POST /v4/beta/chat/completions` and `POST /v5/chat/completions`."""

    messages: list[ScaleMessageSchema] = Field(
        description="The conversation, as OpenAI writes it; empty beside a deployment, which has its own"
    )
    memory_strategy: ScaleMemorySchema | None = None
    chat_template: str | None = Field(None, description="For vLLM: a Jinja template of its conversations")
    chat_template_kwargs: dict[str, Any] | None = None
    guided_decoding_backend: str | None = None
    guided_whitespace_pattern: str | None = None
    functions: list[dict[str, Any]] | None = Field(None, description="The same as `tools`, by the older name")
    function_call: str | dict[str, Any] | None = None
    store: bool | None = Field(None, description="Whether the vendor shall keep the answer")

    def contradiction(self) -> tuple[str, str] | None:
        if not self.messages and not self.deployed:
            return "messages", "should have at least one message"
        return super().contradiction()
