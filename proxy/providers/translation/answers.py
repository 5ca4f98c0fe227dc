"""From answers and stream chunks in OpenAI's form, as the wire or LiteLLM gives them, to the gateway's.

What must stay true:

* An answer is believed only with the provider's own end. A stream without a finish reason was cut short, and an answer
  without text, calls or the provider's usage was none at all; LiteLLM reports both as successes that ended with `stop`.
* Every field is read through `values.py`: whatever a provider sends, what leaves here can be written as JSON and its
  finish reasons are OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.models import Choice, Chunk
from proxy.providers.translation import choices, values
from proxy.providers.translation.usage import tokens

LONGEST_NAME = 200
"""Characters of a name that a provider gives."""


class Reader:
    """Reads one answer, chunk by chunk or in one piece, and knows at the end whether it was a whole one."""

    def __init__(self, provider: str) -> None:
        self.draft = Draft()
        self.model: str | None = None
        self.fingerprint: str | None = None
        self.usage: Any = None
        self.tier: str | None = None
        self.began = False
        self._provider = provider
        self._reasons: dict[int, str] = {}
        self._whole: list[Choice] | None = None

    def read(self, part: Mapping[str, Any]) -> list[Chunk]:
        """The chunks that one of the provider's holds: one for each choice that gained something."""
        chunks = []
        try:
            listed = choices.items(part.get("choices"))
            if listed and self.model is None:  # Azure's last chunk has none, and the deployment's name for the model
                self.model = model(part)
            self.fingerprint = self.fingerprint or fingerprint(part)
            self.tier = tier(part) or self.tier
            self.usage = part.get("usage") or values.fields(part.get("x_groq")).get("usage") or self.usage
            for position, given in enumerate(listed):
                choice = values.fields(given)
                index = values.index(choice.get("index"), position)
                reason = choice.get("finish_reason")
                if reason:
                    self._reasons[index] = reason if isinstance(reason, str) else "stop"
                chunk = choices.piece(choice, index)
                if chunk.text or chunk.tool_calls or chunk.reasoning or chunk.logprobs or chunk.extra:
                    self.draft.add(chunk)
                    self.began = True
                    chunks.append(chunk)
        except values.Unreadable:
            raise unreadable(self._provider) from None
        return chunks

    def take(self, answer: Mapping[str, Any]) -> None:
        """Read an answer that came in one piece."""
        try:
            listed = choices.items(answer.get("choices"))
            self._whole = [choices.whole(choice, position) for position, choice in enumerate(listed)]
        except values.Unreadable:
            raise unreadable(self._provider) from None
        self.model, self.fingerprint, self.usage = model(answer), fingerprint(answer), answer.get("usage")
        self.tier = tier(answer)
        self.began = any(said.text or said.tool_calls or said.reasoning or said.extra for said in self._whole)
        if not self._whole or not (self.began or tokens(self.usage)):
            raise empty(self._provider)

    def finish(self, received: str | None, *, counted: bool) -> list[Choice]:
        """The whole answer. `received` is the finish reason that the provider sent, `counted` whether its usage came.

        Raises `UpstreamError` for a stream that was cut short, or was none.
        """
        if self._whole is not None:
            return self._whole
        if not self.began and not counted:
            raise empty(self._provider)
        if received is None:
            raise UpstreamError(f"{self._provider} broke its answer off", code="truncated", provider=self._provider)
        found = self.draft.choices(self._reasons)
        for choice in found:
            choice.finish_reason = choices.finish_reason(choice.finish_reason, choice.tool_calls)
            if "thinking_blocks" in choice.extra:
                choice.extra = {**choice.extra, "thinking_blocks": choices.blocks(choice.extra["thinking_blocks"])}
        return found


def unreadable(provider: str) -> UpstreamError:
    return UpstreamError(
        f"{provider} gave an answer that cannot be read: {values.ODD}", code="bad_answer", provider=provider
    )


def model(answer: Mapping[str, Any]) -> str | None:
    """The name that the provider gives its model, if it is one: fit for a price list, and for nothing else."""
    return named(answer.get("model"))


def fingerprint(answer: Mapping[str, Any]) -> str | None:
    """What the provider calls the system that answered, if it does."""
    return named(answer.get("system_fingerprint"))


def tier(answer: Mapping[str, Any]) -> str | None:
    """The tier of service that an answer, or its usage, says it had."""
    told = answer.get("service_tier")
    return named(told if told is not None else values.fields(answer.get("usage")).get("service_tier"))


def named(found: Any) -> str | None:
    """A name, if it is one."""
    return values.encodable(found) if isinstance(found, str) and 0 < len(found) <= LONGEST_NAME else None


def empty(provider: str) -> UpstreamError:
    return UpstreamError(
        f"{provider} gave an answer that cannot be read: no text, no tool call, no usage",
        code="bad_answer",
        provider=provider,
    )
