"""The strictness of a vendor that validates: models that know every field, and the first thing wrong with a body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """A JSON object of which every field is known, and of its very type."""

    model_config = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a body: pydantic's words for it."""

    kind: str
    loc: tuple[str | int, ...]
    message: str
    input: Any

    @property
    def unknown(self) -> bool:
        return self.kind == "extra_forbidden"

    @property
    def dotted(self) -> str:
        return ".".join(str(part) for part in self.loc)


def flaw(model: type[BaseModel], body: bytes) -> Flaw | None:
    """The first thing in `body` that `model` does not allow."""
    try:
        model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return Flaw(first["type"], first["loc"], first["msg"], first["input"])
    return None
