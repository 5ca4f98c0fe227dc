"""Calls all twelve providers of the vendor table through LiteLLM. The only file that imports it.

What must stay true:

* LiteLLM is imported by `start`, in slices beside the requests (`loader.py`), never at the head of a module.
* It gets an explicit key, no retries, and only arguments that were chosen here.
* A consumer that leaves closes the upstream connection at once: nothing is awaited on the way out, a task closes the
  stream.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import httpx

from proxy.errors import NotReady
from proxy.loader import load
from proxy.models import Call, Completion, Event, Json, Target
from proxy.providers import (
    answers,
    clients,
    corrections,
    credentials,
    embeddings,
    failures,
    messages,
    modules,
    names,
    parameters,
    prices,
    silence,
    texts,
)
from proxy.providers import usage as usages
from proxy.providers.transport import SyncGuard, begin, guarded

ENVIRONMENT = {
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # the guard stands in the aiohttp transport
    "DISABLE_AIOHTTP_TRANSPORT": "False",
    "LITELLM_HTTP2": "False",
}
"""What LiteLLM reads while it is imported: no network, no `.env` files, no debug log."""

BREATH = 20
"""Chunks after which the other tasks get a turn: what is already buffered arrives without any."""

REMEMBERED = 4096
"""Answers kept about which model takes which parameter."""

LONGEST_VALUE = 200
"""Characters of a value by which such an answer is remembered."""


class LiteLLM:
    """A `Provider` for every vendor but `echo`. `start` it on the event loop; calls wait until it is loaded."""

    def __init__(self, *, strict_params: bool = False, max_response: int = 64 * 2**20, timeout: float = 600.0) -> None:
        self._strict = strict_params
        self._limit = max_response
        self._timeout = timeout
        self._loading: asyncio.Task[Any] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._accepted: dict[tuple[str, str, str, str], bool] = {}

    def start(self) -> asyncio.Task[Any]:
        """Begin to load LiteLLM, if nobody has yet. The task's result is the module."""
        if self._loading is None:
            self._loading = asyncio.create_task(_import(), name="import litellm")
        return self._loading

    async def ready(self) -> str | None:
        if self._loading is None:
            return "LiteLLM is not loaded: nobody has started it"
        if not self._loading.done():
            return "LiteLLM is being loaded"
        return _failure(self._loading)

    async def close(self) -> None:
        if self._loading is None:
            return
        self._loading.cancel()
        await asyncio.gather(*self._closing, self._loading, return_exceptions=True)
        if not self._loading.cancelled() and self._loading.exception() is None:
            await clients.close(self._loading.result())

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        litellm = await self._loaded()
        exchange, reader = begin(self._limit, target.settings.get("organization")), answers.Reader(target.provider)
        stream: Any = None
        try:
            routed = names.route(target)
            names.check(routed)
            if call.request.kind == "embedding":
                yield await self._embedded(litellm, call, routed, target)
                return
            plan = self._plan(litellm, call, routed)
            answer = await self._ask(litellm, plan, routed)
            if plan.stream:
                stream, parts = answer, 0
                async for part in stream:
                    for chunk in reader.read(part):
                        yield chunk
                    parts += 1
                    if parts % BREATH == 0:
                        await asyncio.sleep(0)
                counted = reader.usage if usages.counted(stream.chunks) else None
                received = stream.received_finish_reason or stream.intermittent_finish_reason
                choices = reader.finish(received, counted=counted is not None)
                stream = None
                model, fingerprint = reader.model, reader.fingerprint
            else:
                choices, counted = answers.whole(answer, target.provider), getattr(answer, "usage", None)
                model, fingerprint = answers.model(answer), answers.fingerprint(answer)
            usage = usages.tokens(counted) or usages.estimate(plan.messages, choices)
            cost = prices.cost(routed, counted, usage, model, litellm.cost_per_token)
            yield Completion(choices, usage, target.model, target.provider, cost=cost, system_fingerprint=fingerprint)
        except Exception as error:
            secrets = credentials.secrets(target)
            raise failures.translate(error, target.provider, exchange, secrets, began=reader.began) from None
        finally:
            if stream is not None:
                self._abandon(stream)

    async def _embedded(self, litellm: Any, call: Call, routed: Target, target: Target) -> Completion:
        """The vectors of a call for them, which comes in one piece however it was asked for."""
        plan = self._start(call, routed)
        embeddings.prepare(plan)
        if clients.reaches(routed):
            send = embeddings.posted(self._client(litellm, routed), plan)
        else:
            place = credentials.embedding(routed)
            send = partial(litellm.aembedding, **plan.arguments, **place, **self._common(routed))
        vectors, counted, model = await embeddings.ask(send, plan)
        usage = usages.tokens(counted) or usages.estimate(plan.messages, [])
        cost = prices.cost(routed, counted, usage, model, litellm.cost_per_token)
        return Completion([], usage, target.model, target.provider, cost=cost, embeddings=vectors)

    async def _ask(self, litellm: Any, plan: parameters.Plan, target: Target) -> Any:
        """The answer, or the stream of one: of a text from OpenAI's client, of a conversation from LiteLLM."""
        if plan.kind == "text":
            return await texts.ask(self._client(litellm, target), plan)
        prefix, model = credentials.named(target)
        known = plan.forced and litellm.get_supported_openai_params(model=model, custom_llm_provider=prefix)
        return await litellm.acompletion(
            **plan.arguments,
            **credentials.arguments(target),
            **self._common(target),
            messages=plan.messages,
            allowed_openai_params=sorted(plan.forced.difference(known or ())),
        )

    def _client(self, litellm: Any, target: Target) -> Any:
        return clients.client(litellm, target, target.timeout or self._timeout)

    def _common(self, target: Target) -> dict[str, Any]:
        """What every call of LiteLLM gets: the model's name, a limit, and no repetitions."""
        prefix, model = credentials.named(target)
        return {
            "model": f"{prefix}/{model}",
            "drop_params": True,
            "num_retries": 0,
            "max_retries": 0,
            "timeout": target.timeout or self._timeout,
        }

    async def _loaded(self) -> Any:
        """LiteLLM, once it is there. A caller that is cancelled leaves the load to the others."""
        loading = self.start()
        if not loading.done():
            await asyncio.wait({loading})
        reason = _failure(loading)
        if reason is not None:
            raise NotReady(reason)
        return loading.result()

    def _start(self, call: Call, target: Target) -> parameters.Plan:
        """A plan of which nothing has been chosen yet; what will not be sent is noted in the call."""
        return parameters.Plan(
            provider=target.provider,
            model=target.model,
            params={**target.params, **call.request.params},
            messages=[*call.request.history, *(call.request.messages or [])],
            stream=call.request.stream,
            strict=self._strict,
            demanded=call.demanded,
            asked=call.request.kind,
            kind=texts.kind(target, call.request.kind),
            dropped=call.dropped,
        )

    def _plan(self, litellm: Any, call: Call, target: Target) -> parameters.Plan:
        """What will be sent for a conversation or a text."""
        plan = self._start(call, target)
        if plan.kind == "text":
            texts.prepare(plan)
            return plan
        prefix, model = credentials.named(target)
        if plan.asked == "text":
            texts.check(plan)
        plan.messages = messages.prepare(plan.messages, target.provider, claude=plan.claude)
        parameters.prepare(plan, lambda name, value: self._accepts(litellm, prefix, model, name, value))
        return plan

    def _accepts(self, litellm: Any, prefix: str, model: str, name: str, value: Json) -> bool:
        """Whether LiteLLM would send this parameter to the model; it says so by raising."""
        key = (prefix, model, name, repr(value)[:LONGEST_VALUE])
        if key not in self._accepted:
            if len(self._accepted) >= REMEMBERED:
                self._accepted.clear()
            try:
                litellm.utils.get_optional_params(
                    model=model, custom_llm_provider=prefix, drop_params=False, **{name: value}
                )
                self._accepted[key] = True
            except litellm.UnsupportedParamsError:
                self._accepted[key] = False
        return self._accepted[key]

    def _abandon(self, stream: Any) -> None:
        """Close a stream that nobody reads any more, in a task of its own."""
        task = asyncio.create_task(stream.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _import() -> Any:
    """LiteLLM, ready for calls. What it is set up with belongs to the process: only the first import does it."""
    os.environ.update(ENVIRONMENT)
    first = "litellm" not in sys.modules
    litellm = await load("litellm", *modules.LATER)
    if first:
        _set_up(litellm)
    return litellm


def _set_up(litellm: Any) -> None:
    """Silent, without counting tokens or logging by itself, behind the guard, with its readings corrected."""
    from litellm.llms.cohere.common_utils import CohereV2ModelResponseIterator
    from litellm.llms.custom_httpx import aiohttp_transport
    from litellm.llms.custom_httpx.http_handler import get_ssl_configuration
    from litellm.llms.vertex_ai.gemini import vertex_and_google_ai_studio_gemini as gemini

    silence.install()
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.sync_transport = SyncGuard(verify=get_ssl_configuration())
    litellm.module_level_client.client = httpx.Client(transport=litellm.sync_transport)
    transport = aiohttp_transport.LiteLLMAiohttpTransport
    transport.handle_async_request = guarded(transport.handle_async_request)
    litellm.utils.get_token_counter_new = lambda: _no_count
    litellm.utils.dispatch_success_logging = litellm.utils.update_response_metadata = _nothing
    litellm.encoding = _NoTokens()
    litellm.main._get_encoding = _NoTokens
    litellm.CohereV2ChatConfig = corrections.cohere(litellm.CohereV2ChatConfig, CohereV2ModelResponseIterator)
    corrections.in_parts(litellm.Message, litellm.CustomStreamWrapper)
    gemini.ModelResponseIterator = corrections.gemini(gemini.ModelResponseIterator)


def _no_count(*_: Any, **__: Any) -> int:
    """In place of LiteLLM's token counter, whose tables take 110 MB and stall the loop to make up an unused usage."""
    return 0


class _NoTokens:
    """In place of LiteLLM's tokenizer, for the same reason: what it counts for vendors that count nothing is none."""

    def encode(self, *_: Any, **__: Any) -> tuple[int, ...]:
        return ()

    encode_ordinary = encode


def _nothing(*_: Any, **__: Any) -> None:
    """In place of LiteLLM's logging of a success to callbacks, of which there are none, and its own reckoning of the
    cost: a third of what a call costs the event loop's thread.
    """


def _failure(loading: asyncio.Task[Any]) -> str | None:
    """Why a finished load did not succeed."""
    if loading.cancelled():
        return "LiteLLM was not loaded: the gateway is shutting down"
    error = loading.exception()
    return None if error is None else f"LiteLLM cannot be imported: {type(error).__name__}: {error}"


provider = LiteLLM
