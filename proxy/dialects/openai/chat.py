"""Chat completions as OpenAI writes them: `chat.completion`, and `chat.completion.chunk` for a stream.

What must stay true:

* The deltas of a stream, put together as OpenAI's clients do it, are the message of the whole answer. They join texts
  of one name, so the role, and a call's id and name, are told once.
* Every choice has a chunk with its role and one with its finish reason, also if it says nothing.
* Choices begin in order, and so do the calls of each, counted from 0: OpenAI's own client takes the first that it sees
  for the first there is, and fails at any other. It counts the log probabilities twice that come with a role, so a role
  comes by itself.
* To a client of the older API, which sent `functions`, a tool call is the message's `function_call`; of several only
  the first, since that API has room for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.dialects.openai.frame import counted, head, part, total
from proxy.dialects.openai.frame import event as framed
from proxy.dialects.sse import written
from proxy.models import Call, Choice, Chunk, Completion, Event, Json, ToolCall

CHUNK = "chat.completion.chunk"

SLOT = "\x00"
WRITTEN = written(SLOT)
"""Stands for a text, once."""

MOST = 128
"""As many choices as one answer can have."""


def whole(call: Call, completion: Completion) -> dict[str, Json]:
    """The whole answer."""
    functions = bool(call.told.get("functions"))
    return {
        **head(call, completion, "chat.completion"),
        "choices": [
            {
                "index": choice.index,
                "message": _message(choice, functions=functions),
                "logprobs": choice.logprobs,
                "finish_reason": _reason(choice, functions=functions),
            }
            for choice in completion.choices
        ],
        "usage": counted(completion.usage),
    }


def chunks(call: Call, event: Event) -> list[dict[str, Json]]:
    """What a stream tells of `event`; its end is a chunk per choice, and one with the count of tokens if asked for."""
    told = call.told.get("stream")
    if told is None:
        told = call.told["stream"] = _Told(functions=bool(call.told.get("functions")))
    if isinstance(event, Chunk):
        return [part(call, None, CHUNK, choice) for choice in told.choices(event)]
    found: list[dict[str, Json]] = []
    for ended in event.choices:
        for choice in told.choices(_all(ended)) if ended.index not in told.said else ():
            found.append(part(call, event, CHUNK, choice))
        found.append(part(call, event, CHUNK, _choice(ended.index, {}, None, _reason(ended, functions=told.functions))))
    return found + total(call, event, CHUNK)


def plain(call: Call, event: Event) -> bytes | None:
    """The event of a chunk that brings its choice text and nothing else, as `chunks` tells it; None for any other.

    It differs from the last such one in nothing but the text.
    """
    told = call.told.get("stream")
    if told is None or not isinstance(event, Chunk) or event.index not in told.begun or not event.text:
        return None
    if event.tool_calls or event.reasoning or event.extra or event.logprobs is not None:
        return None
    around: tuple[bytes, bytes] | None = told.around.get(event.index)
    if around is None:
        begun, _, ended = framed(part(call, None, CHUNK, _choice(event.index, {"content": SLOT}))).rpartition(WRITTEN)
        around = told.around[event.index] = begun, ended
    told.said.add(event.index)
    return b"%b%b%b" % (around[0], written(event.text), around[1])


@dataclass(slots=True)
class _Told:
    """What a stream has told so far: which choices have begun and which have said something, the place of each call
    among its choice's, and the calls whose id and name are known; and of each choice what stands around its text.
    """

    functions: bool
    begun: set[int] = field(default_factory=set)
    said: set[int] = field(default_factory=set)
    places: dict[int, dict[int, int]] = field(default_factory=dict)
    ids: set[tuple[int, int]] = field(default_factory=set)
    names: set[tuple[int, int]] = field(default_factory=set)
    around: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    def choices(self, chunk: Chunk) -> list[dict[str, Json]]:
        """What choices gain by a chunk: a beginning, for its own and those before it that have none, and its delta."""
        late = [index for index in (*range(min(chunk.index, MOST)), chunk.index) if index not in self.begun]
        self.begun.update(late)
        self.said.add(chunk.index)
        silent = not chunk.text and (chunk.tool_calls or chunk.reasoning or chunk.extra)
        found = [
            _choice(index, {"role": "assistant", "content": None if silent and index == chunk.index else ""})
            for index in late
        ]
        delta = self._delta(chunk)
        if delta or chunk.logprobs is not None:
            found.append(_choice(chunk.index, delta, chunk.logprobs))
        return found

    def _delta(self, chunk: Chunk) -> dict[str, Json]:
        delta: dict[str, Json] = {"content": chunk.text} if chunk.text else {}
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        for call in chunk.tool_calls:
            places = self.places.setdefault(chunk.index, {})
            new = call.index not in places
            place = places.setdefault(call.index, len(places))
            if not self.functions:
                delta.setdefault("tool_calls", []).append(self._fragment((chunk.index, place), call, new=new))
            elif place == 0:
                delta["function_call"] = self._function((chunk.index, 0), call, delta.get("function_call"))
        return {**delta, **chunk.extra}

    def _fragment(self, where: tuple[int, int], call: ToolCall, *, new: bool) -> dict[str, Json]:
        fragment: dict[str, Json] = {"index": where[1]}
        if call.id and where not in self.ids:
            self.ids.add(where)
            fragment["id"] = call.id
        if new:
            fragment["type"] = "function"
        return {**fragment, "function": self._function(where, call)}

    def _function(self, where: tuple[int, int], call: ToolCall, before: Json = None) -> dict[str, Json]:
        """A fragment of a call's function, behind what the same delta says of it already."""
        function = before or {"arguments": ""}
        function["arguments"] += call.arguments
        if call.name and where not in self.names:
            self.names.add(where)
            function = {"name": call.name, **function}
        return function


def _choice(index: int, delta: dict[str, Json], logprobs: Json = None, reason: str | None = None) -> dict[str, Json]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def _all(choice: Choice) -> Chunk:
    """A choice that no chunk has told, as one."""
    return Chunk(choice.text, choice.tool_calls, choice.reasoning, choice.index, choice.logprobs, choice.extra)


def _message(choice: Choice, *, functions: bool) -> dict[str, Json]:
    silent = choice.tool_calls or choice.reasoning or choice.extra
    content = None if silent and not choice.text else choice.text
    message: dict[str, Json] = {"role": "assistant", "content": content, "refusal": None, **choice.extra}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls and functions:
        message["function_call"] = _called(choice.tool_calls[0])
    elif choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": _called(call)} for call in choice.tool_calls
        ]
    return message


def _called(call: ToolCall) -> dict[str, Json]:
    return {"name": call.name, "arguments": call.arguments}


def _reason(choice: Choice, *, functions: bool) -> str:
    return "function_call" if functions and choice.finish_reason == "tool_calls" else choice.finish_reason
