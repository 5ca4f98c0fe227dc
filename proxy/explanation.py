"""What would become of a request, without calling anybody: who is asked in which order with what, and why.

    decode -> the same steps as a call's -> groups, targets, their health -> what each would be sent -> cache, log

What must stay true: a request is explained by the code that would carry it out; nothing is called, counted, cached or
logged; no key is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from proxy.caller import Caller
from proxy.config import Config
from proxy.errors import BadRequest, GatewayError, NotFound
from proxy.http.guard import check_expiry
from proxy.middleware.admit import Admission
from proxy.middleware.balance import Balance
from proxy.middleware.fingerprint import fingerprint
from proxy.middleware.names import Names
from proxy.models import Call, Json, LogPolicy
from proxy.overview import KINDS, address
from proxy.protocols import CacheStore, Dialect, Operation, Provider, Step
from proxy.target import Group, Target

SIGNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("/api/parea/v1/completion", frozenset({"llm_configuration"})),
    ("/api/parea/v1/completion", frozenset({"llm_inputs"})),
    ("/api/parea/v1/completion", frozenset({"deployment_id"})),
    ("/v4/chat", frozenset({"model_config", "messages"})),
    ("/v4/completion", frozenset({"model_config"})),
    ("/v4/chat-deployed", frozenset({"project", "messages"})),
    ("/v4/completion-deployed", frozenset({"project"})),
    ("/v4/completion-deployed", frozenset({"project_id"})),
    ("/v1/responses", frozenset({"input", "model"})),
    ("/v1/chat/completions", frozenset({"messages"})),
    ("/v1/completions", frozenset({"prompt"})),
)
"""A path by the fields that bodies sent there have; the first that fits."""


@dataclass(slots=True, frozen=True)
class Explainer:
    """Explains the requests of one configuration.

    `operations` are by path; `steps` are those that a call goes through; `providers` are by the target's provider name,
    `""` for all others; `secret` is what the cache's keys are made with; `admission` is there if there are keys.
    """

    config: Config
    operations: Mapping[str, Operation]
    steps: Sequence[Step]
    names: Names
    balance: Balance
    providers: Mapping[str, Provider]
    store: CacheStore
    secret: bytes
    admission: Admission | None = None

    async def explain(
        self, body: bytes, headers: Mapping[bytes, bytes], *, path: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        """What would become of a request with this body at `path`; without one the body tells. `key` names a key of the
        config's that it would come with. What the gateway would refuse is told under `refused`.

        Raises `NotFound` for a path or a key that there is not, and `BadRequest` where none can be told.
        """
        path = path or guessed(body, self.operations)
        operation = self.operations.get(path)
        if operation is None:
            known = ", ".join(sorted(self.operations))
            raise NotFound(f"no completions are served at this path (they are at: {known})", param="path")
        caller = self._caller(key)
        dialect: Dialect = operation.dialect
        told: dict[str, Json] = {"dialect": dialect.name, "path": path, "key": caller.name if caller else None}
        try:
            if caller is not None:
                check_expiry(caller)
            call = dialect.decode(body, headers)
        except GatewayError as error:
            return {**told, "refused": _refusal(error, dialect)}
        call.caller = caller
        call.request.stream = call.request.stream or operation.stream
        asked = {name: getattr(call.request, name) for name in ("model", "provider", "deployment_id", "environment")}
        own = call.request.policy
        try:
            for step in self.steps:
                step(call)
        except GatewayError as error:
            return {**told, "asked": asked, "refused": _refusal(error, dialect, call)}
        return {
            **told,
            "stream": call.request.stream,
            "asked": asked,
            **self._resolved(call),
            "groups": [await self._group(call, group, index) for index, group in enumerate(call.groups)],
            "fallbacks": self._fallbacks(call),
            "cache": await self._cached(call),
            "log": self._logged(call, own),
            "refused": self._forbidden(call, dialect),
        }

    def _caller(self, key: str | None) -> Caller | None:
        if key is None:
            return None
        found = next((one for one in self.config.keys.values() if one.name == key), None)
        if found is None:
            known = ", ".join(sorted(one.name for one in self.config.keys.values())) or "none"
            raise NotFound(f"no such key in the config (there are: {known})", param="key")
        return found

    def _resolved(self, call: Call) -> dict[str, Json]:
        """What the steps made of the request."""
        request, place = call.request, call.request.trace
        deployed = {"id": request.deployment_id, "version": call.deployment_version, **call.remarks}
        return {
            "deployment": deployed if request.deployment_id is not None else None,
            "project": {"name": place.project_name, "id": place.project_uuid},
            "model": request.model,
            "messages": [*request.history, *(request.messages or ()), *request.turns],
            "unfilled": list(call.unfilled),
            "parameters": dict(request.params),
        }

    async def _group(self, call: Call, group: Group, index: int) -> dict[str, Json]:
        """One model name: its targets in the order in which they would be asked, as far as it is not drawn."""
        targets = sorted(group.targets, key=lambda target: target.order)
        return {
            "name": group.name,
            "why": "a fallback that the request names" if index else self.names.why(group.name, call.request.provider),
            "strategy": group.strategy,
            "num_retries": group.num_retries,
            "timeout": call.request.timeout or group.timeout,
            "first_token_timeout": group.first_token_timeout if call.request.stream else None,
            "idle_timeout": group.idle_timeout if call.request.stream else None,
            "targets": [await self._target(call, group, target) for target in targets],
        }

    async def _target(self, call: Call, group: Group, target: Target) -> dict[str, Json]:
        """One target: its health, its share, and what it would be sent."""
        alone = replace(call, dropped={}, remarks=dict(call.remarks))
        sent: Json = None
        refused: Json = None
        provider = self.providers.get(target.provider) or self.providers[""]
        try:
            sent = await provider.explain(alone, target)
        except GatewayError as error:
            refused = _refusal(error)
        whole = sum(one.weight for one in group.targets if one.order == target.order)
        drawn = group.strategy == "weighted" and whole > 0
        return {
            "target": target.label,
            "provider": target.provider,
            "model": target.model,
            "api_base": address(target.api_base),
            "order": target.order,
            "share": target.weight / whole if drawn else None,
            "state": self.balance.reason(target) or "ready",
            "wait": round(self.balance.wait([target]), 3),
            "sent": sent,
            "dropped": dict(alone.dropped),
            "refused": refused,
        }

    def _fallbacks(self, call: Call) -> dict[str, Json]:
        """The names that are asked after the asked one has failed, by the kind of failure."""
        router, name = self.config.router, call.groups[0].name
        return {kind: list(getattr(router, kind).get(name, getattr(router, kind).get("*", ()))) for kind in KINDS}

    async def _cached(self, call: Call) -> dict[str, Json]:
        """Whether the cache would be asked, under which key, and whether it has the answer now."""
        key = fingerprint(call, self.secret)
        if not call.request.cache:
            why, found = "the request does not ask for the cache (cache: true)", None
        elif key is None:
            why, found = "the request cannot be written as JSON", None
        else:
            found = await self.store.get(key) is not None
            why = "an equal call was answered before" if found else "no equal call was answered yet"
        return {
            "asked": call.request.cache,
            "key": key.hex() if key else None,
            "found": found,
            "kept": call.request.cache and not call.request.policy.omits,
            "why": why,
        }

    def _logged(self, call: Call, own: LogPolicy) -> dict[str, Json]:
        """What of the call would be written down, and who says so."""
        caller, config, holds = call.caller, self.config.log, call.request.policy
        why = []
        if own.omits or own.rate < 1:
            why.append("the request")
        if config.omit != "none" or config.sample_rate < 1:
            why.append("log in the config")
        if caller is not None and not (caller.inputs and caller.outputs and caller.sample_rate == 1):
            why.append(f"the key {caller.name!r}")
        rate = min(holds.rate, config.sample_rate)
        limited = f"narrowed by {', '.join(why)}" if why else "nothing forbids any of it"
        return {
            "inputs": holds.inputs,
            "outputs": holds.outputs,
            "sample_rate": rate,
            "redact": config.redacted,
            "why": limited,
        }

    def _forbidden(self, call: Call, dialect: Dialect) -> Json:
        """Why the key may not make this call now, if it may not."""
        try:
            if self.admission is not None:
                self.admission.check(call)
        except GatewayError as error:
            return _refusal(error, dialect, call)
        return None


def guessed(body: bytes, operations: Mapping[str, Operation]) -> str:
    """The path that a body was written for. Raises `BadRequest` where it does not tell."""
    try:
        fields: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if isinstance(fields, dict):
        for path, signs in SIGNS:
            if path in operations and signs <= fields.keys():
                return path
    raise BadRequest("the path that this body is sent to cannot be told from it: give it", param="path")


def _refusal(error: GatewayError, dialect: Dialect | None = None, call: Call | None = None) -> dict[str, Json]:
    """A refusal, with the status that callers of `dialect` get."""
    stream = call is not None and call.request.stream
    return {
        "status": dialect.encode_error(call, error, stream=stream).status if dialect else error.status,
        "code": error.code,
        "message": error.message,
        "param": getattr(error, "param", None),
    }
