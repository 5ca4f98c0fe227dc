"""Texts to embed, as the OpenAI family takes them at `/embeddings`: bodies, and vectors that can be told apart."""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Literal

from pydantic import Field

from tests.upstreams.connection import Json
from tests.upstreams.schema import Strict

Texts = str | Annotated[list[str], Field(min_length=1)]
Tokens = Annotated[list[int], Field(min_length=1)] | Annotated[list[list[int]], Field(min_length=1)]
Dimensions = Annotated[int, Field(ge=1)]


class OpenAIEmbedding(Strict):
    model: str
    input: Texts | Tokens
    dimensions: Dimensions | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class FireworksEmbedding(Strict):
    model: str
    input: Texts
    dimensions: Dimensions | None = None
    prompt_template: str | None = None


class MistralEmbedding(Strict):
    model: str
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    output_dimension: Dimensions | None = None
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] | None = None
    metadata: dict[str, Any] | None = None


def vector(text: Json, dimensions: int | None = None) -> list[float]:
    """A vector that belongs to one text: its length, its first letter or token, and halves that a float can hold."""
    first = text[0] if isinstance(text, list) else ord(text[0])
    return [float(len(text)), float(first), *(0.5 * number for number in range((dimensions or 3) - 2))]


def packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def embedded(body: Json, usage: tuple[int, int] | None) -> Json:
    """The answer, told from the last to the first, since an order is no promise."""
    given = body["input"]
    texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or body.get("output_dimension")
    vectors = [vector(text, size) for text in texts]
    if body.get("encoding_format") == "base64":
        vectors = [packed(each) for each in vectors]  # type: ignore[misc]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)]
    answer: dict[str, Json] = {"id": "embd-1", "object": "list", "data": data[::-1], "model": body["model"]}
    if usage is not None:
        answer["usage"] = {"prompt_tokens": usage[0], "total_tokens": usage[0]}
    return answer
