"""The route: which target is called, how long it may take, and whether it is asked again.

All of it happens before the first event has gone out; after that an answer is the provider's to finish or to break.
The deadline covers every attempt and every wait between them. Retries are the gateway's own: providers are told to
make none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from proxy.errors import UpstreamError
from proxy.middleware.deadline import Deadline
from proxy.middleware.samples import sampled
from proxy.models import Call, Event
from proxy.protocols import Handler, Provider
from proxy.target import Target

RETRIES_ON_REQUEST = 2
"""How often a request that asks for `retry` is repeated when the configuration says nothing."""


def route(providers: Mapping[str, Provider], *, timeout: float, num_retries: int = 0, backoff: float = 0.5) -> Handler:
    """The innermost handler: asks the call's targets in order.

    `providers` is by the target's provider name, with `""` for all that have none of their own. `timeout` (seconds)
    is the whole call's, where the target has none and the request asks for no less; `backoff` is the wait before the
    first repetition, doubled for each further one and jittered, unless the provider said when to come back.
    """

    async def handler(call: Call) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        retries = max(num_retries, RETRIES_ON_REQUEST if call.request.retry else 0)
        started = loop.time()
        limits = [target.timeout or timeout for target in call.targets]
        if call.request.timeout is not None:
            limits.append(call.request.timeout)
        limit = Deadline(started + min(limits))
        failure: UpstreamError | None = None
        try:
            for target in call.targets:
                provider = providers.get(target.provider) or providers[""]
                call.asked = call.asked or time.perf_counter()
                for attempt in range(retries + 1):
                    if failure is not None and not await _pause(failure, attempt, backoff, limit.when):
                        raise failure
                    begun = False
                    try:
                        async with aclosing(sampled(provider, call, target)) as events:
                            while (event := await limit.next(events)) is not None:
                                begun = True
                                yield event
                        return
                    except (UpstreamError, TimeoutError) as error:
                        failure = _failure(error, target)
                        if begun:
                            raise failure from None
                        if not failure.retryable:
                            break
            assert failure is not None, "resolve gives every call a target"
            raise failure
        finally:
            limit.close()

    return handler


def _failure(error: UpstreamError | TimeoutError, target: Target) -> UpstreamError:
    if isinstance(error, UpstreamError):
        return error
    message = f"{target.provider} did not finish within the time limit"
    return UpstreamError(message, code="timeout", provider=target.provider)


async def _pause(failure: UpstreamError, attempt: int, backoff: float, deadline: float) -> bool:
    """Wait before the next attempt; False when that would miss the deadline. The next target is asked at once."""
    if attempt == 0:
        return True
    wait = (
        failure.retry_after
        if failure.retry_after is not None
        else backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1)
    )
    if asyncio.get_running_loop().time() + wait >= deadline:
        return False
    await asyncio.sleep(wait)
    return True
