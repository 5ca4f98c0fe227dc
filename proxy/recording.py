"""A recorded call: what was asked, in the gateway's own words, and what came of it, as it stands in a cassette.

What must stay true: what was `written` is `read` back equal, whatever it says; whatever else is read is refused by the
name of the field at fault; nothing here says when, where or with whose key the call was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol

from pydantic import ConfigDict, TypeAdapter, ValidationError

from proxy import __version__
from proxy.errors import BadRequest, UpstreamError
from proxy.models import Chunk, Completion, Json

Mode = Literal["record", "replay", "auto"]
"""Always call and record, never call, or call and record what is not recorded yet."""

FORMAT = 2
"""Raised when older gateways could no longer read what is written, be it for one more field, or not find it.

1: a name that fitted one with a `*`, or a vendor's own, was what it led to. 2: it is the one that was asked for.
"""

Failure = UpstreamError | BadRequest
"""What a call can be recorded to have failed with: the provider's failure, or what no provider can be asked for."""

_STRICT = ConfigDict(strict=True)
_COMPLETION, _CHUNK = TypeAdapter(Completion), TypeAdapter(Chunk)
_REQUEST = TypeAdapter(dict[str, Any], config=_STRICT)
_WORDS = TypeAdapter(dict[str, str], config=_STRICT)
_NUMBER = TypeAdapter(float, config=_STRICT)


@dataclass(slots=True)
class Recording:
    """One call. `chunks` come with the milliseconds after which they came, none if the answer was not streamed; after
    `ms` it was over, with `completion` or `error`. `dropped` and `remarks` are as in `Call`. `name` is its file's, and
    `format` the one in which it was written.
    """

    request: dict[str, Json]
    ms: float = 0.0
    completion: Completion | None = None
    error: Failure | None = None
    chunks: list[tuple[float, Chunk]] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, Json] = field(default_factory=dict)
    name: str = ""
    format: int = FORMAT


class Cassette(Protocol):
    """Where recordings are kept."""

    name: str

    def find(self, key: str) -> Sequence[Recording]:
        """The recordings of the request with that `key`, in the order in which they were made."""
        ...

    def all(self) -> Sequence[Recording]: ...

    def keep(self, recording: dict[str, Json], number: int) -> None:
        """Keep what was `written` as the answer to the `number`th call of its request, from 1 on, in the place of the
        one that there is. Raises `OSError`. Another thread may call it.
        """
        ...


def key(request: Mapping[str, Json]) -> str:
    """The same for equal requests only."""
    return blake2b(json.dumps(request, sort_keys=True).encode(), digest_size=16).hexdigest()


def written(recording: Recording) -> dict[str, Json]:
    """The recording as JSON, without what goes without saying."""
    answer: dict[str, Json] = {"ms": recording.ms}
    if recording.chunks:
        answer["chunks"] = [{"ms": ms, **_said(chunk)} for ms, chunk in recording.chunks]
    if recording.completion is not None:
        answer["completion"] = _said(recording.completion)
    if recording.error is not None:
        answer["error"] = _told(recording.error)
    for name in ("dropped", "remarks"):
        if noted := getattr(recording, name):
            answer[name] = noted
    return {"format": FORMAT, "gateway": __version__, "request": recording.request, "answer": answer}


def read(document: Json, name: str = "") -> Recording:
    """The recording that `written` made `document` of. Raises `ValueError` that names what is wrong."""
    if not isinstance(document, dict):
        raise ValueError("should be an object with request and answer")
    made = document.get("format")
    if type(made) is int and made > FORMAT:
        raise ValueError(f"format {made} is of a newer gateway ({document.get('gateway')}); this one reads {FORMAT}")
    _known(document, ("format", "gateway", "request", "answer"), "")
    request = _valid(_REQUEST, document.get("request"), "request")
    answer = _valid(_REQUEST, document.get("answer"), "answer")
    _known(answer, ("ms", "chunks", "completion", "error", "dropped", "remarks"), "answer.")
    recording = Recording(request, _valid(_NUMBER, answer.get("ms", 0.0), "answer.ms"), name=name)
    recording.format = made if type(made) is int else 1
    for number, piece in enumerate(_list(answer.get("chunks", []), "answer.chunks")):
        place = f"answer.chunks[{number}]"
        rest = dict(_valid(_REQUEST, piece, place))
        ms, chunk = _valid(_NUMBER, rest.pop("ms", 0.0), f"{place}.ms"), _valid(_CHUNK, rest, place)
        _meant(rest, chunk, place)
        recording.chunks.append((ms, chunk))
    recording.dropped = _valid(_WORDS, answer.get("dropped", {}), "answer.dropped")
    recording.remarks = _valid(_REQUEST, answer.get("remarks", {}), "answer.remarks")
    if "error" in answer:
        recording.error = _failure(_valid(_REQUEST, answer["error"], "answer.error"))
    elif "completion" in answer:
        recording.completion = _valid(_COMPLETION, answer["completion"], "answer.completion")
        _meant(answer["completion"], recording.completion, "answer.completion")
    else:
        raise ValueError("answer: should have a completion or an error")
    return recording


def _said(thing: Any) -> Json:
    """A dataclass as an object, without the fields that have their default."""
    if is_dataclass(thing):
        found = {}
        for one in fields(thing):
            value = getattr(thing, one.name)
            default = one.default if one.default_factory is MISSING else one.default_factory()
            if default is MISSING or value != default or type(value) is not type(default):
                found[one.name] = _said(value)
        return found
    return [_said(one) for one in thing] if isinstance(thing, list) else thing


def _told(error: Failure) -> dict[str, Json]:
    if isinstance(error, BadRequest):
        told: dict[str, Json] = {"status": error.status, "message": error.message, "param": error.param}
    else:
        told = {
            "status": error.status,
            "code": error.code,
            "message": error.message,
            "provider": error.provider,
            "upstream_status": error.upstream_status,
            "retry_after": error.retry_after,
            "quoted": error.quoted,
        }
    return {name: value for name, value in told.items() if value not in (None, False)}


def _failure(told: dict[str, Json]) -> Failure:
    message = told.get("message")
    if not isinstance(message, str):
        raise ValueError("answer.error.message: should be text")
    if "code" not in told:
        return BadRequest(message, param=told.get("param"))
    if told["code"] not in UpstreamError.STATUS:
        raise ValueError(f"answer.error.code: should be one of {', '.join(sorted(UpstreamError.STATUS))}")
    return UpstreamError(
        message,
        code=told["code"],
        provider=str(told.get("provider", "")),
        upstream_status=told.get("upstream_status"),
        retry_after=told.get("retry_after"),
        quoted=told.get("quoted") is True,
    )


def _meant(value: Json, thing: Any, place: str) -> None:
    """Raises `ValueError` where `value` has what `thing`, which was made of it, has no field for: it was misspelt."""
    if is_dataclass(thing) and isinstance(value, dict):
        _known(value, [one.name for one in fields(thing)], f"{place}.")
        for name, inner in value.items():
            _meant(inner, getattr(thing, name), f"{place}.{name}")
    elif isinstance(thing, list) and isinstance(value, list):
        for number, (inner, made) in enumerate(zip(value, thing, strict=False)):
            _meant(inner, made, f"{place}[{number}]")


def _known(value: dict[str, Json], names: Sequence[str], place: str) -> None:
    for name in value:
        if name not in names:
            raise ValueError(f"{place}{name}: is not known here (there are: {', '.join(names)})")


def _list(value: Json, place: str) -> list[Json]:
    if not isinstance(value, list):
        raise ValueError(f"{place}: should be a list")
    return value


def _valid(adapter: TypeAdapter[Any], value: Json, place: str) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([place, *map(str, first["loc"])])
        raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
