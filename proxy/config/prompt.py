"""A deployed prompt as the config file has it: messages, default parameters, functions.

What must stay true: a misspelt key or word is refused when the config is read, and not by a provider, with every call.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from proxy.config.block import Block, Foreign
from proxy.config.fields import Integer, Name, Number
from proxy.config.hint import nearest
from proxy.functions import WORDS


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


class Part(Foreign):
    """One part of a message's content; what else it holds depends on its type."""

    type: Name
    text: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Part:
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type text needs text")
        return self


def _content(value: object) -> object:
    if value is not None and not isinstance(value, str | list):
        raise ValueError("should be text, a list of parts, or null; put a number in quotes")
    return value


_Shapes = Annotated[str, Tag("str")] | Annotated[list[Part], Tag("list")]
Content = Annotated[
    Annotated[_Shapes, Discriminator(lambda value: type(value).__name__)] | None, BeforeValidator(_content)
]


class Message(Block):
    """One of OpenAI's chat messages."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    name: Name | None = None
    tool_call_id: Name | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Message:
        calls = self.role == "assistant" and (self.tool_calls or self.function_call)
        if self.content is None and not calls:
            raise ValueError("needs content; only an assistant's message with tool_calls may do without")
        return self


class Function(Block):
    """The schema of a function."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Block):
    """A function in the wrapping that OpenAI calls a tool."""

    type: Literal["function"] = "function"
    function: Function


def _function_kind(value: object) -> str:
    return "Tool" if isinstance(value, dict) and not value.keys().isdisjoint({"type", "function"}) else "Function"


Schema = Annotated[Annotated[Function, Tag("Function")] | Annotated[Tool, Tag("Tool")], Discriminator(_function_kind)]


def _some(value: object) -> object:
    if value == []:
        raise ValueError("needs a message; without this key, requests bring their own")
    return value


class Prompt(Block):
    """A deployed prompt as the file has it. Without a `version` it gets one from its content.

    `prompt` is a text with templates, instead of `messages`.
    """

    name: Name | None = None
    version: Name | None = None
    model: Name | None = None
    provider: Name | None = None
    messages: Annotated[list[Message], BeforeValidator(_some)] = []
    prompt: Name | None = None
    params: Params = Params()
    functions: list[Schema] = []
    function_call: str | dict[str, Any] | None = None

    @field_validator("prompt")
    @classmethod
    def _instead(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("messages"):
            raise ValueError("stands beside messages: a deployment has one or the other")
        return value

    @field_validator("function_call")
    @classmethod
    def _one_of_them(cls, value: str | dict[str, Any] | None, info: ValidationInfo) -> str | dict[str, Any] | None:
        functions = info.data.get("functions")
        if value is None or functions is None or (isinstance(value, str) and value in WORDS):
            return value
        names = [one.function.name if isinstance(one, Tool) else one.name for one in functions]
        inner = value.get("function", value) if isinstance(value, dict) else value
        name = inner.get("name") if isinstance(inner, dict) else inner
        if name not in names:
            hint = nearest(str(name), [*sorted(WORDS), *names])
            raise ValueError(f"should be auto, none, required, or the name of one of the functions{hint}")
        return value
