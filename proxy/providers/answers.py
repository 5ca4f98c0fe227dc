"""From LiteLLM's answers and stream chunks to the gateway's, by reading attributes; nothing here imports LiteLLM.

What must stay true:

* An answer is believed only with the provider's own end. A stream without a finish reason was cut short, and an answer
  without text, calls or the provider's usage was none at all; LiteLLM reports both as successes that ended with `stop`.
* Every field is read through `values.py`: whatever a provider sends, what leaves here can be written as JSON and its
  finish reasons are OpenAI's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.models import Choice, Chunk, Json, Message, ToolCall, Usage
from proxy.providers import values

FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "error_toxic": "content_filter",
    "guardrail_intervened": "content_filter",
}
"""Vendors' finish reasons in OpenAI's words; one that is not known here is a `stop`."""


LONGEST_NAME = 200
"""Characters of a model's name."""


class Reader:
    """Reads one streamed answer, chunk by chunk, and knows at the end whether it was a whole one."""

    def __init__(self, provider: str) -> None:
        self.draft = Draft()
        self.model: str | None = None
        self.usage: Any = None
        self.began = False
        self._provider = provider
        self._reasons: dict[int, str] = {}
        self._logprobs: dict[int, list[Json]] = {}

    def read(self, part: Any) -> list[Chunk]:
        """The chunks that one of LiteLLM's holds: one for each choice that gained something."""
        chunks = []
        with _readable(self._provider):
            choices = _items(getattr(part, "choices", None))
            if choices:  # Azure's last chunk has none, and the deployment's name for the model
                self.model = model(part) or self.model
            self.usage = getattr(part, "usage", None) or self.usage
            for position, choice in enumerate(choices):
                index = values.index(getattr(choice, "index", None), position)
                reason = getattr(choice, "finish_reason", None)
                if reason:
                    self._reasons[index] = reason if isinstance(reason, str) else "stop"
                self._add_logprobs(index, getattr(choice, "logprobs", None))
                chunk = _chunk(index, getattr(choice, "delta", None))
                if chunk.text or chunk.tool_calls or chunk.reasoning:
                    self.draft.add(chunk)
                    self.began = True
                    chunks.append(chunk)
        return chunks

    def finish(self, received: str | None, *, counted: bool) -> list[Choice]:
        """The whole answer. `received` is the finish reason that the provider sent, `counted` whether its usage came.

        Raises `UpstreamError` for an answer that was cut short, or was none.
        """
        if not self.began and not counted:
            raise empty(self._provider)
        if received is None:
            raise UpstreamError(f"{self._provider} broke its answer off", code="truncated", provider=self._provider)
        choices = self.draft.choices(self._reasons)
        for choice in choices:
            choice.finish_reason = finish_reason(choice.finish_reason, choice.tool_calls)
            if choice.index in self._logprobs:
                choice.logprobs = {"content": self._logprobs[choice.index]}
        return choices

    def _add_logprobs(self, index: int, found: Any) -> None:
        listed = _logprobs(found)
        if listed is not None and isinstance(listed.get("content"), list):
            self._logprobs.setdefault(index, []).extend(listed["content"])


def whole(answer: Any, provider: str) -> list[Choice]:
    """The choices of an answer that came in one piece. Raises `UpstreamError` when it is none."""
    with _readable(provider):
        listed = _items(getattr(answer, "choices", None))
        choices = [_choice(choice, position) for position, choice in enumerate(listed)]
    said = any(choice.text or choice.tool_calls or choice.reasoning for choice in choices)
    if not choices or not (said or tokens(getattr(answer, "usage", None))):
        raise empty(provider)
    return choices


@contextmanager
def _readable(provider: str) -> Iterator[None]:
    try:
        yield
    except values.Unreadable:
        raise UpstreamError(
            f"{provider} gave an answer that cannot be read: {values.ODD}",
            code="bad_answer",
            provider=provider,
        ) from None


def model(answer: Any) -> str | None:
    """The name that the provider gives its model, if it is one: fit for a price list, and for nothing else."""
    name = getattr(answer, "model", None)
    return name if isinstance(name, str) and len(name) <= LONGEST_NAME else None


def empty(provider: str) -> UpstreamError:
    return UpstreamError(
        f"{provider} gave an answer that cannot be read: no text, no tool call, no usage",
        code="bad_answer",
        provider=provider,
    )


def tokens(usage: Any) -> Usage | None:
    """The provider's count, or None when it gave none that is one: no prompt has zero tokens."""
    prompt = values.count(getattr(usage, "prompt_tokens", None))
    said = values.count(getattr(usage, "completion_tokens", None) or 0)
    return Usage(prompt, said) if prompt and said is not None else None


def estimate(messages: Sequence[Message], choices: Sequence[Choice]) -> Usage:
    """A count for providers that give none: about four bytes of UTF-8 to the token.

    A tokenizer would be closer, but its tables take 110 MB and half a second, and the number is marked as an estimate
    anyway.
    """
    prompt = sum(4 + count(_said(message)) for message in messages)
    said = sum(
        count(choice.text)
        + count(choice.reasoning)
        + sum(count(call.name + call.arguments) for call in choice.tool_calls)
        for choice in choices
    )
    return Usage(prompt, said, estimated=True)


def count(text: str) -> int:
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def finish_reason(reason: str | None, calls: Sequence[ToolCall]) -> str:
    """OpenAI's word for it; an answer that ends well and has calls ended for their sake."""
    known = FINISH_REASONS.get((reason or "stop").lower(), "stop")
    return "tool_calls" if calls and known == "stop" else known


def _said(message: Message) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else _parts(content)
    calls = message.get("tool_calls")
    return text + (json.dumps(calls, ensure_ascii=False) if calls else "")


def _parts(content: Json) -> str:
    """The text among the parts of a message; an image's bytes are no tokens."""
    if not isinstance(content, list):
        return ""
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _items(listed: Any) -> Sequence[Any]:
    """A field that holds a list or nothing."""
    if listed is not None and not isinstance(listed, list | tuple):
        raise values.Unreadable
    return listed or ()


def _choice(choice: Any, position: int) -> Choice:
    message = getattr(choice, "message", None)
    if message is None:
        raise values.Unreadable
    text, thought = values.content(getattr(message, "content", None))
    listed = _items(getattr(message, "tool_calls", None))
    calls = [_call(call, position) for position, call in enumerate(listed)]
    reason = getattr(choice, "finish_reason", None)
    return Choice(
        index=values.index(getattr(choice, "index", None), position),
        text=text,
        tool_calls=calls,
        finish_reason=finish_reason(reason if isinstance(reason, str) else None, calls),
        reasoning=values.reasoning(getattr(message, "reasoning_content", None))
        or values.reasoning(getattr(message, "reasoning", None))
        or thought,
        logprobs=_logprobs(getattr(choice, "logprobs", None)),
    )


def _chunk(index: int, delta: Any) -> Chunk:
    special = getattr(delta, "provider_specific_fields", None)
    thinking = special.get("thinking") if isinstance(special, Mapping) else None
    text, thought = values.content(getattr(delta, "content", None))
    return Chunk(
        text=text,
        tool_calls=[_call(call, position) for position, call in enumerate(_items(getattr(delta, "tool_calls", None)))],
        reasoning=values.reasoning(getattr(delta, "reasoning_content", None)) or values.reasoning(thinking) or thought,
        index=index,
    )


def _call(call: Any, position: int) -> ToolCall:
    function = getattr(call, "function", None)
    return ToolCall(
        id=values.text(getattr(call, "id", None)),
        name=values.text(getattr(function, "name", None)),
        arguments=values.text(getattr(function, "arguments", None)),
        index=values.index(getattr(call, "index", None), position),
    )


def _logprobs(found: Any) -> dict[str, Json] | None:
    """The log probabilities as JSON, if they are an object."""
    if hasattr(found, "model_dump"):
        found = found.model_dump(warnings=False)
    return values.plain(found) if isinstance(found, dict) else None
