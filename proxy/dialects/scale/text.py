"""Text completions as Scale's clients read them: OpenAI's, and what a chat model says besides text.

`scale-gp` has its own shape for log probabilities of a text, that of a conversation: `{content: [...]}`, whichever
model was asked. Its completions may have tools; the calls stand beside a choice's text, in a stream with its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from proxy.dialects.openai import text as openai_text
from proxy.models import Call, Choice, Chunk, Completion, Event, Json


def whole(call: Call, completion: Completion, *, content: bool) -> dict[str, Json]:
    """The whole answer; `content` asks for log probabilities in the shape of a conversation."""
    answer = openai_text.whole(call, completion)
    for told, choice in zip(answer["choices"], completion.choices, strict=True):
        if content:
            told["logprobs"] = contents(choice.logprobs)
        told.update(_calls(choice))
    return answer


def chunks(call: Call, event: Event, *, content: bool) -> list[dict[str, Json]]:
    """What a stream tells of `event`."""
    found = openai_text.chunks(call, event)
    ended = {choice.index: choice for choice in event.choices} if isinstance(event, Completion) else {}
    for told in (choice for chunk in found for choice in chunk["choices"]):
        choice = ended.get(told["index"])
        if content and told["logprobs"] is not None:
            told["logprobs"] = contents(event.logprobs if isinstance(event, Chunk) else choice and choice.logprobs)
        if choice is not None:
            told.update(_calls(choice))
    return found


def contents(found: Json) -> Json:
    """Log probabilities in the shape of a conversation, from either."""
    if not isinstance(found, Mapping) or not isinstance(found.get("tokens"), list):
        return found
    listed = zip_longest(found["tokens"], found.get("token_logprobs") or (), found.get("top_logprobs") or ())
    return {
        "content": [
            {
                **_token(token, logprob),
                "top_logprobs": [_token(*pair) for pair in top.items()] if isinstance(top, Mapping) else [],
            }
            for token, logprob, top in listed
        ]
    }


def _token(token: Json, logprob: Json) -> dict[str, Json]:
    text = str(token or "")
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def _calls(choice: Choice) -> dict[str, Json]:
    if not choice.tool_calls:
        return {}
    return {
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    }
