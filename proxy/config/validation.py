"""From a document to the file's models: every problem at its line, every key that is not used by its name.

What must stay true: all problems are told at once, an unknown key comes with the nearest known one, and what stands
below an ignored key cannot be a problem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from proxy.config.credential import forgive
from proxy.config.document import Document, Place, dotted
from proxy.config.foreign import unused
from proxy.config.hint import closest, nearest
from proxy.config.settings import File

Model = TypeVar("Model", bound=BaseModel)

_MESSAGES = {
    "string_type": "should be text; put it in quotes",
    "model_type": "should be a mapping (key: value)",
    "dict_type": "should be a mapping (key: value)",
}


@dataclass(slots=True, frozen=True)
class ConfigWarning:
    """A key that has no effect, or a target that is not used, and why; `file` is the included one that it is in."""

    key: str
    message: str
    line: int
    kind: Literal["key", "target"] = "key"
    file: str = ""


def warned(document: Document, place: Place, message: str) -> ConfigWarning:
    """A warning of the key at `place`."""
    return ConfigWarning(dotted(place), message, document.line(place), file=document.file(place))


def validated(document: Document) -> tuple[File, list[ConfigWarning]]:
    """The file that the document holds, and its keys of LiteLLM's that are not used. Raises `ConfigError`."""
    data = document.data if document.data is not None else {}
    ignored = unused(document)
    forgive(document)
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if value is not None and (key,) not in ignored}
    file = File()
    try:
        file = File.model_validate(data)
    except ValidationError as error:
        _add_problems(document, error)
    if document.problems:
        raise document.error()
    return file, [warned(document, place, text) for place, text in ignored.items()]


def checked(document: Document, model: type[Model]) -> Model | None:
    """What a document holds that is all one block; None where it has problems, which are noted in it."""
    try:
        found = model.model_validate(document.data)
    except ValidationError as error:
        _add_problems(document, error, model)
        return None
    return None if document.problems else found


def _add_problems(document: Document, error: ValidationError, root: type[BaseModel] = File) -> None:
    """Add pydantic's findings, without the values; a place that has a problem already keeps that one.

    A key that is missing is not told beside the misspelt one that was to be it.
    """
    known = {found.place for found in document.problems}
    found = error.errors(include_url=False, include_context=False)
    unknown = {*known, *(_standing(document, one["loc"]) for one in found if one["type"] == "extra_forbidden")}
    messages: dict[Place, list[str]] = {}
    for one in found:
        place, message = _finding(document, dict(one), root)
        misspelt = any(key[:-1] == place[:-1] and closest(str(key[-1]), [str(place[-1])]) for key in unknown if key)
        if one["type"] == "missing" and misspelt:
            continue
        said = messages.setdefault(place, [])
        if message not in said:
            said.append(message)
    for place, said in messages.items():
        if place not in known:
            document.problem(place, " or ".join(said))


def _finding(document: Document, found: dict[str, Any], root: type[BaseModel]) -> tuple[Place, str]:
    """Where one of pydantic's findings stands, and what to say about it."""
    place = _standing(document, found["loc"])
    if found["type"] == "extra_forbidden":
        return place, f"unknown key{nearest(str(place[-1]), _keys_at(found['loc'][:-1], root))}"
    if found["type"] == "missing":
        return (*place, found["loc"][-1]), "is missing"
    text = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = _MESSAGES.get(found["type"], text[:1].lower() + text[1:])
    if found["type"] == "literal_error" and isinstance(found["input"], str):
        message += nearest(found["input"], re.findall(r"'([^']+)'", text))
    return place, message


def _standing(document: Document, location: Place) -> Place:
    """A location of pydantic's without its names for the members of a union."""
    place: Place = ()
    for part in location:
        place = (*place, part) if (*place, part) in document.lines else place
    return place


def _keys_at(location: Place, root: type[BaseModel]) -> list[str]:
    """The keys that the block at pydantic's `location`, counted from `root`, may have."""
    models: list[type[BaseModel]] = [root]
    for part in location:
        named = [model for model in models if model.__name__ == part]
        field = next((model.model_fields[str(part)] for model in models if part in model.model_fields), None)
        models = named or (_models_in(field.annotation) if field else models)
    return [name for model in models for name in model.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation holds: as it is, in a list, as a mapping's values, or beside others."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
