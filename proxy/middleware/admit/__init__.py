"""Admission: whether the key that a call came with may make it, and what is left to that key.

Before a call is resolved, `enroll` holds it to its key's API, project and log policy. After, `admit` looks at the
model, the budget and the limits. What must stay true:

* What a key has spent is read from the log, where it is counted before an answer leaves. So all its calls together cost
  no more than its budget and what those cost that were under way when it was reached, whatever the processes.
* What could not be counted is not begun: a key with a budget calls no model without a price, and nothing while the log
  cannot be written.
* A call that its caller left, or that broke off, is charged with an estimate: its prompt, and what had arrived.
* A call without a key passes, and costs a look at one field.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from proxy.board import Board
from proxy.caller import Caller
from proxy.config import Config
from proxy.config.deployment import find
from proxy.config.prices import UNPRICED, price, priced
from proxy.config.project import DEFAULT, ids_of
from proxy.config.router import RouterSettings
from proxy.errors import ConfigError, Forbidden
from proxy.estimate import expected, longest
from proxy.middleware.admit.allowance import Allowance
from proxy.middleware.names import Names
from proxy.middleware.resolve import DEPLOYMENT
from proxy.models import Call, Chunk, Event, LogPolicy
from proxy.protocols import Handler, Ledger, Middleware, Step, TraceLog
from proxy.target import Group, Target
from proxy.vendors import infer, named

logger = logging.getLogger(__name__)

REMEMBERED = 1000
"""Models whose answers came without a cost, which a price list had promised."""


def enroll(config: Config) -> Step:
    """A step that holds a call to its key's dialects, project and log policy. Raises `Forbidden`."""

    def step(call: Call) -> None:
        caller, request = call.caller, call.request
        if caller is None:
            return
        # First what the row must have in any case: it is written of a refusal, too.
        request.policy = request.policy.narrowed(LogPolicy(caller.inputs, caller.outputs, caller.sample_rate))
        wrong = _misplaced(config, caller.project, call) if caller.project is not None else None
        if caller.project is not None:
            configured = config.projects.get(caller.project)
            request.trace.project_name = caller.project
            request.trace.project_uuid = configured.id if configured else None
        if caller.dialects and request.dialect not in caller.dialects:
            raise Forbidden(f"the key {caller.name!r} may not use this API: it may use {', '.join(caller.dialects)}")
        if wrong is not None:
            raise Forbidden(f"calls of the key {caller.name!r} are of project {caller.project!r}", param=wrong)

    return step


def _misplaced(config: Config, project: str, call: Call) -> str | None:
    """The field by which a call names another project than `project`, which has one name and several ids."""
    place, configured = call.request.trace, config.projects.get(project)
    if place.project_name not in (None, DEFAULT, project):
        return "project_name"
    ids = {None, *ids_of(DEFAULT), *ids_of(project), configured.id if configured else None}
    return None if place.project_uuid in ids else "project_uuid"


def ledger(config: Config, log: TraceLog) -> Ledger | None:
    """Where spend is read, if any key has a budget. Raises `ConfigError` where it cannot be."""
    name = next((caller.name for caller in config.keys.values() if caller.budget is not None), None)
    if name is None:
        return None
    if not isinstance(log, Ledger):
        why = f"log.store: {config.log.store!r} does not count what keys spend; `sqlite` does"
        raise ConfigError(f"{config.name}: keys.{name}.budget cannot be kept: {why}")
    return log


class Admission:
    """What decides whether a call with a key may be made. Raises `ConfigError` where a budget could not be kept."""

    def __init__(
        self, config: Config, known: Names, log: TraceLog, board: Board, *, now: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._known = known
        self._board = board
        self._now = now
        self._ledger = ledger(config, log)
        self._unpriced = dict[str, None]()

    def check(self, call: Call) -> None:
        """Raises what `begin` would raise; nothing is taken."""
        if call.caller is not None:
            self._allowed(call, call.caller)
            self._allowance(call, call.caller).check()

    def begin(self, call: Call, caller: Caller) -> Allowance:
        """Take what a call needs of what its key may use. Raises a `RequestError` where it may not be made."""
        self._allowed(call, caller)
        allowance = self._allowance(call, caller)
        call.allowance = allowance.headers
        allowance.begin()
        return allowance

    def unpriced(self, target: Target) -> None:
        """What a call to `target` cost is not known, so there will be no other."""
        logger.warning("an answer of %s came without a cost: keys with a budget may not call it any more", target.label)
        self._unpriced[target.label] = None
        if len(self._unpriced) > REMEMBERED:
            del self._unpriced[next(iter(self._unpriced))]

    def _allowance(self, call: Call, caller: Caller) -> Allowance:
        tokens = _prompt(call) + longest(call.request)
        return Allowance(caller, self._board, self._ledger, tokens, self._now)

    def _allowed(self, call: Call, caller: Caller) -> None:
        request, config = call.request, self._config
        own = called(config, request.model or "", request.provider) + _deployed(config, call)
        for names in (own, *(called(config, name) for name in request.fallbacks)):
            if not caller.may_call(*names):
                may = ", ".join(caller.models)
                raise Forbidden(f"the key {caller.name!r} may not call this model: it may call {may}", param="model")
        for target in reachable(call.groups, self._known, config.router) if caller.budget else ():
            if target.label in self._unpriced or not priced(target):
                raise Forbidden(
                    f"the key {caller.name!r} has a budget, and what {target.label} costs is not known: {UNPRICED}",
                    param="model",
                )


def admit(admission: Admission) -> Middleware:
    """Surround a handler so that calls with a key are let through as far as `admission` lets them."""

    async def admitted(inner: Handler, call: Call, caller: Caller) -> AsyncGenerator[Event, None]:
        allowance = admission.begin(call, caller)
        used, said = 0, 0
        try:
            async with aclosing(inner(call)) as events:
                async for event in events:
                    if isinstance(event, Chunk):
                        said += _length(event)
                    else:
                        used = 0 if event.cache_hit else event.usage.total_tokens
                        allowance.charged(event)
                        if caller.budget and event.cost is None and not event.cache_hit:
                            admission.unpriced(call.current or call.targets[0])
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            used, call.estimated_cost = _broken_off(call, said)
            raise
        except Exception:
            if said:
                used, call.estimated_cost = _broken_off(call, said)
            raise
        finally:
            allowance.end(used)

    def middleware(inner: Handler) -> Handler:
        def handler(call: Call) -> AsyncGenerator[Event, None]:
            return inner(call) if call.caller is None else admitted(inner, call, call.caller)

        return handler

    return middleware


def reachable(groups: Iterable[Group], known: Names, router: RouterSettings) -> Iterator[Target]:
    """Every target that a call to `groups` may come to, by the config's fallbacks, too."""
    waiting, seen = list(groups), set[str]()
    while waiting:
        group = waiting.pop()
        if group.name in seen:
            continue
        seen.add(group.name)
        yield from group.targets
        for table in (router.fallbacks, router.context_window_fallbacks, router.content_policy_fallbacks):
            waiting += [known.group(name) for name in table.get(group.name, table.get("*", ()))]


def called(config: Config, model: str, provider: str | None = None) -> list[str]:
    """By which names a key may have a model. Of one that the config lists its name there is all that counts; any other
    goes by what was asked for, where that names no provider apart, and by `provider/model`.
    """
    if alias := config.router.aliases.get(model):
        return [model, alias]
    if _listed(config, model, provider):
        return [model]
    written = named(model)
    if provider is not None:
        own = written[1] if written is not None and written[0] == provider else model
        names = [f"{provider}/{own}"]
    else:
        provider, own = written or (infer(model) or "", model)
        names = [model, f"{provider}/{own}"]
    return [*names, own] if _listed(config, own, provider) else names


def _listed(config: Config, model: str, provider: str | None) -> bool:
    return any(provider in (None, target.provider) for target in config.models.get(model, ()))


def listed(config: Config, name: str) -> list[str]:
    """By which names a key may have what the lists of models call `name`."""
    if not name.startswith(DEPLOYMENT) or name in config.models:
        return called(config, name)
    versions, environment = find(config.versions, name.removeprefix(DEPLOYMENT))
    model = versions.heaviest(environment).model
    return [name, DEPLOYMENT + versions.id, *(called(config, model) if model else [])]


def _deployed(config: Config, call: Call) -> list[str]:
    """A deployment's own names, unless the request has put another model in its place."""
    request = call.request
    versions = config.versions.get(request.deployment_id or "")
    kept = versions.versions.values() if versions is not None else ()
    used = next((one for one in kept if one.config_id == call.config_id), None)
    if used is None or not used.model or (used.model, used.provider) != (request.model, request.provider):
        return []
    asked = (call.remarks.get("deployment") or {}).get("asked", used.id)
    return [DEPLOYMENT + used.id, DEPLOYMENT + asked]


def _length(chunk: Chunk) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in chunk.tool_calls) if chunk.tool_calls else 0
    return len(chunk.text) + len(chunk.reasoning) + calls


def _prompt(call: Call) -> int:
    """The tokens of what is sent, as far as they are known before it is."""
    request = call.request
    return expected([*request.history, *(request.messages or ()), *request.turns], request.params)


def _broken_off(call: Call, said: int) -> tuple[int, float | None]:
    """The tokens that a call has used of which there is no count, and their cost, None where nobody knows."""
    if call.asked is None or call.cache_status in ("hit", "shared"):
        return 0, None
    prompt, answer = _prompt(call), (said + 3) // 4
    paid = price(call.current or call.targets[0])
    return prompt + answer, None if paid is None else prompt * paid[0] + answer * paid[1]
