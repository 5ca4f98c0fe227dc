"""Bodies that are one object or a list of them, and pages: what the routes here have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from proxy.body import validated

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")

MAX_SIZE = 100

PageNumber = Annotated[int, Query(ge=0, le=2**31, description="From 1; 0 is the first page, too.")]
PageSize = Annotated[int, Query(ge=1, le=MAX_SIZE)]


def _utc(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if not 1900 <= aware.year < 9900:
        raise ValueError("should be a time between 1900 and 9900")
    return aware.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]
"""A client's time, in UTC; one without a zone is taken to be."""

Id = Annotated[str, Field(min_length=1, max_length=512)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Wire(BaseModel):
    """An object that a client sends."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), hide_input_in_errors=True)


class Page(BaseModel, Generic[Item]):
    page: int
    size: int
    total: int
    records: list[Item]


@dataclass(slots=True, frozen=True)
class Sent(Generic[Model]):
    """A body: its objects, each as it was read and as it was sent, and whether they came as a list."""

    items: list[Model]
    raw: list[Any]
    several: bool

    def answer(self, answers: Sequence[Any], *, logged: bool = True) -> JSONResponse:
        """A list for a list, one object for one; a header tells if not all of it was stored."""
        headers = {} if logged else {"x-logged": "false"}
        return JSONResponse(list(answers) if self.several else answers[0], headers=headers)


def sent(model: type[Model], body: Any) -> Sent[Model]:
    """The objects in a body. Raises `Unprocessable`, which names the place in a list."""
    if isinstance(body, list):
        return Sent([validated(model, item, place) for place, item in enumerate(body)], body, True)
    return Sent([validated(model, body)], [body], False)
