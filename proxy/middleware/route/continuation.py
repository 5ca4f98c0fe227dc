"""Continuation: an answer that broke off in mid-stream is gone on with by another attempt, and told as one answer.

The next target gets the conversation, the text so far as the assistant's, and an instruction to go on where it stops;
so any vendor can do it, also one that takes no answer that is begun for it. What must stay true: what was told is
never told again and never changed, the `Completion` holds all of it, and an answer that words cannot go on from is
left broken: one with tool calls, of a form that was asked for, or of several samples.

What the broken attempts used nobody tells: their tokens are counted as an estimate, and cost what those of the attempt
that came to its end cost on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.draft import Draft
from proxy.models import Call, Choice, Completion, Event, Json, Message, Usage

INSTRUCTION = (
    "Your answer was cut off by a technical fault. Go on exactly where it stops, with the very next character: repeat"
    " nothing, do not begin anew, and say nothing about the interruption."
)

BOUND = ("response_format", "logprobs", "audio")
"""Parameters of answers that are not gone on with, besides several samples."""


class Continuation:
    """What one streamed call was told so far, over all of its attempts."""

    def __init__(self, call: Call) -> None:
        self.breaks = 0
        """How often the answer broke off."""
        self._call = call
        self._draft = Draft()
        self._plain = True
        self._spent = Usage(estimated=True)

    def take(self, event: Event) -> Event:
        """An event of the attempt under way as one of the whole answer."""
        if isinstance(event, Completion):
            return self._whole(event) if self.breaks else event
        self._draft.add(event)
        self._plain = self._plain and not (event.tool_calls or event.extra or event.index)
        return event

    def broken(self) -> Call | None:
        """The call that goes on with an answer that has just broken off; None if none can."""
        said = self._draft.choices()[0]
        if not (self._plain and said.text):
            return None
        self.breaks += 1
        request = self._call.request
        messages = list(request.messages or ())
        self._spent.prompt_tokens += _tokens([*request.history, *messages]) + self._spent.completion_tokens
        self._spent.completion_tokens = _count(said.text) + _count(said.reasoning)
        messages += [
            {"role": "assistant", "content": said.text},
            {"role": "user", "content": INSTRUCTION},
        ]
        self._call.lasting = False
        self._call.remarks["continued"] = self.breaks
        return replace(self._call, request=replace(request, messages=messages))

    def _whole(self, last: Completion) -> Completion:
        """The last attempt's `Completion` as that of all of them."""
        rest = last.choices[0] if last.choices else Choice()
        spent, usage = self._spent, last.usage
        said = self._draft.choices()[0]
        choice = replace(rest, text=said.text, reasoning=said.reasoning)
        cost = last.cost
        if cost is not None and usage.total_tokens:
            cost *= 1 + spent.total_tokens / usage.total_tokens
        return replace(
            last,
            choices=[choice],
            usage=replace(
                usage,
                prompt_tokens=usage.prompt_tokens + spent.prompt_tokens,
                completion_tokens=usage.completion_tokens + spent.completion_tokens,
                estimated=True,
            ),
            cost=cost,
        )


def continuation(call: Call) -> Continuation | None:
    """For a call that may be gone on with: a streamed conversation with one answer of no special form."""
    request = call.request
    return Continuation(call) if request.stream and request.kind == "chat" and _free(request.params) else None


def _free(params: Mapping[str, Json]) -> bool:
    return not any(params.get(name) for name in BOUND) and {params.get("n"), params.get("best_of")} <= {None, 1}


def _tokens(messages: list[Message]) -> int:
    texts = [message.get("content") for message in messages]
    return sum(4 + _count(text if isinstance(text, str) else "") for text in texts)


def _count(text: str) -> int:
    """About four bytes to the token."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4
