"""From a document to the file's models: every problem at its line, every key that is not used by its name.

What must stay true: all problems are told at once, an unknown key comes with the nearest known one, and what stands
below an ignored key cannot be a problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError

from proxy import settings
from proxy.document import Document, Place, dotted
from proxy.settings import LITELLM_BLOCKS, File

_OTHER_WORDS = {
    "base_url": "api_base",
    "key": "api_key",
    "max_length": "max_tokens",
    "region": "aws_region_name",
    "temp": "temperature",
    "size": "max_size",
    "size_limit": "max_size",
}
_MESSAGES = {
    "string_type": "should be text; put it in quotes",
    "model_type": "should be a mapping (key: value)",
    "dict_type": "should be a mapping (key: value)",
    "missing": "is missing",
}


@dataclass(slots=True, frozen=True)
class ConfigWarning:
    """A key of the file that has no effect, or a target that is not used, and why."""

    key: str
    message: str
    line: int
    kind: Literal["key", "target"] = "key"


def validated(document: Document) -> tuple[File, list[ConfigWarning]]:
    """The file that the document holds, and its keys of LiteLLM's that are not used. Raises `ConfigError`."""
    data = document.data if document.data is not None else {}
    ignored = dict(_ignored(document, data))
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if value is not None and key not in LITELLM_BLOCKS}
    document.problems = [found for found in document.problems if not _below(found.place, ignored)]
    file = File()
    try:
        file = File.model_validate(data)
    except ValidationError as error:
        _add_problems(document, error)
    if document.problems:
        raise document.error()
    return file, [ConfigWarning(dotted(place), text, document.line(place)) for place, text in ignored.items()]


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word nearest to `word`, or nothing."""
    candidates = list(known)
    other = _OTHER_WORDS.get(word)
    found = [other] if other in candidates else difflib.get_close_matches(word, candidates, n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def _below(place: Place, ignored: Iterable[Place]) -> bool:
    return any(place[: len(one)] == one for one in ignored)


def _ignored(document: Document, data: Any) -> Iterator[tuple[Place, str]]:
    """The keys of LiteLLM's format that have no effect here, each with what to say about it."""
    if not isinstance(data, dict):
        return
    for key in sorted(LITELLM_BLOCKS & data.keys()):
        yield (key,), "is a block of LiteLLM's that is not supported; ignored"
    blocks: list[tuple[Place, Any, type[BaseModel]]] = [
        (("router_settings",), data.get("router_settings"), settings.RouterKeys),
        (("litellm_settings",), data.get("litellm_settings"), settings.LiteLLMKeys),
        (("general_settings",), data.get("general_settings"), settings.GeneralSettings),
    ]
    entries = data.get("model_list")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        place: Place = ("model_list", index)
        blocks.append((place, entry, settings.ModelEntry))
        if isinstance(entry, dict):
            blocks.append(((*place, "litellm_params"), entry.get("litellm_params"), settings.LiteLLMParams))
            blocks.append(((*place, "model_info"), entry.get("model_info"), settings.ModelInfo))
    for place, block, model in blocks:
        for key in block if isinstance(block, dict) else ():
            if key not in model.model_fields:
                yield (*place, key), f"is not supported yet; ignored{nearest(key, model.model_fields)}"


def _add_problems(document: Document, error: ValidationError) -> None:
    """Add pydantic's findings, without the values; a place that has a problem already keeps that one."""
    known = {found.place for found in document.problems}
    messages: dict[Place, list[str]] = {}
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        place = document.nearest(found["loc"])
        if found["type"] == "extra_forbidden":
            message = f"unknown key{nearest(str(found['loc'][-1]), _keys_at(found['loc'][:-1]))}"
        elif found["type"] == "missing":
            place, message = found["loc"], "is missing"
        else:
            text = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
            message = _MESSAGES.get(found["type"], text[:1].lower() + text[1:])
        said = messages.setdefault(place, [])
        if message not in said:
            said.append(message)
    for place, said in messages.items():
        if place not in known:
            document.problem(place, " or ".join(said))


def _keys_at(place: Place) -> list[str]:
    """The keys that the block at `place` may have."""
    model: type[BaseModel] | None = File
    for part in place:
        known = model.model_fields if model else {}
        if part in known:
            model = _model_in(known[str(part)].annotation)
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds: as it is, in a list, as a mapping's values, or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
