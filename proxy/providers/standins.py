"""Values that stand in for a call's own, where LiteLLM passes any on as it is.

An end user's name or a seed is another one with each call; if it counted to the kind of a call, each would be a kind of
its own. So such a value is replaced before LiteLLM is asked, and put back where its stand-in is found.

What must stay true: only parameters are replaced that no rule and no translation looks into, and only by a value of the
same type, each with one of its own; a stand-in never leaves the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.models import Json

STANDINS: Mapping[str, Json] = {
    "user": "a stand-in for the end user",
    "prompt_cache_key": "a stand-in for the prompt cache's key",
    "safety_identifier": "a stand-in for the safety identifier",
    "seed": 1_073_907_341,
}
"""By parameter; none is looked into by anybody, but for `PERSONAL`."""

LENGTHS: Mapping[str, Json] = {"max_tokens": 1_073_907_347, "max_completion_tokens": 1_073_907_353}
"""The same for providers of OpenAI's form: others have rules of their own for lengths."""

PERSONAL = re.compile(r"@|\+?[\d\s()-]{7,}$")
"""In end users whom LiteLLM may not tell to Claude, since Anthropic refuses addresses and telephone numbers."""

Place = tuple[str, ...]
"""The names that lead to a field of a body."""


def split(params: Mapping[str, Json], *, direct: bool) -> tuple[dict[str, Json], dict[str, Json]]:
    """Parameters with stand-ins, and the values that were replaced; `direct` for a provider of OpenAI's form."""
    known = {**STANDINS, **LENGTHS} if direct else STANDINS
    found = {name: value for name, value in params.items() if name in known and _alike(value, known[name])}
    if not direct and PERSONAL.search(str(found.get("user", ""))):
        del found["user"]
    return {**params, **{name: known[name] for name in found}}, found


def _alike(value: Json, standin: Json) -> bool:
    """Whether a value is of its stand-in's type, and says something."""
    return type(value) is type(standin) and bool(value) and (type(value) is not int or value > 0)


def filled(arguments: Mapping[str, Any], own: Mapping[str, Json]) -> dict[str, Any]:
    """Arguments with a call's own values in place of the stand-ins."""
    standins = {**STANDINS, **LENGTHS}
    values = {standins[name]: value for name, value in own.items()}
    return {
        name: values[value] if isinstance(value, str | int) and value in values else value
        for name, value in arguments.items()
    }


def places(body: Json, own: Mapping[str, Json], above: Place = ()) -> list[tuple[Place, str]]:
    """Where stand-ins are in a body, each with the parameter that it stands for; not in its messages."""
    standins = {**STANDINS, **LENGTHS}
    if isinstance(body, Mapping):
        found = [places(value, own, (*above, name)) for name, value in body.items() if name != "messages"]
        return [each for part in found for each in part]
    if type(body) not in (str, int):
        return []
    return [(above, name) for name in own if standins[name] == body][:1]


def fill(body: dict[str, Json], where: Sequence[tuple[Place, str]], own: Mapping[str, Json]) -> None:
    """Put a call's own values into a body, which may share its inner objects with others."""
    for (*outer, last), name in where:
        inner = body
        for step in outer:
            inner[step] = dict(inner[step])
            inner = inner[step]
        inner[last] = own[name]
