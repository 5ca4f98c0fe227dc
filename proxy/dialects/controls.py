"""What a client tells the gateway besides its question: where the call stands in the log, what of it may be kept, and
whether the cache may answer and another target may go on with what one has begun.

The APIs that were not made for this gateway have no words for it, so there are three places, of which the earlier
wins: a header, a field of the body (what clients call `extra_body`), an entry of the body's `metadata`.

    header                 body, metadata                            value
    x-trace-id             trace_id                                  the call's own id; default: a new one
    x-parent-trace-id      parent_trace_id
    x-root-trace-id        root_trace_id
    x-session-id           session_id
    x-trace-name           trace_name
    x-project              project_name
    x-end-user             end_user_identifier
    x-tags                 tags                                      a list, or text with commas
    x-metadata             metadata                                  an object; a header's is JSON
    x-log-omit             log_omit                                  inputs, outputs, all (or true), none (or false)
                           log_omit_inputs, log_omit_outputs         true, false
    x-log-sample-rate      log_sample_rate                           0 to 1
    x-cache                cache                                     true, false
    x-continue             continue                                  true, false

`traceparent` (W3C Trace Context) gives a parent and a root where nothing else does. What must stay true: a value that
cannot be meant is refused with its name, and whatever was taken out of the body goes to no provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from proxy.errors import BadRequest
from proxy.ids import new_id
from proxy.models import Json, LogPolicy, TraceContext

T = TypeVar("T")

NAMES: dict[str, bytes] = {
    "trace_id": b"x-trace-id",
    "parent_trace_id": b"x-parent-trace-id",
    "root_trace_id": b"x-root-trace-id",
    "session_id": b"x-session-id",
    "trace_name": b"x-trace-name",
    "project_name": b"x-project",
    "end_user_identifier": b"x-end-user",
    "tags": b"x-tags",
    "log_omit": b"x-log-omit",
    "log_omit_inputs": b"",
    "log_omit_outputs": b"",
    "log_sample_rate": b"x-log-sample-rate",
    "cache": b"x-cache",
    "continue": b"x-continue",
}
"""Each control in a body and its header, if it has one."""

HEADERS = frozenset(NAMES.values())

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""

LONGEST = 512
"""Characters of a name."""

LONGEST_ID = 200

_WORDS = {"true": True, "1": True, "false": False, "0": False}
_OMIT = {
    True: (True, True),
    False: (False, False),
    "all": (True, True),
    "inputs": (True, False),
    "outputs": (False, True),
    "none": (False, False),
}


@dataclass(slots=True)
class Controls:
    """The controls of one request. `inputs` is for templates, taken from the body's field of that name. `resume` is
    what the client calls `continue`.
    """

    trace: TraceContext
    policy: LogPolicy
    cache: bool
    resume: bool = False
    inputs: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        headers: Mapping[bytes, bytes],
        body: MutableMapping[str, Json],
        *,
        end_user: str | None = None,
        name: str | None = None,
    ) -> Controls:
        """Read the controls and take them out of `body`, its `metadata` included.

        `end_user` and `name` are what the API itself has said, for want of a control. Raises `BadRequest`.
        """
        found = _Found(headers, body)
        claimed = found.id("trace_id")
        trace_id = claimed or new_id()
        parent, root = found.id("parent_trace_id"), found.id("root_trace_id")
        given = TRACEPARENT.fullmatch(_decoded(headers.get(b"traceparent", b"")))
        if given is not None and parent is None and root is None:
            root, parent = given[1], given[2]
        if parent in ("", trace_id):
            parent = None
        hidden = found.read("log_omit", _omitted) or (False, False)
        return cls(
            trace=TraceContext(
                trace_id=trace_id,
                parent_trace_id=parent,
                root_trace_id=root or parent or trace_id,
                rooted=bool(root or parent is None),
                claimed=claimed is not None,
                session_id=found.id("session_id"),
                name=found.text("trace_name") or name,
                project_name=found.text("project_name"),
                end_user=found.text("end_user_identifier") or end_user,
                tags=found.read("tags", _tags) or [],
                metadata=found.metadata or None,
            ),
            policy=LogPolicy(
                inputs=not (hidden[0] or found.read("log_omit_inputs", _flag)),
                outputs=not (hidden[1] or found.read("log_omit_outputs", _flag)),
                rate=_default(found.read("log_sample_rate", _rate), 1.0),
            ),
            cache=bool(found.read("cache", _flag)),
            resume=bool(found.read("continue", _flag)),
            inputs=_inputs(body.pop("inputs", None)),
        )


class _Found:
    """The controls as they stand in a request: the first place that has one wins."""

    def __init__(self, headers: Mapping[bytes, bytes], body: MutableMapping[str, Json]) -> None:
        metadata = body.get("metadata")
        self.metadata: dict[str, Json] = dict(metadata) if isinstance(metadata, dict) else {}
        if (sent := headers.get(b"x-metadata")) is not None:
            self.metadata.update(_object(sent))
        self._values: dict[str, tuple[str, Json]] = {}
        if not self.metadata and NAMES.keys().isdisjoint(body) and HEADERS.isdisjoint(headers):
            return
        for name, header in NAMES.items():
            places = [(f"metadata.{name}", self.metadata.pop(name, None)), (name, body.pop(name, None))]
            if header and header in headers:
                places.append((header.decode(), _decoded(headers[header])))
            for place, value in places:
                if value is not None:
                    self._values[name] = place, value

    def read(self, name: str, convert: Callable[[Json], T]) -> T | None:
        if name not in self._values:
            return None
        place, value = self._values[name]
        try:
            return convert(value)
        except ValueError as error:
            raise BadRequest(f"{place}: {error}", param=place) from None

    def text(self, name: str) -> str | None:
        return self.read(name, _text)

    def id(self, name: str) -> str | None:
        return self.read(name, _id)


def _text(value: Json) -> str | None:
    if not isinstance(value, str):
        raise ValueError("should be text")
    if len(value) > LONGEST:
        raise ValueError(f"should be at most {LONGEST} characters")
    return value or None


def _id(value: Json) -> str | None:
    """An id comes back in a header, so it is what one can hold."""
    text = _text(value)
    if text is not None and not (text.isascii() and text.isprintable() and len(text) <= LONGEST_ID):
        raise ValueError(f"should be at most {LONGEST_ID} characters of printable ASCII")
    return text


def _flag(value: Json) -> bool:
    known = _WORDS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(known, bool):
        raise ValueError("should be true or false")
    return known


def _omitted(value: Json) -> tuple[bool, bool]:
    words = (
        [_WORDS.get(word, word) for word in re.split(r"[\s,]+", value.lower().strip())]
        if isinstance(value, str)
        else [value]
    )
    if not all(isinstance(word, str | bool) and word in _OMIT for word in words):
        raise ValueError("should be inputs, outputs, all or none")
    return any(_OMIT[word][0] for word in words), any(_OMIT[word][1] for word in words)


def _rate(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("should be a number from 0 to 1")
    try:
        rate = float(value)
    except ValueError:
        raise ValueError("should be a number from 0 to 1") from None
    if not 0 <= rate <= 1:
        raise ValueError("should be a number from 0 to 1")
    return rate


def _tags(value: Json) -> list[str]:
    listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(tag, str) for tag in listed):
        raise ValueError("should be a list of texts, or text with commas")
    return [tag for tag in listed if tag]


def _inputs(value: Json) -> dict[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest("inputs: should be an object of values for the template", param="inputs")
    return value


def _object(sent: bytes) -> dict[str, Json]:
    try:
        value: Any = orjson.loads(sent)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest("x-metadata: should be a JSON object", param="x-metadata")
    return value


def _decoded(header: bytes) -> str:
    return header.decode("utf-8", "replace").strip()


def _default(value: float | None, default: float) -> float:
    return default if value is None else value
