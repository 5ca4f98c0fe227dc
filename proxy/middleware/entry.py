"""What the cache keeps of an answer, as bytes: the completion, the chunks it came in, and what was noted about it.

What must stay true: decoding what was encoded gives the same entry back, and anything else is no entry.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeVar

import orjson

from proxy.models import Choice, Chunk, Completion, Json, ToolCall, Usage

Part = TypeVar("Part", Completion, Choice, ToolCall, Usage)

_PARTS = (Completion, Choice, ToolCall, Usage, Chunk)
_NAMES = {part: tuple(part.__dataclass_fields__) for part in _PARTS}
_FIELDS = {part: attrgetter(*names) for part, names in _NAMES.items()}

VERSION = zlib.crc32(repr((3, list(_NAMES.values()))).encode())
"""Another one for every change of the format, which is the number here and the fields; entries of others are misses."""


@dataclass(slots=True)
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
            [VERSION, _flat(entry.completion), [_piece(one) for one in entry.chunks], entry.dropped, entry.remarks]
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
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _flat(completion: Completion) -> Json:
    """Each object as its fields in order: their names would be most of what is written and read."""
    choices, *others = _FIELDS[Completion](completion)
    flat = []
    for choice in choices:
        fields = list(_FIELDS[Choice](choice))
        fields[_CALLS] = [_FIELDS[ToolCall](call) for call in choice.tool_calls]
        flat.append(fields)
    others[_USAGE - 1] = _FIELDS[Usage](completion.usage)
    return [flat, *others]


_CALLS = _NAMES[Choice].index("tool_calls")
_USAGE = _NAMES[Completion].index("usage")
_LENGTHS = {part: len(names) for part, names in _NAMES.items()}


def _completion(flat: Json) -> Completion:
    choices, usage = flat[0], flat[_USAGE]
    for choice in choices:
        if choice[_CALLS]:
            choice[_CALLS] = [_made(ToolCall, call) for call in choice[_CALLS]]
    flat[0], flat[_USAGE] = [_made(Choice, choice) for choice in choices], _made(Usage, usage)
    return _made(Completion, flat)


def _made(part: type[Part], fields: list[Json]) -> Part:
    if len(fields) != _LENGTHS[part]:
        raise ValueError("another number of fields")
    return part(*fields)


def _piece(chunk: Chunk) -> Json:
    """Most chunks are a word of the one choice; written in full each would take five times its own room."""
    plain = not (chunk.index or chunk.reasoning or chunk.tool_calls or chunk.logprobs or chunk.extra)
    return chunk.text if plain else chunk


def _chunk(piece: Json) -> Chunk:
    if type(piece) is str:
        return Chunk(piece)
    return Chunk(**{**piece, "tool_calls": [ToolCall(**call) for call in piece["tool_calls"]]})
