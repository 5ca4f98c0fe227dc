"""The body of `POST /v1/responses`: its fields, their types and ranges. What items hold is read in `responses_input`.

Unknown fields are accepted, as OpenAI adds some every month; the dialect notes their names.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Reasoning(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    effort: str | None = None
    summary: str | None = None


class Text(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="allow")

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class CreateResponse(BaseModel):
    """What a response is asked for with."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    model: str = Field(min_length=1, description="A name of the config, `provider/model`, or `deployment/<id>`.")
    input: Any = Field(None, description="Text, or a list of items.")
    instructions: str | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    metadata: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    text: Text | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    top_p: float | None = Field(None, ge=0, le=1)
    truncation: str | None = None
    user: str | None = None
    background: bool | None = None
    conversation: Any = None
    previous_response_id: str | None = None
    prompt: Any = None
