"""Answers for the tests of dialects that tell them in blocks: made by hypothesis, streamed in any order."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from proxy.draft import Draft
from proxy.models import Chunk, Completion, Event, ToolCall, Usage


@dataclass
class Streamed:
    """One answer: the chunks of its stream, and the whole."""

    chunks: list[Chunk]
    completion: Completion

    @property
    def events(self) -> list[Event]:
        return [*self.chunks, self.completion]


def halves(text: str, at: int) -> list[str]:
    return [part for part in (text[:at], text[at:]) if part]


@st.composite
def answers(draw: st.DrawFn) -> Streamed:
    """Texts, thoughts and tool calls in pieces; the fragments of parallel calls may come mixed up, each call's own in
    their order.
    """
    words = st.lists(st.text(min_size=1, max_size=6), max_size=3)
    chunks = [Chunk(reasoning=said) for said in draw(words)]
    queues = [[Chunk(text=said) for said in draw(words)]]
    inputs = draw(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=4)), max_size=3))
    for number, value in enumerate(inputs):
        arguments = json.dumps(value, ensure_ascii=draw(st.booleans()))
        first, *rest = halves(arguments, draw(st.integers(0, len(arguments))))
        name = draw(st.sampled_from(["", first]))
        start = Chunk(tool_calls=[ToolCall(f"call_{number}", f"tool_{number}", name, number)])
        rest = rest if name else [first, *rest]
        queues.append([start, *(Chunk(tool_calls=[ToolCall(arguments=part, index=number)]) for part in rest)])
    while queues := [queue for queue in queues if queue]:
        chunks.append(draw(st.sampled_from(queues)).pop(0))
    draft = Draft()
    for chunk in chunks:
        draft.add(chunk)
    reason = draw(st.sampled_from(["stop", "length", "content_filter"])) if not inputs else "tool_calls"
    usage = Usage(draw(st.integers(0, 99)), draw(st.integers(0, 99)))
    return Streamed(chunks, Completion(draft.choices({0: reason}), usage, "gpt-4o", "openai"))
