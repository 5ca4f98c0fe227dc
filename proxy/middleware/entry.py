"""What the cache keeps of an answer, as bytes: the completion, the chunks it came in, and what was noted about it.

What must stay true: decoding what was encoded gives the same entry back, and anything else is no entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from proxy.models import Choice, Chunk, Completion, Json, ToolCall, Usage

VERSION = 2
"""Raised whenever the format changes; entries of another version are misses."""


@dataclass(slots=True, frozen=True)
class Entry:
    """One cached answer. `chunks` is empty when it was not streamed; `dropped` and `remarks` are as in `Call`."""

    completion: Completion
    chunks: list[Chunk] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, Json] = field(default_factory=dict)


def encode(entry: Entry) -> bytes | None:
    """None for an answer that JSON cannot carry, such as one with half a surrogate pair."""
    try:
        return orjson.dumps(
            [VERSION, entry.completion, [_piece(chunk) for chunk in entry.chunks], entry.dropped, entry.remarks]
        )
    except TypeError:
        return None


def decode(value: bytes | None) -> Entry | None:
    """The entry, or None for nothing, for another version, and for bytes that are no entry."""
    if value is None:
        return None
    try:
        version, completion, chunks, dropped, remarks = orjson.loads(value)
        if version != VERSION or type(dropped) is not dict or type(remarks) is not dict:
            return None
        return Entry(_completion(completion), [_chunk(piece) for piece in chunks], dropped, remarks)
    except (ValueError, TypeError, KeyError):
        return None


def _completion(body: Json) -> Completion:
    for choice in body["choices"]:
        choice["tool_calls"] = [ToolCall(**call) for call in choice["tool_calls"]]
    body["choices"] = [Choice(**choice) for choice in body["choices"]]
    body["usage"] = Usage(**body["usage"])
    return Completion(**body)


def _piece(chunk: Chunk) -> Json:
    """Most chunks are a word of the one choice; written in full each would take five times its own room."""
    plain = not (chunk.index or chunk.reasoning or chunk.tool_calls or chunk.logprobs or chunk.extra)
    return chunk.text if plain else chunk


def _chunk(piece: Json) -> Chunk:
    if type(piece) is str:
        return Chunk(piece)
    return Chunk(**{**piece, "tool_calls": [ToolCall(**call) for call in piece["tool_calls"]]})
