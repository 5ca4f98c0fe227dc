"""Samples: `n` answers, or the best of several, from every provider, whether or not it can give several at a time.

A provider that takes `n` is asked once. For any other, and for a model that turns out not to take it, `n` calls of one
answer each run side by side and are told as one: chunks as they arrive, each with its answer's index, then one
`Completion` with the choices in order and the sum of what all of them used and cost. What a provider leaves short is
made up for in the same way, so a client always gets as many answers as it asked for.

`best_of` is a completion model's own; elsewhere the answers are asked for with their log probabilities and chosen here.

Several texts to complete are a call of this kind each, side by side and told as one in the same way: the answers to the
first come first. A completion model would take the list as it is, but no chat model does, and one way is enough.

What must stay true: the first call that fails ends all, and whoever closes the merged stream closes every call at once,
without waiting for any; nothing is awaited on the way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from proxy.errors import BadRequest, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, Event, Json, Usage
from proxy.protocols import Provider
from proxy.target import Target
from proxy.vendors import VENDORS, asked

MOST = 128
"""Answers that one request may ask for, as with OpenAI."""

BY = "mean log probability per token"

Arrived = asyncio.Queue[tuple[int, Event | Exception | None]]
"""What the calls have told: an event of one of them, or how it ended."""

_running: set[asyncio.Task[None]] = set()
"""Calls under way: the event loop alone would not keep them."""


def sampled(provider: Provider, call: Call, target: Target) -> AsyncGenerator[Event, None]:
    """One call to `target` with as many answers as the request asks for.

    Raises `BadRequest` when it asks for what cannot be given, and whatever the provider raises.
    """
    params = {**target.params, **call.request.params}
    if call.request.kind == "text" and len(call.request.messages or ()) > 1:
        return _prompts(provider, call, target, params)
    if call.request.kind == "embedding" or params.keys().isdisjoint({"n", "best_of"}):
        return provider.complete(call, target)
    n, best_of = _number(params, "n"), _number(params, "best_of")
    target = replace(target, params={})
    if best_of not in (1, n):
        if call.request.stream:
            raise BadRequest(
                "best_of: the best answer cannot be streamed; leave out best_of or stream", param="best_of"
            )
        if best_of < n:
            raise BadRequest("best_of: should not be less than n", param="best_of")
        return _best(provider, _asking(call, params), target, n, best_of)
    params.pop("best_of", None)
    call = _asking(call, params)
    return provider.complete(call, target) if n == 1 else _several(provider, call, target, n)


def _number(params: Mapping[str, Json], name: str) -> int:
    value = params.get(name)
    if value is None:
        return 1
    if type(value) is not int or not 1 <= value <= MOST:
        raise BadRequest(f"{name}: should be a whole number from 1 to {MOST}", param=name)
    return value


def _asking(call: Call, params: Mapping[str, Json], *demanded: str) -> Call:
    """The call with other parameters, of which those `demanded` must not be left out."""
    request = replace(call.request, params=dict(params))
    return replace(call, request=request, demanded=call.demanded.union(demanded))


def _prompts(provider: Provider, call: Call, target: Target, params: Mapping[str, Json]) -> AsyncGenerator[Event, None]:
    """The answers to several texts to complete: a sampled call for each."""
    prompts = call.request.messages or []
    n, best_of = _number(params, "n"), _number(params, "best_of")
    if len(prompts) * max(n, best_of) > MOST:
        message = f"prompt: one request may ask for {MOST} answers, of all prompts together: send fewer prompts"
        raise BadRequest(message, param="prompt")
    # What is noted of each apart is not the whole call's; all else (`dropped`) is, and is noted there at once.
    calls = [replace(call, request=replace(call.request, messages=[prompt]), remarks={}) for prompt in prompts]
    return _joined(call, calls, [sampled(provider, alone, target) for alone in calls], n, target.provider)


async def _joined(
    call: Call, calls: Sequence[Call], sources: Sequence[AsyncGenerator[Event, None]], n: int, provider: str
) -> AsyncGenerator[Event, None]:
    """The events of all `sources` as those of `call`. Each has the next `n` indices, which clients count on."""
    answers: dict[int, Completion] = {}
    async with aclosing(merged(dict(enumerate(sources)), provider)) as arriving:
        async for place, event in arriving:
            if isinstance(event, Completion):
                kept = [choice for choice in event.choices if choice.index < n]
                if len(kept) < n:
                    message = f"{provider} gave {len(kept)} answers of the {n} that were asked for"
                    raise UpstreamError(message, code="bad_answer", provider=provider)
                moved = [replace(choice, index=place * n + choice.index) for choice in kept]
                answers[place] = replace(event, choices=moved)
            elif event.index < n:
                yield replace(event, index=place * n + event.index)
    chosen = [alone.remarks["best_of"] for alone in calls if "best_of" in alone.remarks]
    if chosen:
        # Of each prompt its own list, in the order of the prompts.
        call.remarks["best_of"] = {**chosen[0], "chosen": [one["chosen"] for one in chosen]}
    yield summed([answers[place] for place in range(len(sources))])


async def _several(provider: Provider, call: Call, target: Target, n: int) -> AsyncGenerator[Event, None]:
    """`n` answers: from one call where the provider takes `n`, and what is then missing from calls of their own."""
    answers: list[Completion] = []
    if VENDORS[target.provider].samples:
        try:
            async with aclosing(provider.complete(_asking(call, call.request.params, "n"), target)) as events:
                async for event in events:
                    if isinstance(event, Chunk):
                        yield event
                    else:
                        answers.append(event)
        except UpstreamError as error:
            # A provider that may not leave `n` out has refused before it sent anything.
            if not _refused(call, error, "n"):
                raise
    given = {choice.index for answer in answers for choice in answer.choices}
    missing = [index for index in range(n) if index not in given]
    alone = _asking(call, {name: value for name, value in call.request.params.items() if name not in ("n", "best_of")})
    calls = {index: provider.complete(alone, target) for index in missing}
    async with aclosing(merged(calls, target.provider)) as arriving:
        async for index, event in arriving:
            if isinstance(event, Completion):
                answers.append(_placed(event, index))
            elif event.index == 0:
                yield replace(event, index=index)
    yield summed(answers)


async def _best(provider: Provider, call: Call, target: Target, n: int, best_of: int) -> AsyncGenerator[Event, None]:
    """The `n` best of `best_of` answers: a completion model's own choice, else the gateway's."""
    if asked(target, call.request.kind) == "text" and VENDORS[target.provider].samples:
        try:
            chosen = await _last(provider.complete(_asking(call, call.request.params, "best_of", "n"), target))
            if len(chosen.choices) < n:
                message = f"{target.provider} gave {len(chosen.choices)} answers of the {n} that were asked for"
                raise UpstreamError(message, code="bad_answer", provider=target.provider)
            yield chosen
            return
        except UpstreamError as error:
            if not _refused(call, error, "best_of"):
                raise
    unrated = BadRequest(
        f"best_of: {target.provider} gives no log probabilities, so the best answer cannot be chosen", param="best_of"
    )
    if not VENDORS[target.provider].logprobs:
        raise unrated
    params = {name: value for name, value in call.request.params.items() if name != "best_of"}
    told = params.get("logprobs") is not None and params["logprobs"] is not False
    if not told:
        params["logprobs"] = True
        params.pop("top_logprobs", None)
    try:
        candidates = _asking(call, {**params, "n": best_of}, "logprobs")
        completion = await _last(_several(provider, candidates, target, best_of))
    except UpstreamError as error:
        if not _refused(call, error, "logprobs"):
            raise
        raise unrated from None
    best = ranked(completion.choices)
    if best is None:
        raise unrated
    call.remarks["best_of"] = {"of": best_of, "chosen": [choice.index for choice in best[:n]], "by": BY}
    choices = [replace(choice, index=index) for index, choice in enumerate(best[:n])]
    yield replace(completion, choices=choices if told else [replace(choice, logprobs=None) for choice in choices])


async def _last(events: AsyncGenerator[Event, None]) -> Completion:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return event
    raise RuntimeError("a provider ended without a Completion")


def ranked(choices: Sequence[Choice]) -> list[Choice] | None:
    """The choices, best first and equal ones in order; None where there are no probabilities to tell by."""
    rated = [(rate(choice), choice) for choice in sorted(choices, key=lambda choice: choice.index)]
    known = [(value, choice) for value, choice in rated if value is not None]
    if len(known) < len(rated):
        return None
    return [choice for _, choice in sorted(known, key=lambda pair: -pair[0])]


def rate(choice: Choice) -> float | None:
    """The mean log probability of an answer's tokens: the least there is for one that says nothing, and None where the
    provider tells none.
    """
    found = choice.logprobs if isinstance(choice.logprobs, Mapping) else {}
    listed = found.get("content") or found.get("refusal")
    values = (
        [entry.get("logprob") for entry in listed if isinstance(entry, Mapping)]
        if listed
        else found.get("token_logprobs") or []
    )
    numbers = [value for value in values if isinstance(value, int | float)]
    if numbers:
        return sum(numbers) / len(numbers)
    return None if choice.text or choice.tool_calls or choice.extra else float("-inf")


def _refused(call: Call, error: UpstreamError, name: str) -> bool:
    """Whether a call was not made because the model does not take a parameter; forgets that this was noted."""
    return error.code == "unsupported_parameter" and call.dropped.pop(name, None) is not None


def _placed(answer: Completion, index: int) -> Completion:
    """An answer of a call that asked for one, as the one with this index."""
    if not answer.choices:
        raise UpstreamError(f"{answer.provider} gave no answer", code="bad_answer", provider=answer.provider)
    return replace(answer, choices=[replace(answer.choices[0], index=index)])


def summed(answers: Sequence[Completion]) -> Completion:
    """Several completions as one: the choices by index, and the sum of tokens and costs, each prompt paid anew."""
    first = answers[0]
    if len(answers) == 1:
        return first
    costs = [answer.cost for answer in answers if answer.cost is not None]
    usages = [answer.usage for answer in answers]
    return replace(
        first,
        choices=sorted((choice for answer in answers for choice in answer.choices), key=lambda choice: choice.index),
        usage=Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
            estimated=any(usage.estimated for usage in usages),
            cached_tokens=sum(usage.cached_tokens for usage in usages),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        ),
        cost=sum(costs) if len(costs) == len(answers) else None,
    )


async def merged(
    sources: Mapping[int, AsyncGenerator[Event, None]], provider: str
) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all `sources`, each with its source's key, as they arrive."""
    arrived: Arrived = asyncio.Queue()
    broken = UpstreamError("the call was broken off by the gateway", code="unavailable", provider=provider)
    tasks = [asyncio.create_task(_follow(key, source, arrived, broken)) for key, source in sources.items()]
    for task in tasks:
        _running.add(task)
        task.add_done_callback(_running.discard)
    try:
        left = len(tasks)
        while left:
            key, event = await arrived.get()
            if event is None:
                left -= 1
            elif isinstance(event, Exception):
                raise event
            else:
                yield key, event
    finally:
        for task in tasks:
            task.cancel()


async def _follow(key: int, source: AsyncGenerator[Event, None], arrived: Arrived, broken: Exception) -> None:
    """Hand on what `source` yields and how it ends. Every ending is told, or whoever waits would wait for ever."""
    ending: Exception | None = broken
    try:
        async with aclosing(source) as events:
            async for event in events:
                arrived.put_nowait((key, event))
        ending = None
    except Exception as error:
        ending = error
    finally:
        arrived.put_nowait((key, ending))
