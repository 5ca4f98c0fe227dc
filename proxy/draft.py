"""A streamed answer while it is being put together: chunks in, choices out."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from proxy.models import Choice, Chunk, Json, ToolCall


class Draft:
    """What has arrived so far, choice by choice.

    Tool call fragments are joined by their index; a fragment with a new id or name begins where none was yet.
    """

    def __init__(self) -> None:
        self._text: dict[int, StringIO] = {}
        self._reasoning: dict[int, StringIO] = {}
        self._calls: dict[int, dict[int, ToolCall]] = {}
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
            self._logprobs[chunk.index] = joined(self._logprobs.get(chunk.index), chunk.logprobs)
        if chunk.extra:
            self._extra[chunk.index] = joined(self._extra.get(chunk.index), chunk.extra)
        for part in chunk.tool_calls:
            calls = self._calls.setdefault(chunk.index, {})
            call = calls.setdefault(part.index, ToolCall(index=part.index))
            call.id = call.id or part.id
            call.name = call.name or part.name
            call.arguments += part.arguments

    def choices(self, finish_reasons: Mapping[int, str] | None = None) -> list[Choice]:
        """The choices so far, in order of index; without an entry in `finish_reasons` a choice ends with `stop`."""
        reasons = finish_reasons or {}
        indices = sorted({*self._text, *self._reasoning, *self._calls, *self._extra, *reasons}) or [0]
        return [
            Choice(
                index=index,
                text=_said(self._text.get(index)),
                tool_calls=[call for _, call in sorted(self._calls.get(index, {}).items())],
                finish_reason=reasons.get(index, "stop"),
                reasoning=_said(self._reasoning.get(index)),
                logprobs=self._logprobs.get(index),
                extra=self._extra.get(index, {}),
            )
            for index in indices
        ]


def _said(pieces: StringIO | None) -> str:
    return pieces.getvalue() if pieces is not None else ""


PIECES = frozenset({"refusal", "data", "transcript", "thinking"})
"""The texts among a message's further fields that are streamed in pieces; any other comes whole."""


def joined(old: Json, new: Json, name: str = "") -> Json:
    """Two pieces of one JSON value: lists one after the other, objects field by field, texts of `PIECES` in a row."""
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: joined(old.get(key), value, key) for key, value in new.items()}}
    if name in PIECES and isinstance(old, str) and isinstance(new, str):
        return old + new
    return old if new is None else new
