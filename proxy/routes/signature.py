"""The signature: what a key that may not see the log may write into it.

Such a key logs what it did itself: its rows bear its name and are of its project, whatever they say of that. What must
stay true: a row that is there and does not bear its name is neither changed by it nor told to it, and what the key
omits is omitted of what it logs, too. Here it is told what is wrong; the log itself looks again when it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from proxy.caller import Caller
from proxy.config import Config
from proxy.config.project import ids_of
from proxy.errors import Forbidden, NotFound
from proxy.middleware.omit import omit_fields
from proxy.models import LogPolicy
from proxy.protocols import TraceLog
from proxy.record import Record

OF_A_PROJECT = ("project_name", "project_uuid")


def caller_of(request: Request) -> Caller | None:
    """Whose key a request came with; None is the master's, or nobody's where no keys are asked for."""
    caller: Caller | None = request.scope.get("caller")
    return caller


def owner_of(request: Request) -> str | None:
    """Whose rows alone a request may change; None is everybody's."""
    caller = caller_of(request)
    return caller.name if caller is not None and not caller.log else None


@dataclass(slots=True, frozen=True)
class Signature:
    """Signs what is logged with the key that it came with."""

    config: Config
    log: TraceLog

    async def sign(self, caller: Caller | None, record: Record) -> Record:
        """`record` as `caller` may write it. Raises `Forbidden` where its id is another's."""
        if caller is None:
            return record
        record.policy = record.policy.narrowed(LogPolicy(caller.inputs, caller.outputs))
        record.sample_rate = min(record.sample_rate, caller.sample_rate)
        if caller.log:
            return record
        there = await self.log.get(record.trace_id)
        if there is not None and there.key != caller.name:
            raise Forbidden(f"the key {caller.name!r} may not change this log: it is not its own", param="trace_id")
        record.key, record.signed = caller.name, True
        if caller.project is not None:
            self._place(record, caller.project)
        return record

    async def edit(self, caller: Caller | None, trace_id: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of an edit `caller` may make. Raises `NotFound` for a row that it does not have."""
        if caller is None:
            return fields
        fields = omit_fields(fields, LogPolicy(caller.inputs, caller.outputs))
        if caller.log:
            return fields
        if not await self.owns(caller, trace_id):
            raise NotFound(f"trace_id: the key {caller.name!r} has no log with this id", param="trace_id")
        own = caller.project is not None
        return {name: value for name, value in fields.items() if not (own and name in OF_A_PROJECT)}

    async def owns(self, caller: Caller | None, trace_id: str) -> bool:
        """Whether `caller` may know of a row, which is there."""
        if caller is None or caller.log:
            return True
        there = await self.log.get(trace_id)
        return there is not None and there.key == caller.name

    def _place(self, record: Record, project: str) -> None:
        """Put a record into a project, which has one name and several ids."""
        configured = self.config.projects.get(project)
        ids = {*ids_of(project), *([configured.id] if configured else [])}
        if record.project_name != project or record.project_uuid not in ids:
            record.project_uuid = configured.id if configured else None
        record.project_name = project
