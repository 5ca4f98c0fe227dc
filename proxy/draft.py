"""A streamed answer while it is being put together: chunks in, choices out."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.models import Choice, Chunk, ToolCall


class Draft:
    """What has arrived so far, choice by choice.

    Tool call fragments are joined by their index; a fragment with a new id or name begins where none was yet.
    """

    def __init__(self) -> None:
        self._text: dict[int, list[str]] = {}
        self._reasoning: dict[int, list[str]] = {}
        self._calls: dict[int, dict[int, ToolCall]] = {}

    def add(self, chunk: Chunk) -> None:
        """Raises `TypeError` for text that is none, so that what is in the draft can always be told."""
        if not (isinstance(chunk.text, str) and isinstance(chunk.reasoning, str)):
            raise TypeError("a chunk's text must be text")
        if chunk.text:
            self._text.setdefault(chunk.index, []).append(chunk.text)
        if chunk.reasoning:
            self._reasoning.setdefault(chunk.index, []).append(chunk.reasoning)
        for part in chunk.tool_calls:
            calls = self._calls.setdefault(chunk.index, {})
            call = calls.setdefault(part.index, ToolCall(index=part.index))
            call.id = call.id or part.id
            call.name = call.name or part.name
            call.arguments += part.arguments

    def choices(self, finish_reasons: Mapping[int, str] | None = None) -> list[Choice]:
        """The choices so far, in order of index; without an entry in `finish_reasons` a choice ends with `stop`."""
        reasons = finish_reasons or {}
        indices = sorted({*self._text, *self._reasoning, *self._calls, *reasons}) or [0]
        return [
            Choice(
                index=index,
                text="".join(self._text.get(index, ())),
                tool_calls=[call for _, call in sorted(self._calls.get(index, {}).items())],
                finish_reason=reasons.get(index, "stop"),
                reasoning="".join(self._reasoning.get(index, ())),
            )
            for index in indices
        ]
