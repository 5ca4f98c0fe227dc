"""Texts to embed: what each vendor is sent for them, and their vectors.

What must stay true: there is one vector for each text, in the order of the texts, in the form that was asked for,
whichever form the vendor has.
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from proxy.errors import UpstreamError
from proxy.models import Json
from proxy.providers.translation import answers, extras, values
from proxy.providers.translation.parameters import Plan
from proxy.providers.translation.texts import tokens

NONE = frozenset({"anthropic", "groq"})
"""Providers without models that embed."""

OPENAIS = frozenset({"openai", "azure", "anyscale", "litellm", "openrouter"})
"""Providers that know all of OpenAI's words for it."""

BASE64 = OPENAIS | {"mistral"}
"""Providers that can be asked for base64; of the others it is made here."""

SAID = frozenset({"cohere"})
"""Providers to whom the form is always said."""

FIELDS: Mapping[str, frozenset[str]] = {
    "cohere": frozenset({"input_type", "truncate"}),
    "vertexai": frozenset({"task_type", "title", "auto_truncate"}),
    "aws_bedrock": frozenset({"input_type", "truncate", "normalize"}),
}
"""The vendors' own fields that a request may add; OpenAI's compatible servers get any."""

KNOWN = frozenset({"dimensions", "encoding_format", "user", *extras.NAMES})

ALONE = ("gemini-embedding-2",)
"""Models that make one vector of all the texts of a request, so that each text is a request of its own."""


class Send(Protocol):
    """Asks for the vectors of some texts: OpenAI's client, or LiteLLM's `aembedding`."""

    def __call__(self, *, input: list[Json]) -> Awaitable[Any]: ...


def prepare(plan: Plan) -> None:
    """Fill `plan.arguments`. Raises `UpstreamError` for a vendor that has no embeddings, and when strict."""
    if plan.provider in NONE:
        raise _refused(plan, f"model: {plan.provider} has no models that embed texts")
    for name in [name for name, value in plan.params.items() if value is None or name in ("stream", "stream_options")]:
        del plan.params[name]
    for name in [name for name in plan.params if name not in KNOWN]:
        plan.drop(name, "not a parameter of embeddings")
    wanted = plan.params.pop("encoding_format", None)
    if wanted not in (None, "float", "base64"):
        raise _refused(plan, "encoding_format: must be float or base64")
    plan.base64 = wanted == "base64"
    if plan.base64 and plan.provider in BASE64:
        plan.arguments["encoding_format"] = "base64"
    elif plan.provider in SAID or (wanted and plan.provider in BASE64):
        plan.arguments["encoding_format"] = "float"
    _sized(plan)
    if "user" in plan.params and plan.provider not in OPENAIS:
        plan.drop("user", f"{plan.provider} has no such parameter")
    plan.arguments |= {name: plan.params.pop(name) for name in ("dimensions", "user") if name in plan.params}
    _added(plan)
    plan.stream = False


def posted(client: Any, plan: Plan) -> Send:
    """The way to OpenAI's endpoint and its like: the body as it is, without what OpenAI's method would add."""
    fields = {name: value for name, value in plan.arguments.items() if name not in extras.NAMES}
    body = {"model": plan.model, **plan.arguments.get("extra_body", {}), **fields}
    options = {"headers": plan.arguments.get("extra_headers", {})}

    def send(*, input: list[Json]) -> Awaitable[Any]:
        sent: Awaitable[Any] = client.post(
            "/embeddings", cast_to=object, body={**body, "input": input}, options=options
        )
        return sent

    return send


async def ask(send: Send, plan: Plan) -> tuple[list[Json], Any, str | None]:
    """The vectors, the vendor's count of tokens and its name for the model."""
    texts = [_text(plan, message.get("content")) for message in plan.messages]
    if not texts:
        raise _refused(plan, "input: there is nothing to embed")
    alone = plan.model.startswith(ALONE)
    batches = [[text] for text in texts] if alone else [texts]
    found: list[Json] = []
    counts: list[dict[str, Json]] = []
    model = None
    for batch in batches:
        answer = await send(input=batch)
        found += _vectors(plan, _of(answer, "data"), len(batch))
        usage = _of(answer, "usage")
        # a usage that has nothing but a prompt; OpenRouter tells its cost with it
        counts.append({name: _of(usage, name) for name in ("prompt_tokens", "cost")})
        model = answers.named(_of(answer, "model"))
    return found, counts[0] if len(counts) == 1 else _sum(counts), model


def _sized(plan: Plan) -> None:
    """The number of dimensions, by whatever name: LiteLLM knows few models that take one, the vendors know theirs."""
    if "dimensions" not in plan.params:
        return
    if plan.provider == "mistral":
        plan.arguments["output_dimension"] = plan.params.pop("dimensions")
    elif plan.provider == "aws_bedrock" and "titan-embed-text-v1" in plan.model:
        plan.drop("dimensions", f"{plan.model} has no such parameter")


def _added(plan: Plan) -> None:
    """What the request adds by hand: fields that the vendor is known to have, and headers."""
    known = FIELDS.get(plan.provider)
    fields = plan.params.get("extra_body")
    if known is not None and isinstance(fields, Mapping):
        own = {name: value for name, value in fields.items() if name in known}
        for name in fields.keys() - own.keys():
            plan.drop(f"extra_body.{name}", f"not a field that can be added for {plan.provider}")
        plan.params["extra_body"] = {}
        plan.arguments |= own
    extras.prepare(plan)


def _text(plan: Plan, content: Json) -> Json:
    """One text, or its tokens for those who take them."""
    if isinstance(content, str):
        if not content:
            raise _refused(plan, "input: a text to embed is empty")
        return content
    if not tokens(content):
        raise _refused(plan, "input: must be texts, or lists of tokens")
    if plan.provider not in OPENAIS:
        raise _refused(plan, f"input: {plan.provider} takes texts, not tokens")
    return content


def _vectors(plan: Plan, listed: Any, expected: int) -> list[Json]:
    """The vectors of one answer, put in the order of their texts."""
    if not isinstance(listed, Sequence) or len(listed) != expected:
        raise _unreadable(plan)
    placed: list[Json] = [None] * expected
    for position, item in enumerate(listed):
        index = values.index(_of(item, "index"), position)
        vector = _vector(plan, _of(item, "embedding"))
        if index >= expected or placed[index] is not None:
            raise _unreadable(plan)
        placed[index] = vector
    return placed


def _of(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _vector(plan: Plan, given: Any) -> Json:
    """A vector in the form that was asked for: base64 of its 32-bit floats, little-endian, or a list of numbers."""
    if isinstance(given, str):
        return given if plan.base64 else _unpacked(plan, given)
    if not isinstance(given, list) or not given:
        raise _unreadable(plan)
    if not all(type(each) in (int, float) and math.isfinite(each) for each in given):
        raise _unreadable(plan)
    return packed(given) if plan.base64 else given


def packed(vector: Sequence[float]) -> str:
    """A vector as OpenAI writes it in base64."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _unpacked(plan: Plan, text: str) -> list[float]:
    numbers = array("f")
    try:
        numbers.frombytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise _unreadable(plan) from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(numbers)


def _sum(counts: Sequence[dict[str, Json]]) -> dict[str, Json] | None:
    """The usage of several answers; None unless the vendor counted all of them."""
    prompts = [values.count(each["prompt_tokens"]) for each in counts]
    return {"prompt_tokens": sum(each or 0 for each in prompts)} if all(prompts) else None


def _refused(plan: Plan, message: str) -> UpstreamError:
    return UpstreamError(message, code="invalid_request", provider=plan.provider)


def _unreadable(plan: Plan) -> UpstreamError:
    return UpstreamError(
        f"{plan.provider} gave an answer that cannot be read: not one vector for each text",
        code="bad_answer",
        provider=plan.provider,
    )
