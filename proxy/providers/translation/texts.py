"""Texts to complete: what is sent to the endpoint for texts that OpenAI and its compatible servers have.

What must stay true: the body holds what was asked for and nothing else; a stream is closed when nobody reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from proxy.errors import UpstreamError
from proxy.models import Json, Kind, Message
from proxy.providers.engine import clients
from proxy.providers.translation import extras
from proxy.providers.translation.parameters import KNOWN, Plan, sift
from proxy.target import Target
from proxy.vendors import asked

PROVIDERS = frozenset({"openai", "azure", "anyscale", "openrouter", "litellm", "fireworks"})
"""Who has an endpoint for texts."""

FIELDS = frozenset(
    {
        "best_of",
        "echo",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "n",
        "presence_penalty",
        "seed",
        "stop",
        "suffix",
        "temperature",
        "top_k",
        "top_p",
        "user",
        *extras.NAMES,
    }
)
"""The parameters of a text; whether a provider has `top_k` is told in `parameters.NEVER`."""

BETWEEN = "\n\n"
"""What stands between the messages of a prompt that has several."""


def kind(target: Target, wanted: Kind) -> Kind:
    """What the provider is asked for: one that has no endpoint for texts is asked in a conversation."""
    found = asked(target, wanted)
    return "chat" if found == "text" and not (target.provider in PROVIDERS and clients.reaches(target)) else found


def prepare(plan: Plan) -> None:
    """Fill `plan.arguments` with the body's fields; the params become empty. Raises `UpstreamError` when strict."""
    extras.unfold(plan, KNOWN)
    sift(plan)
    if "max_completion_tokens" in plan.params:
        plan.params["max_tokens"] = plan.params.pop("max_completion_tokens")
    if plan.params.get("temperature") == 1:
        del plan.params["temperature"]
    _logprobs(plan)
    for name in [name for name in plan.params if name not in FIELDS]:
        plan.drop(name, "not a parameter of texts")
    body = {name: plan.params.pop(name) for name in list(plan.params) if name not in extras.NAMES}
    extras.prepare(plan)
    plan.arguments["extra_body"] = {**plan.arguments.get("extra_body", {}), **body}
    plan.arguments["prompt"] = prompt(plan.messages)


def check(plan: Plan) -> None:
    """Raise `UpstreamError` for a text in tokens that a chat model is to complete."""
    if any(tokens(message.get("content")) for message in plan.messages):
        raise UpstreamError(
            "prompt: only a completion model takes tokens; send text", code="invalid_request", provider=plan.provider
        )


def tokens(content: Json) -> bool:
    """Whether a text is given as its tokens."""
    return isinstance(content, list) and bool(content) and all(type(each) is int for each in content)


def prompt(messages: list[Message]) -> Json:
    """The text to complete: the one message's, in tokens if it is; of a deployment that has several, one after the
    other.
    """
    if len(messages) == 1 and tokens(messages[0].get("content")):
        return messages[0]["content"]
    return BETWEEN.join(_words(message.get("content")) for message in messages)


async def ask(client: Any, plan: Plan) -> Any:
    """The answer to a plan, or a `Stream` of it."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if plan.stream else {}
    answer = await client.completions.create(model=plan.model, **plan.arguments, **options)
    return Stream(answer) if plan.stream else answer


class Stream:
    """OpenAI's stream with the attributes of LiteLLM's: the finish reason, if one came, and the parts with usage."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.received_finish_reason: str | None = None
        self.intermittent_finish_reason: str | None = None
        self.chunks: list[Any] = []

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for part in self._stream:
            if getattr(part, "usage", None) is not None:
                self.chunks.append(part)
            for choice in getattr(part, "choices", None) or ():
                reason = getattr(choice, "finish_reason", None)
                self.received_finish_reason = (str(reason) if reason else None) or self.received_finish_reason
            yield part

    async def aclose(self) -> None:
        await self._stream.close()


def _logprobs(plan: Plan) -> None:
    """How many log probabilities are wanted, which a chat says in two words and a text in one number."""
    top = plan.params.pop("top_logprobs", None)
    wanted = plan.params.get("logprobs")
    if wanted is True or (wanted is None and top is not None):
        plan.params["logprobs"] = top or 0


def _words(content: Json) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
