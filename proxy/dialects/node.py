"""One object of a request's JSON, read by hand: for bodies whose parts are of many kinds.

Each look-up knows where it looks, so a refusal names the field. What must stay true: whatever was sent, reading it
raises nothing but `BadRequest`, and a message never repeats a value; only the word for a kind is told, if it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from proxy.errors import BadRequest
from proxy.models import Json

WORD = re.compile(r"[a-z][a-z0-9_]{0,50}")
"""What an API may call a kind or a field, and no key looks like."""


@dataclass(slots=True, frozen=True)
class Node:
    """An object and its place, such as `messages.0.content.1`."""

    value: dict[str, Json]
    place: str

    @classmethod
    def of(cls, value: Json, place: str) -> Node:
        if not isinstance(value, dict):
            raise wrong(place, "should be an object")
        return cls(value, place)

    @classmethod
    def each(cls, value: Json, place: str) -> Iterator[Node]:
        """The objects of a list."""
        if not isinstance(value, list):
            raise wrong(place, "should be a list of objects")
        for index, item in enumerate(value):
            yield cls.of(item, f"{place}.{index}")

    @property
    def kind(self) -> str:
        """Its `type`; empty without one."""
        return self.optional("type") or ""

    def where(self, name: str) -> str:
        return f"{self.place}.{name}"

    def get(self, name: str) -> Json:
        return self.value.get(name)

    def text(self, name: str) -> str:
        value = self.value.get(name)
        if not isinstance(value, str):
            raise wrong(self.where(name), "should be text" if name in self.value else "is missing")
        return value

    def optional(self, name: str) -> str | None:
        """Text, or None where there is none."""
        return None if self.value.get(name) is None else self.text(name)

    def child(self, name: str) -> Node:
        return Node.of(self.value.get(name), self.where(name))

    def children(self, name: str) -> Iterator[Node]:
        return Node.each(self.value.get(name), self.where(name))

    def kept(self, *names: str) -> dict[str, Json]:
        """Those of its fields that are there and not null, as they stand."""
        return {name: self.value[name] for name in names if self.value.get(name) is not None}

    def unknown(self, why: str) -> BadRequest:
        """The refusal of its kind."""
        kind = self.value.get("type")
        told = f"'{kind}' " if isinstance(kind, str) and WORD.fullmatch(kind) else ""
        return wrong(self.where("type"), f"{told}{why}")


def unheard(body: BaseModel) -> dict[str, str]:
    """The fields of a body that no schema knows, for the row to note: they go nowhere."""
    unknown = body.model_extra or {}
    return {
        name: "not a parameter of this API"
        for name, value in unknown.items()
        if value is not None and WORD.fullmatch(name)
    }


def wrong(place: str, why: str) -> BadRequest:
    """The refusal that names a field."""
    return BadRequest(f"{place}: {why}", param=place)
