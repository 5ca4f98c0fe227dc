"""Texts as the OpenAI family completes them at `/completions`: what a body may hold, and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tests.upstreams.chat import Number, Plain, Schemed, Share, StreamOptions
from tests.upstreams.connection import Json
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Strict

Prompt = str | list[str] | list[int] | list[list[int]]


class OpenAIText(Strict):
    model: str
    prompt: Prompt
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    echo: bool | None = None
    frequency_penalty: Number | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    presence_penalty: Number | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Share | None = None
    user: str | None = None


class FireworksText(OpenAIText):
    top_k: Annotated[int, Field(ge=0, le=100)] | None = None
    min_p: Share | None = None
    repetition_penalty: float | None = None
    response_format: Plain | Schemed | None = None
    prompt_truncate_len: int | None = None
    context_length_exceeded_behavior: Literal["error", "truncate"] | None = None


def choices(body: Json, reply: Reply) -> list[Json]:
    """The whole choices: the prompt first where it shall be echoed, the log probabilities in the older form."""
    echo = str(body["prompt"]) if body.get("echo") else ""
    pieces = [piece for piece in (echo, *reply.pieces) if piece]
    return [
        {"text": "".join(pieces), "index": index, "logprobs": logprobs(body, pieces), "finish_reason": reply.finish}
        for index in range(body.get("n") or 1)
    ]


def logprobs(body: Json, pieces: list[str], offset: int = 0) -> Json:
    """Each piece a token. Only what was asked for is told."""
    wanted = body.get("logprobs")
    if wanted is None or not pieces:
        return None
    return {
        "tokens": pieces,
        "token_logprobs": [-0.25] * len(pieces),
        "top_logprobs": [{piece: -0.25} for piece in pieces] if wanted else None,
        "text_offset": [offset + len("".join(pieces[:number])) for number in range(len(pieces))],
    }
