"""What the logs of other programs have in common: pages of entries, OpenAI's messages and answers, and the log's words
for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import orjson

from proxy import timestamps
from proxy.body import OBJECT
from proxy.errors import Unprocessable
from proxy.models import Json

Place = tuple[str | int, ...]

WORDS = {"temperature": "temp", "max_tokens": "max_length", "max_completion_tokens": "max_length"}
"""The log's words for parameters that OpenAI calls otherwise."""

PARAMS = frozenset(
    {
        *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "frequency_penalty"),
        *("presence_penalty", "stop", "n", "seed", "response_format", "parallel_tool_calls", "logprobs"),
        *("top_logprobs", "logit_bias", "reasoning_effort", "thinking"),
    }
)


def entries(value: Json, pages: Sequence[str]) -> Iterator[tuple[dict[str, Json], Place]]:
    """The objects in a value that is one, a list of them, or a page, which has them under one of `pages`; each with its
    place. Raises `Unprocessable`.
    """
    waiting: list[tuple[Json, Place]] = [(value, ())]
    while waiting:
        item, place = waiting.pop()
        if isinstance(item, dict):
            page = next((name for name in pages if isinstance(item.get(name), list)), None)
            if page is None:
                yield item, place
                continue
            item, place = item[page], (*place, page)
        if not isinstance(item, list):
            raise wrong(place, OBJECT)
        waiting += [(one, (*place, index)) for index, one in reversed(list(enumerate(item)))]


def wrong(place: Place, message: str) -> Unprocessable:
    """What is wrong with the value at a place, in the words of a schema."""
    return Unprocessable([{"loc": ["body", *place], "msg": message, "type": "value_error"}])


def moment(written: str | None, *place: str | int) -> str | None:
    """A time as the log keeps it. Raises `Unprocessable` for what is none."""
    if not written:
        return None
    if (normal := timestamps.normalized(written)) is None:
        raise wrong(place, "Input should be an ISO 8601 time")
    return normal


def params(given: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters of a request of OpenAI's, in the log's words."""
    return {WORDS.get(name, name): value for name, value in given.items() if name in PARAMS and value is not None}


def functions(tools: Json) -> list[Json] | None:
    """The functions of a list of tools, as the log has them."""
    if not isinstance(tools, list) or not tools:
        return None
    return [one.get("function", one) if isinstance(one, dict) else one for one in tools]


def configuration(
    model: str | None,
    provider: str | None,
    model_params: Mapping[str, Json],
    messages: Sequence[Json] | None,
    tools: Sequence[Json] | None = None,
) -> dict[str, Json] | None:
    """A row's configuration; None where there is nothing to say."""
    said: dict[str, Json] = {"model": model, "provider": provider}
    said |= {"model_params": dict(model_params)} if model_params else {}
    said |= {"messages": list(messages)} if messages is not None else {}
    said |= {"functions": list(tools)} if tools else {}
    return {name: value for name, value in said.items() if value is not None} or None


def answer(text: str, calls: Sequence[Json]) -> str:
    """An answer as a row has it: its tool calls are a JSON list behind the text."""
    if not calls:
        return text
    listed = orjson.dumps(list(calls), option=orjson.OPT_INDENT_2).decode()
    return f"{text}\n{listed}" if text else listed


def call(id: Json, name: Json, arguments: Json) -> dict[str, Json]:
    """A tool call of OpenAI's form; arguments that are no text become JSON."""
    written = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return {"id": id, "type": "function", "function": {"name": name, "arguments": written}}


def message_text(message: Json) -> str | None:
    """The text, and the tool calls, of an assistant's message; None where it says nothing."""
    if not isinstance(message, dict):
        return None
    calls = message.get("tool_calls")
    text = _plain(message.get("content"))
    if not text and not calls:
        return None if message.get("content") is None else ""
    return answer(text, calls if isinstance(calls, list) else [])


def _plain(content: Json) -> str:
    """Content as text: that of its parts, where it has such."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
