"""A streamed answer while it is being put together: chunks in, choices out.

What must stay true: a chunk costs what it brings, however much there is already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import StringIO

from proxy.models import Choice, Chunk, Json, ToolCall


class Draft:
    """What has arrived so far, choice by choice.

    Tool call fragments are joined by their index; a fragment with a new id or name begins where none was yet.
    """

    def __init__(self) -> None:
        self._text: dict[int, StringIO] = {}
        self._reasoning: dict[int, StringIO] = {}
        self._calls: dict[int, dict[int, tuple[ToolCall, StringIO]]] = {}
        self._logprobs: dict[int, Json] = {}
        self._extra: dict[int, dict[str, Json]] = {}

    def add(self, chunk: Chunk) -> None:
        """Raises `TypeError` for text that is none, so that what is in the draft can always be told."""
        text = chunk.text
        if not (isinstance(text, str) and isinstance(chunk.reasoning, str)):
            raise TypeError("a chunk's text must be text")
        if text:
            said = self._text.get(chunk.index)
            if said is None:
                said = self._text[chunk.index] = StringIO()
            said.write(text)
        if chunk.reasoning:
            self._reasoning.setdefault(chunk.index, StringIO()).write(chunk.reasoning)
        if chunk.logprobs:
            self._logprobs[chunk.index] = _joined(self._logprobs.get(chunk.index), chunk.logprobs)
        if chunk.extra:
            self._extra[chunk.index] = _joined(self._extra.get(chunk.index), chunk.extra)
        for part in chunk.tool_calls:
            calls = self._calls.setdefault(chunk.index, {})
            found = calls.get(part.index)
            if found is None:
                found = calls[part.index] = ToolCall(index=part.index), StringIO()
            call, arguments = found
            call.id = call.id or part.id
            call.name = call.name or part.name
            arguments.write(part.arguments)

    def choices(self, finish_reasons: Mapping[int, str] | None = None) -> list[Choice]:
        """The choices so far, in order of index; without an entry in `finish_reasons` a choice ends with `stop`."""
        reasons = finish_reasons or {}
        indices = sorted({*self._text, *self._reasoning, *self._calls, *self._extra, *reasons}) or [0]
        return [
            Choice(
                index=index,
                text=_said(self._text.get(index)),
                tool_calls=_called(self._calls.get(index, {})),
                finish_reason=reasons.get(index, "stop"),
                reasoning=_said(self._reasoning.get(index)),
                logprobs=_whole(self._logprobs.get(index)),
                extra=_whole(self._extra.get(index, {})),
            )
            for index in indices
        ]


def _said(pieces: StringIO | None) -> str:
    return pieces.getvalue() if pieces is not None else ""


def _called(calls: dict[int, tuple[ToolCall, StringIO]]) -> list[ToolCall]:
    return [replace(call, arguments=arguments.getvalue()) for _, (call, arguments) in sorted(calls.items())]


PIECES = frozenset({"refusal", "data", "transcript", "thinking"})
"""The texts among a message's further fields that are streamed in pieces; any other comes whole."""


def _joined(old: Json, new: Json, name: str = "") -> Json:
    """`old` with `new` in it: lists one after the other, objects field by field, texts of `PIECES` in a row.

    `old` is None or what this function gave before, and is changed; `new` stays as it is.
    """
    if isinstance(new, list):
        if not isinstance(old, list):
            return list(new)
        old.extend(new)
        return old
    if isinstance(new, dict):
        grown = old if isinstance(old, dict) else {}
        for key, value in new.items():
            grown[key] = _joined(grown.get(key), value, key)
        return grown
    if isinstance(new, str) and name in PIECES:
        pieces = old if isinstance(old, StringIO) else StringIO()
        pieces.write(new)
        return pieces
    return old if new is None else new


def _whole(value: Json) -> Json:
    """What `_joined` gave, as JSON."""
    if isinstance(value, StringIO):
        return value.getvalue()
    return {key: _whole(field) for key, field in value.items()} if isinstance(value, dict) else value
