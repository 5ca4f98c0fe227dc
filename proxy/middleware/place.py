"""The place: where a call stands in the log, as far as only the log can tell.

A client that names a parent need not know the tree's root: it is the parent's. And an id that a client chose may have
been used before, by a retry or because it stands in a header of all its calls. Then the call gets a new id and hangs
under the first one that had it, so each call has a row of its own, with what it cost. Parea's clients are the
exception: they repeat a failed request with its id and mean one row, unless that is another key's.

What must stay true: calls that leave nothing open pass without a look at the log, and a log that cannot be read now
only costs the answer to the question.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from proxy.caller import Caller
from proxy.errors import GatewayError
from proxy.ids import new_id
from proxy.models import Call, Event, TraceContext
from proxy.protocols import Handler, Middleware, TraceLog
from proxy.record import Record


def place(log: TraceLog) -> Middleware:
    """Complete the place of each call from the rows of `log`. All handlers that the middleware is put around share the
    ids that are claimed.
    """
    claimed: set[str] = set()

    async def known(trace_id: str | None) -> Record | None:
        try:
            return await log.get(trace_id) if trace_id else None
        except GatewayError:
            return None

    async def settle(where: TraceContext, caller: Caller | None) -> str | None:
        """Fill in what is open; returns the id that this call claims while it runs."""
        if not where.rooted and (parent := await known(where.parent_trace_id)) is not None:
            where.root_trace_id = parent.root_trace_id
            where.session_id = where.session_id or parent.session_id
        if not where.claimed:
            first = await known(where.trace_id) if _may_be_anothers(where, caller) else None
            if first is not None and caller is not None and first.key != caller.name:
                _hang(where, first)
            return None
        # Nothing is awaited between the look and the claim: of calls at the same time one gets the id.
        taken = where.trace_id in claimed
        claimed.add(where.trace_id)
        first = await known(where.trace_id)
        if taken or first is not None:
            if not taken:
                claimed.discard(where.trace_id)
            _hang(where, first)
            return None
        return where.trace_id

    def middleware(inner: Handler) -> Handler:
        async def handler(call: Call) -> AsyncGenerator[Event, None]:
            own = await settle(call.request.trace, call.caller)
            try:
                async with aclosing(inner(call)) as events:
                    async for event in events:
                        yield event
            finally:
                if own is not None:
                    claimed.discard(own)

        def settled(call: Call) -> AsyncGenerator[Event, None]:
            where = call.request.trace
            closed = where.rooted and not (where.claimed or _may_be_anothers(where, call.caller))
            return inner(call) if closed else handler(call)

        return settled

    return middleware


def _may_be_anothers(where: TraceContext, caller: Caller | None) -> bool:
    return where.repeated and caller is not None and not caller.log


def _hang(where: TraceContext, first: Record | None) -> None:
    """Give a call whose id is taken a new one, under the call that has it unless it has a parent already."""
    taken, where.trace_id = where.trace_id, new_id()
    if where.parent_trace_id is None:
        where.parent_trace_id = taken
        where.root_trace_id = first.root_trace_id if first is not None else taken
