"""What the chat completion APIs of the OpenAI family accept: every field of each, as their API references list them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tests.upstreams.schema import Strict

Number = Annotated[float, Field(ge=-2, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Data = dict[str, Any]


class Called(Strict):
    name: str
    arguments: str


class ToolCall(Strict):
    id: str
    type: Literal["function"]
    function: Called
    index: int | None = None


class Text(Strict):
    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Image(Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


class SoundData(Strict):
    data: str
    format: Literal["wav", "mp3"]


class Sound(Strict):
    type: Literal["input_audio"]
    input_audio: SoundData


class Spoken(Strict):
    id: str


Parts = Annotated[list[Annotated[Text | Image | Sound, Field(discriminator="type")]], Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]


class System(Strict):
    role: Literal["system", "developer"]
    content: str | Texts
    name: str | None = None


class User(Strict):
    role: Literal["user"]
    content: str | Parts
    name: str | None = None


class Assistant(Strict):
    role: Literal["assistant"]
    content: str | Texts | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None
    function_call: Called | None = None
    audio: Spoken | None = None


class Tool(Strict):
    role: Literal["tool"]
    content: str | Texts
    tool_call_id: str


class FunctionResult(Strict):
    role: Literal["function"]
    content: str | None
    name: str


Message = Annotated[System | User | Assistant | Tool | FunctionResult, Field(discriminator="role")]


class Function(Strict):
    name: Name
    description: str | None = None
    parameters: Data | None = None
    strict: bool | None = None


class ToolOffer(Strict):
    type: Literal["function"]
    function: Function


class Named(Strict):
    name: Name


class NamedTool(Strict):
    type: Literal["function"]
    function: Named


class JsonSchema(Strict):
    name: Name
    description: str | None = None
    schema_: Data | None = Field(default=None, alias="schema")
    strict: bool | None = None


class Plain(Strict):
    type: Literal["text", "json_object"]


class Schemed(Strict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Base(Strict):
    """What the whole family has in common."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Share | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    tools: Annotated[list[ToolOffer], Field(min_length=1)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: Plain | Schemed | None = None


class OpenAIChat(Base):
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    functions: Annotated[list[Function], Field(min_length=1)] | None = None
    function_call: Literal["none", "auto"] | Named | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    seed: int | None = None
    user: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: Data | None = None
    prediction: Data | None = None
    web_search_options: Data | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class MarkedText(Text):
    cache_control: Data | None = None


class LiteLLMUser(User):
    content: str | list[Annotated[MarkedText | Image | Sound, Field(discriminator="type")]]  # type: ignore[assignment]


LiteLLMMessage = Annotated[System | LiteLLMUser | Assistant | Tool | FunctionResult, Field(discriminator="role")]


class LiteLLMChat(OpenAIChat):
    """A LiteLLM proxy knows what the models behind it know."""

    messages: Annotated[list[LiteLLMMessage], Field(min_length=1)]  # type: ignore[assignment]
    thinking: Data | None = None
    top_k: int | None = None


class GroqChat(OpenAIChat):
    """Groq refuses what it does not implement, although its reference names it."""

    logit_bias: None = None
    logprobs: None = None
    top_logprobs: None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    service_tier: Literal["auto", "on_demand", "flex", "performance"] | None = None  # type: ignore[assignment]
    reasoning_format: Literal["hidden", "raw", "parsed"] | None = None
    include_reasoning: bool | None = None


class FireworksChat(Base):
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    seed: int | None = None
    user: str | None = None
    top_k: Annotated[int, Field(ge=0, le=100)] | None = None
    min_p: Share | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool | None = None
    echo: bool | None = None
    prompt_truncate_len: int | None = None
    context_length_exceeded_behavior: Literal["error", "truncate"] | None = None
    reasoning_effort: str | int | bool | None = None
    metadata: dict[str, str] | None = None


class MistralAssistant(Strict):
    role: Literal["assistant"]
    content: str | Texts | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None
    prefix: bool | None = None


class MistralTool(Strict):
    role: Literal["tool"]
    content: str | Texts | None
    tool_call_id: str | None = None
    name: str | None = None


class MistralImage(Strict):
    type: Literal["image_url"]
    image_url: str | ImageUrl


class MistralUser(Strict):
    role: Literal["user"]
    content: str | Annotated[list[Annotated[Text | MistralImage, Field(discriminator="type")]], Field(min_length=1)]


class MistralSystem(Strict):
    role: Literal["system"]
    content: str | Texts


MistralMessage = Annotated[MistralSystem | MistralUser | MistralAssistant | MistralTool, Field(discriminator="role")]


class MistralChat(Strict):
    """Mistral's own reference: no `seed` but `random_seed`, a `safe_prompt`, and `any` for a required tool call."""

    model: str
    messages: Annotated[list[MistralMessage], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=1.5)] | None = None
    top_p: Share | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    stream: bool | None = None
    stop: str | list[str] | None = None
    random_seed: Annotated[int, Field(ge=0)] | None = None
    response_format: Plain | Schemed | None = None
    tools: list[ToolOffer] | None = None
    tool_choice: Literal["auto", "none", "any", "required"] | NamedTool | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    prediction: Data | None = None
    parallel_tool_calls: bool | None = None
    prompt_mode: Literal["reasoning"] | None = None
    reasoning_effort: Literal["none", "high"] | None = None
    safe_prompt: bool | None = None
    metadata: Data | None = None
