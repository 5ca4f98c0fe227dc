"""What OpenAI's answers have in common: their head, their count of tokens, and the event that one is in a stream.

Each event is one line of ASCII and an empty line: clients that decode every read by itself would tear a longer
character apart.

What a client asked to be told stands in `Call.told`, where decoding puts it: `usage` (a stream ends with the count of
tokens) and `functions` (calls are told in the words of the older API, see `openai_chat`).
"""

from __future__ import annotations

from proxy.dialects.sse import written
from proxy.models import Call, Completion, Json, Usage

DONE = b"data: [DONE]\n\n"
"""The end of a stream under /v1; clients of other APIs take it for an answer."""


def head(call: Call, completion: Completion | None, kind: str) -> dict[str, Json]:
    """How an object of `kind` begins; all that one call tells have the same id and time.

    The model is the one that was asked for until, with `completion`, the answer itself says it.
    """
    begun: dict[str, Json] = {
        "id": f"{'cmpl' if kind == 'text_completion' else 'chatcmpl'}-{call.request.trace.trace_id}",
        "object": kind,
        "created": int(call.started_at),
    }
    if completion is None:
        return begun | {"model": call.target.model if call.target else call.request.model or ""}
    if completion.system_fingerprint is not None:
        begun["system_fingerprint"] = completion.system_fingerprint
    return begun | {"model": completion.model}


def part(call: Call, completion: Completion | None, kind: str, choice: dict[str, Json] | None) -> dict[str, Json]:
    """A part of a stream, with one choice or none; who is to get the count of tokens finds its place in each."""
    begun = {**head(call, completion, kind), "choices": [] if choice is None else [choice]}
    return {**begun, "usage": None} if call.told.get("usage") else begun


def total(call: Call, completion: Completion, kind: str) -> list[dict[str, Json]]:
    """The last part of a stream, if it was asked for: the count of tokens."""
    if not call.told.get("usage"):
        return []
    return [{**part(call, completion, kind, None), "usage": counted(completion.usage)}]


def counted(usage: Usage) -> dict[str, Json]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def event(value: Json) -> bytes:
    """One event of a stream."""
    return b"data: %b\n\n" % written(value)
