"""Feedback: what a person says of a datapoint, kept among the scores of its row.

A score is found by its name, so feedback that is given again replaces what it was. Of a rating, a correction and a
comment there is one from each person; of actions and issues each label stands by itself. What is withdrawn stays as a
score that says nothing, because a score that was stored cannot be taken back; readers pass over it.

The samples of a call are one row, where the scores of all but the first say which sample they are of.

Feedback may come before its row, which a stream writes last. The text of a correction or a comment is kept only where a
row tells that the log of the datapoint is not omitted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, PlainValidator

from proxy import timestamps
from proxy.errors import NotFound, Unprocessable
from proxy.ids import derived_id, sample_of
from proxy.models import Json
from proxy.protocols import TraceLog
from proxy.record import Record
from proxy.routes.humanloop import samples
from proxy.routes.humanloop.body import Id, Moment, Sent, Wire, sent
from proxy.routes.traces import Update

LABELS = frozenset({"action", "issue"})
"""Types of which several may stand beside each other."""

TEXTS = frozenset({"correction", "comment"})

RATINGS = {"good": 1.0, "bad": 0.0}

Value = bool | int | float | list[str] | str


class FeedbackGiven(Wire):
    """Feedback that comes with a log."""

    type: Annotated[str, Field(min_length=1, max_length=200)]
    value: Value | None = Field(None, description="May be left out to withdraw a rating, a correction or a comment.")
    user: str | None = None
    created_at: Moment | None = None
    unset: bool | None = None


class FeedbackRequest(FeedbackGiven):
    data_id: Id


class FeedbackResponse(BaseModel):
    id: str
    type: str
    value: Value
    data_id: str
    user: str | None = None
    created_at: datetime


FeedbackBody = Annotated[
    Sent[FeedbackRequest],
    PlainValidator(
        lambda body: sent(FeedbackRequest, body),
        json_schema_input_type=FeedbackRequest | Annotated[list[FeedbackRequest], Field(min_length=1)],
    ),
    Body(),
]


def add(routes: APIRouter, log: TraceLog, update: Update) -> None:
    """`POST /feedback`."""

    @routes.post(
        "/feedback",
        summary="Record, or withdraw, a person's feedback on datapoints",
        response_model=FeedbackResponse | list[FeedbackResponse],
    )
    async def feedback(body: FeedbackBody) -> JSONResponse:
        if not body.items:
            raise Unprocessable([{"loc": ["body"], "msg": "List should have at least 1 item", "type": "too_short"}])
        check([(["body", place] if body.several else ["body"], item) for place, item in enumerate(body.items)])
        # All of them are found before any is written, so a body is recorded as a whole or refused as one.
        places = await asyncio.gather(*[_place(log, item.data_id) for item in body.items])
        now = datetime.now(UTC)
        scores = [score(item, at.trace_id, now, at.index) for item, at in zip(body.items, places, strict=True)]
        logged = await asyncio.gather(*[_store(update, at, one) for at, one in zip(places, scores, strict=True)])
        answers = [
            _shown(one, item.data_id) | {"value": "" if item.value is None else item.value}
            for item, one in zip(body.items, scores, strict=True)
        ]
        return body.answer(answers, logged=all(logged))


def check(items: Iterable[tuple[list[Any], FeedbackGiven]]) -> None:
    """Raises `Unprocessable` for feedback that lacks its value; each stands at a place of the body."""
    wrong = [
        {"loc": [*place, "value"], "msg": f"Field required{_but(item)}", "type": "missing"}
        for place, item in items
        if item.value is None and (not item.unset or item.type in LABELS)
    ]
    if wrong:
        raise Unprocessable(wrong)


def score(item: FeedbackGiven, trace_id: str, now: datetime, index: int = 0) -> dict[str, Json]:
    """Feedback as a score of the row `trace_id`. `id` follows from what it is about, so it is the same given again."""
    name = f"{item.type}: {_text(item.value)}" if item.type in LABELS else item.type
    if item.user:
        name = f"{name} ({item.user})"
    if index:
        name = f"sample {index} {name}"
    made: dict[str, Json] = {"name": name, "id": derived_id("ann", trace_id, name), "type": item.type}
    if index:
        made["sample"] = index
    made["created_at"] = timestamps.text(item.created_at or now)
    if item.user:
        made["user"] = item.user
    if item.unset:
        return made | {"unset": True}
    number = 1.0 if item.type in LABELS else _number(item)
    return made | {"value": item.value} | ({} if number is None else {"score": number})


def given(record: Record) -> list[dict[str, Json]]:
    """The feedback on a row, as the API tells it."""
    return [
        _shown(one, record.trace_id)
        for one in record.scores
        if str(one.get("id", "")).startswith("ann_") and "value" in one
    ]


def without_text(one: dict[str, Json]) -> dict[str, Json]:
    """A score of a datapoint whose log is omitted: that there is a text, and not which."""
    return {**one, "value": ""} if one.get("type") in TEXTS and "value" in one else one


@dataclass(slots=True, frozen=True)
class _Place:
    """Where feedback goes: to a row, which may be still to come, and to which sample of it."""

    trace_id: str
    index: int
    row: Record | None


async def _place(log: TraceLog, data_id: str) -> _Place:
    record, index = await samples.find(log, data_id)
    if record is not None:
        if samples.view(record, index) is None:
            raise NotFound("data_id: its call has no such sample", param="data_id")
        return _Place(record.trace_id, index, record)
    call, index = sample_of(data_id) or (data_id, 0)
    return _Place(call, index, None)


async def _store(update: Update, at: _Place, one: dict[str, Json]) -> bool:
    """Whether all of it is stored. Before a row is there, nobody knows whether words about it may be kept."""
    kept = without_text(one) if at.row is None or at.row.notes.get("omitted") else one
    logged = await update(at.trace_id, {"scores": [kept]})
    return logged and (at.row is not None or kept == one)


def _shown(one: dict[str, Json], data_id: str) -> dict[str, Json]:
    told: dict[str, Json] = {name: one[name] for name in ("id", "type", "value", "user", "created_at") if name in one}
    return {"data_id": data_id, **told}


def _number(item: FeedbackGiven) -> float | None:
    if isinstance(item.value, bool | int | float):
        return float(item.value)
    return RATINGS.get(item.value) if item.type == "rating" and isinstance(item.value, str) else None


def _text(value: Value | None) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _but(item: FeedbackGiven) -> str:
    return ": which label is withdrawn" if item.unset else ", unless unset is true"
