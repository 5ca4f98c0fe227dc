"""The body of `POST /v1/messages`: its fields, their types and ranges. What blocks hold is read in
`anthropic_messages`.

Unknown fields are accepted, as Anthropic adds some every month; the dialect notes their names.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Turn(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: Any = Field(description="Text, or a list of content blocks.")


class Thinking(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    budget_tokens: int | None = None


class Format(BaseModel):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    model_config = ConfigDict(extra="allow")

    effort: str | None = None
    format: Format | None = None


class CountTokens(BaseModel):
    """What a prompt is made of."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1, description="A name of the config, `provider/model`, or `deployment/<id>`.")
    messages: list[Turn]
    system: Any = Field(None, description="Text, or a list of text blocks.")
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None


class CreateMessage(CountTokens):
    """What a message is asked for with."""

    max_tokens: int = Field(ge=1)
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)
    top_p: float | None = Field(None, ge=0, le=1)
