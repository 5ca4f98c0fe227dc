"""From LiteLLM's answers and stream chunks to the gateway's, by reading attributes; nothing here imports LiteLLM.

What must stay true: an answer is believed only with the provider's own end. A stream without a finish reason was cut
short, and an answer without text, calls or the provider's usage was none at all; LiteLLM reports both as successes
that ended with `stop`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.models import Choice, Chunk, Json, Message, ToolCall, Usage

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
"""Vendors' finish reasons in OpenAI's words; others pass as they are."""


class Reader:
    """Reads one streamed answer, chunk by chunk, and knows at the end whether it was a whole one."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.model = ""
        self.usage: Any = None
        self._reasons: dict[int, str] = {}
        self._logprobs: dict[int, list[Json]] = {}
        self.began = False

    def read(self, part: Any) -> list[Chunk]:
        """The chunks that one of LiteLLM's holds: one for each choice that gained something."""
        if getattr(part, "choices", None):  # Azure's last chunk has none, and the deployment's name for the model
            self.model = part.model or self.model
        self.usage = getattr(part, "usage", None) or self.usage
        chunks = []
        for choice in getattr(part, "choices", None) or ():
            index = choice.index or 0
            if choice.finish_reason:
                self._reasons[index] = choice.finish_reason
            self._add_logprobs(index, getattr(choice, "logprobs", None))
            chunk = _chunk(index, choice.delta)
            if chunk.text or chunk.tool_calls or chunk.reasoning:
                self.draft.add(chunk)
                self.began = True
                chunks.append(chunk)
        return chunks

    def finish(self, provider: str, received: str | None, *, counted: bool) -> list[Choice]:
        """The whole answer. `received` is the finish reason that the provider sent, `counted` whether its usage came.

        Raises `UpstreamError` for an answer that was cut short, or was none.
        """
        if not self.began and not counted:
            raise empty(provider)
        if received is None:
            raise UpstreamError(f"{provider} broke its answer off", code="truncated", provider=provider)
        choices = self.draft.choices(self._reasons)
        for choice in choices:
            choice.finish_reason = finish_reason(choice.finish_reason, choice.tool_calls)
            if choice.index in self._logprobs:
                choice.logprobs = {"content": self._logprobs[choice.index]}
        return choices

    def _add_logprobs(self, index: int, logprobs: Any) -> None:
        found = _plain(logprobs)
        if isinstance(found, dict) and isinstance(found.get("content"), list):
            self._logprobs.setdefault(index, []).extend(found["content"])


def whole(answer: Any, provider: str) -> list[Choice]:
    """The choices of an answer that came in one piece. Raises `UpstreamError` when it is none."""
    choices = [_choice(choice, position) for position, choice in enumerate(answer.choices or ())]
    said = any(choice.text or choice.tool_calls or choice.reasoning for choice in choices)
    if not choices or not (said or tokens(getattr(answer, "usage", None))):
        raise empty(provider)
    return choices


def empty(provider: str) -> UpstreamError:
    return UpstreamError(
        f"{provider} gave an answer that cannot be read: no text, no tool call, no usage",
        code="bad_answer",
        provider=provider,
    )


def tokens(usage: Any) -> Usage | None:
    """The provider's count, or None when it gave none: no prompt has zero tokens."""
    prompt = getattr(usage, "prompt_tokens", None)
    if not prompt:
        return None
    return Usage(int(prompt), int(getattr(usage, "completion_tokens", None) or 0))


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
    known = FINISH_REASONS.get((reason or "stop").lower(), reason or "stop")
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


def _choice(choice: Any, position: int) -> Choice:
    message = choice.message
    calls = [_call(call, index) for index, call in enumerate(getattr(message, "tool_calls", None) or ())]
    return Choice(
        index=choice.index if choice.index is not None else position,
        text=message.content or "",
        tool_calls=calls,
        finish_reason=finish_reason(choice.finish_reason, calls),
        reasoning=getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or "",
        logprobs=_plain(getattr(choice, "logprobs", None)),
    )


def _chunk(index: int, delta: Any) -> Chunk:
    calls = getattr(delta, "tool_calls", None) or ()
    special = getattr(delta, "provider_specific_fields", None) or {}
    return Chunk(
        text=getattr(delta, "content", None) or "",
        tool_calls=[_call(call, position) for position, call in enumerate(calls)],
        reasoning=getattr(delta, "reasoning_content", None) or special.get("thinking") or "",
        index=index,
    )


def _call(call: Any, position: int) -> ToolCall:
    function = call.function
    index = getattr(call, "index", None)
    return ToolCall(
        id=call.id or "",
        name=function.name or "",
        arguments=function.arguments or "",
        index=index if index is not None else position,
    )


def _plain(value: Any) -> Json:
    """A JSON value out of a pydantic model."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
