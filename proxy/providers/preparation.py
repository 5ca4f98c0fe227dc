"""From a call to a plan: what will be sent, once for each set of parameters.

The rules (`translation/parameters.py`) cost more than a round trip on loopback, and what they say depends on the model
and the parameters alone. What must stay true: a kept preparation is what the rules would say again; a refusal is never
kept.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson

from proxy.models import Call, Json, Message
from proxy.providers import credentials, standins
from proxy.providers.engine import Engine
from proxy.providers.shelf import Shelf
from proxy.providers.translation import messages, parameters, texts
from proxy.providers.translation.parameters import Plan
from proxy.target import Target

KEPT = 4096
"""Answers about which model takes which parameter; the oldest go first."""

LENGTHS = frozenset({"max_tokens", "max_completion_tokens"})

LONGEST = 200
"""Characters of a value by which such an answer is remembered."""


@dataclass(slots=True, frozen=True)
class Prepared:
    """What the rules made of a set of parameters: LiteLLM's arguments, those of them that it shall send although it
    does not know that it may, what was left out and why, and what is said before the conversation. Those in `said` are
    not among the arguments: they go as each call has them.
    """

    arguments: Mapping[str, Any]
    forced: frozenset[str] = frozenset()
    dropped: Mapping[str, str] = field(default_factory=dict)
    lead: tuple[Message, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """In bytes of JSON."""
        return len(orjson.dumps(self.arguments))


class Preparation:
    """Makes the plans of one gateway; with `strict`, what cannot be sent is an error."""

    def __init__(self, engine: Engine, *, strict: bool) -> None:
        self._engine = engine
        self._strict = strict
        self.kept: Shelf[Prepared] = Shelf()
        self._accepted: dict[tuple[str, str, str, str], bool] = {}

    def under(self, *, strict: bool) -> Self:
        """The same, with another answer to what cannot be sent."""
        other = copy.copy(self)
        other._strict = strict
        return other

    def start(self, call: Call, target: Target) -> Plan:
        """A plan of which nothing has been chosen yet; what will not be sent is noted in the call."""
        return Plan(
            provider=target.provider,
            model=target.model,
            params=_params(target.params, call.request.params),
            messages=[*call.request.history, *(call.request.messages or [])],
            stream=call.request.stream,
            strict=self._strict,
            demanded=call.demanded,
            asked=call.request.kind,
            kind=texts.kind(target, call.request.kind),
            dropped=call.dropped,
        )

    async def plan(self, call: Call, target: Target) -> Plan:
        """What will be sent for a conversation or a text. Raises `UpstreamError` for what cannot be."""
        plan = self.start(call, target)
        if plan.kind == "text":
            texts.prepare(plan)
            return plan
        if plan.asked == "text":
            texts.check(plan)
        plan.messages = messages.prepare(plan.messages, target.provider, claude=plan.claude)
        plan.wanted = plan.params
        plan.params, plan.own = standins.split(plan.params, direct=target.provider in parameters.OPENAI_LENGTHS)
        name = plan.name = self.name(plan, target)
        prepared = self.kept.get(name)
        if prepared is None:
            prepared = await self._prepared(plan, target)
            if name is not None:
                self.kept.put(name, prepared, prepared.weight)
        plan.arguments = {**prepared.arguments, **{name: plan.params[name] for name in prepared.said}}
        plan.params = {}
        plan.forced = set(prepared.forced)
        plan.dropped.update(prepared.dropped)
        if prepared.lead:
            plan.messages = [*prepared.lead, *plan.messages]
        return plan

    def name(self, plan: Plan, target: Target) -> bytes | None:
        """By what a preparation is kept; None for parameters that are no JSON."""
        prefix = credentials.named(target)
        called = any("tool_calls" in message for message in plan.messages)
        parts = [
            target.provider,
            prefix,
            plan.params,
            plan.stream,
            plan.asked,
            sorted(plan.demanded),
            called,
            plan.strict,
        ]
        try:
            said = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return None
        return hashlib.blake2b(said, digest_size=16).digest()

    async def _prepared(self, plan: Plan, target: Target) -> Prepared:
        litellm = await self._engine.loaded()
        prefix, model = credentials.named(target)
        trial = replace(plan, params=dict(plan.params), messages=list(plan.messages), dropped={})
        try:
            parameters.prepare(trial, lambda name, value: self._accepts(litellm, prefix, model, name, value))
        finally:
            plan.dropped.update(trial.dropped)
        lead = trial.messages[: len(trial.messages) - len(plan.messages)]
        return Prepared(trial.arguments, frozenset(trial.forced), trial.dropped, tuple(lead))

    def _accepts(self, litellm: Any, prefix: str, model: str, name: str, value: Json) -> bool:
        """Whether LiteLLM would send this parameter to the model; it says so by raising."""
        key = (prefix, model, name, repr(value)[:LONGEST])
        if key not in self._accepted:
            try:
                litellm.utils.get_optional_params(
                    model=model, custom_llm_provider=prefix, drop_params=False, **{name: value}
                )
                accepted = True
            except litellm.UnsupportedParamsError:
                accepted = False
            keep(self._accepted, key, accepted)
        return self._accepted[key]


def _params(configured: Mapping[str, Json], asked: Mapping[str, Json]) -> dict[str, Json]:
    """A request's parameters over the configured ones. A length has two names, and the request's counts by either."""
    if not LENGTHS.isdisjoint(asked):
        configured = {name: value for name, value in configured.items() if name not in LENGTHS}
    return {**configured, **asked}


def keep(kept: dict[Any, Any], name: Any, value: Any, most: int = KEPT) -> None:
    """Keep a value; the oldest make room for it."""
    while len(kept) >= most:
        del kept[next(iter(kept))]
    kept[name] = value
