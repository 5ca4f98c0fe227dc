"""The joints, on one page: whoever reads it can write any part of the gateway.

A handler is an async generator: it yields what arrives as `Chunk`s and then one `Completion`. Middleware takes a
handler and returns one. Whoever iterates a handler holds it with `aclosing`, and no `finally` that cancellation can
reach awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import orjson
from pydantic import BaseModel

from proxy.errors import GatewayError, Unprocessable
from proxy.models import Call, Completion, Event, Json
from proxy.record import Record
from proxy.target import Target

Handler = Callable[[Call], AsyncGenerator[Event, None]]
Middleware = Callable[[Handler], Handler]
Step = Callable[[Call], None]
"""A plain function that completes or changes a call, or raises a `RequestError`."""

Processor = Callable[[Record], Record | None]
"""A step of a finished record on its way to the log; None drops it."""


@dataclass(slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


class Dialect(Protocol):
    """Pure translation between one API's bytes and the gateway's models. No I/O, no clock but the call's own."""

    name: str

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        """The call that a request asks for; `headers` are ASGI's, their names in lower case. Raises `Unprocessable`
        when the body does not fit the schema and `BadRequest` when it is no JSON.
        """
        ...

    def encode(self, call: Call, completion: Completion) -> Answer:
        """The whole answer."""
        ...

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        """The pieces of a streamed body that tell `event`; on a paced route each is sent by itself."""
        ...

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        """The answer for a failure before the first byte left; `call` is None when decoding failed."""
        ...

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        """What to send for a failure in mid-stream, before the connection is cut."""
        ...


def detailed(error: GatewayError) -> Answer:
    """A refusal in FastAPI's shape, `{"detail": ...}`, which most of these APIs have."""
    detail = error.detail if isinstance(error, Unprocessable) else error.message
    return Answer(error.status, orjson.dumps({"detail": detail}))


@dataclass(slots=True, frozen=True)
class Operation:
    """One completion route: `POST path`, translated by `dialect`. `stream` makes every answer a stream; `paced` is for
    clients that lose what they read together (see `pace.py`). `summary` and `schema` (a pydantic model of the body) are
    for the OpenAPI document.
    """

    path: str
    dialect: Dialect
    stream: bool = False
    paced: bool = False
    summary: str = ""
    schema: type[BaseModel] | None = None


@dataclass(slots=True, frozen=True)
class Surface:
    """What a dialect's file offers: routes, and how refusals look on every path under `prefixes`. `refuse` encodes any
    refusal that comes before or beside a dialect: a missing key, a body that is too large, a path that is not served.
    """

    prefixes: tuple[str, ...]
    operations: tuple[Operation, ...]
    refuse: Callable[[GatewayError], Answer]


Refuse = Callable[[str, GatewayError], Answer]
"""How a refusal looks on a path: in the words of the API that the path belongs to."""


def refusal(surfaces: Iterable[Surface]) -> Refuse:
    """Each path's own way to refuse: that of the surface with the longest prefix, FastAPI's everywhere else."""
    ways = [(prefix, surface.refuse) for surface in surfaces for prefix in surface.prefixes]
    ways.sort(key=lambda way: len(way[0]), reverse=True)

    def refuse(path: str, error: GatewayError) -> Answer:
        for prefix, way in ways:
            if path == prefix or path.startswith(f"{prefix}/"):
                return way(error)
        return detailed(error)

    return refuse


class Provider(Protocol):
    """Calls models. One provider object serves every target that names it."""

    def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        """One call to `target`; notes in `call.dropped` what could not be sent. Raises `UpstreamError`."""
        ...

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        """The parameters that a call to `target` would send, by OpenAI's names, without calling; notes in
        `call.dropped` what could not be sent. Raises `UpstreamError` for what would be refused.
        """
        ...

    async def warm(self, call: Call, target: Target) -> None:
        """Load all that such a call would wait for here, without calling. Raises for what the call itself would."""
        ...

    def start(self) -> object:
        """Begin to get ready for calls; returns at once, and calls that come before it is done wait."""
        ...

    async def ready(self) -> str | None:
        """None when calls can be made, else the reason why not yet."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


class CacheStore(Protocol):
    """Bytes by key, kept for a while. Every trouble is a miss: it never raises."""

    async def get(self, key: bytes) -> bytes | None: ...
    async def set(self, key: bytes, value: bytes) -> None: ...
    async def clear(self) -> int:
        """Drop every entry; returns how many there were."""
        ...

    async def stats(self) -> dict[str, Any]:
        """`entries`, `bytes`, `hits`, `misses`, `errors` as far as the store knows them."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, frozen=True)
class Filter:
    """One condition on a row; see `stores/log/search.py` for the fields and the operators."""

    field: str
    operator: str
    value: Any = None
    key: str | None = None


@dataclass(slots=True, frozen=True)
class TraceQuery:
    """A search of the log, in the words of Parea's `get_trace_logs`; see `stores/log/search.py` for the fields.

    `rows` says which: the tops of trees, every call at whatever depth, the sessions' own rows, or all. A session is of
    every project that one of its calls is of. With `project_id` rows also count that name their project by this id
    alone. All of `filters` must hold.
    """

    project_name: str | None = None
    filter_field: str | None = None
    filter_key: str | None = None
    filter_operator: str | None = None
    filter_value: Any = None
    time_range: str | None = None
    status: str | None = None
    page: int = 1
    page_size: int = 20
    rows: Literal["tops", "calls", "sessions", "all"] = "tops"
    filters: tuple[Filter, ...] = ()
    project_id: str | None = None


@dataclass(slots=True, frozen=True)
class TracePage:
    """One page of the rows that match, newest first; `total` counts all of them."""

    total: int
    roots: list[Record]


@dataclass(slots=True, frozen=True)
class ProjectUse:
    """A project as the log knows it: since when, when it was last used (None if never), and how many calls it has.

    One that rows name by an id alone, which is nobody's, has that for its name, too.
    """

    name: str
    created_at: str
    last_used: str | None
    calls: int
    uuid: str | None = None


@dataclass(slots=True, frozen=True)
class VersionUse:
    """What the rows that are kept say of one version of a deployment; `latency` is the median of what was not cached,
    in seconds, `score` the mean of all scores and `feedback` that of people's. None where there is nothing to say.
    """

    deployment_id: str
    version: str | None
    calls: int
    errors: int
    cost: float
    latency: float | None
    score: float | None
    feedback: float | None
    last_used: str | None


@runtime_checkable
class Ledger(Protocol):
    """What a `TraceLog` also is that can hold keys to their budgets: it counts `Record.spent`, exactly, for all
    processes that share it.
    """

    def spent(self, key: str, since: str) -> int:
        """Nanodollars that the key called `key` has spent from the day `since` on, by all records whose future has told
        that they are committed, and perhaps some more. Answers at once.

        Raises `NotReady` where that cannot be told, or what is spent from now on could not be counted.
        """
        ...


class TraceLog(Protocol):
    """The trace log: rows by trace id, trees by root id."""

    def append(self, record: Record) -> asyncio.Future[bool]:
        """Hand a row to the writer, from the event loop, without waiting.

        The future tells whether the row is committed; False means that it was dropped and counted. It never raises.
        Appending a trace id again replaces what the new record says and keeps the rest; a `signed` record changes
        none that does not bear its key, and is dropped.
        """
        ...

    def update(self, trace_id: str, fields: Mapping[str, Any], key: str | None = None) -> asyncio.Future[bool]:
        """Set single fields of a row (by `Record`'s names); rows that come later keep them. With a `key` it is one that
        bears that, or nothing. As `append` otherwise.
        """
        ...

    async def get(self, trace_id: str) -> Record | None: ...

    async def descendants(self, trace_id: str) -> list[Record]:
        """The rows below one row, at any depth, oldest first. What has no parent there hangs under its root."""
        ...

    async def search(self, query: TraceQuery) -> TracePage:
        """Raises `BadRequest` for an operator, field or value that cannot be searched."""
        ...

    async def project(self, name: str) -> tuple[str, str, bool]:
        """(uuid, created_at, was_created) of the project called `name`, made if new."""
        ...

    async def projects(self) -> list[ProjectUse]:
        """Every project that was made or that a row names, by name."""
        ...

    async def versions(self, deployment_id: str | None = None) -> list[VersionUse]:
        """The use of every version that rows name, of one deployment or of all."""
        ...

    async def health(self) -> dict[str, Any]:
        """`writable`, `reason`, `rows`, `dropped`, `pending`."""
        ...

    async def close(self) -> None:
        """Commit what is pending, then stop."""
        ...
