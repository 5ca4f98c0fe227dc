"""The bodies of OpenAI's routes, as far as a gateway must look at them: what it acts on itself, and what no provider
could take.

Fields that are not here are allowed, and go along as they are; so do the values of those that are here, which are
checked and never changed. A field of several types has one message, not one for each of them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

Object = dict[str, Any]
Number = Annotated[float, Field(allow_inf_nan=False)] | None
Count = Annotated[int, Field(ge=1)] | None
Samples = Annotated[int, Field(ge=1, le=128)] | None


def either(words: str) -> WrapValidator:
    """A check of a field that may have several types, told as `words`."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise PydanticCustomError("either_type", "Input should be {words}", {"words": words}) from None

    return WrapValidator(check)


Stop = Annotated[str | list[str] | None, either("text or a list of texts")]
Choice = Annotated[str | Object | None, either("a word or an object")]
Content = Annotated[str | list[Object] | None, either("text or a list of parts")]
Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Input = Annotated[
    str | Tokens | Annotated[list[str], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)],
    either("text, tokens, or a list of either that is not empty"),
]


class Wire(BaseModel):
    """What all bodies have."""

    model_config = ConfigDict(defer_build=True, extra="allow", strict=True, hide_input_in_errors=True)

    model: Annotated[str, Field(min_length=1, description="A name of the config, provider/model or deployment/<id>.")]
    user: str | None = None
    metadata: Object | None = Field(None, description="Recorded with the call; no provider gets it.")


class StreamOptions(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow", strict=True, hide_input_in_errors=True)

    include_usage: bool | None = None


class Sampling(Wire):
    """What both kinds of completion have."""

    temperature: Number = None
    top_p: Number = None
    frequency_penalty: Number = None
    presence_penalty: Number = None
    logit_bias: dict[str, float] | None = None
    n: Samples = None
    seed: int | None = None
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    inputs: Object | None = Field(None, description="Values for the `{{name}}`s of a deployment's messages.")


class ChatMessage(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow", strict=True, hide_input_in_errors=True)

    role: Annotated[str, Field(min_length=1)]
    content: Content = None
    name: str | None = None
    tool_calls: list[Object] | None = None
    tool_call_id: str | None = None
    function_call: Object | None = None


class Function(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow", strict=True, hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Object | None = None


class Tool(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow", strict=True, hide_input_in_errors=True)

    type: str
    function: Function


class ChatBody(Sampling):
    """The body of `POST /v1/chat/completions`; `messages` may be missing or empty beside a deployment."""

    messages: list[ChatMessage] | None = None
    max_tokens: Count = None
    max_completion_tokens: Count = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: Choice = None
    response_format: Object | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Object | None = None
    prediction: Object | None = None
    service_tier: str | None = None
    store: bool | None = None
    web_search_options: Object | None = None


class TextBody(Sampling):
    """The body of `POST /v1/completions`; `prompt` may be missing beside a deployment."""

    prompt: Annotated[
        str | list[Any] | None,
        either("text"),
        Field(description="A text, or several, each completed by itself. Token ids are of one model, so not taken."),
    ] = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: Samples = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None


class EmbeddingBody(Wire):
    """The body of `POST /v1/embeddings`."""

    input: Input
    encoding_format: Annotated[str, Field(pattern="^(float|base64)$")] | None = None
    dimensions: Count = None
