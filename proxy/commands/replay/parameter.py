"""A parameter as the command line says it: `temperature=0.5`, `stop=["."]`, `user=ada`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ValidationError

from proxy.config.hint import nearest
from proxy.dialects.openai.schema import ChatBody
from proxy.errors import ConfigError
from proxy.models import Json
from proxy.providers.translation.parameters import KNOWN
from proxy.terminal import clean

ELSEWHERE: Mapping[str, str] = {
    "model": "write --model",
    "deployment": "write --deployment",
    "stream": "each call is streamed if its row was",
    "stream_options": "each call is streamed if its row was",
    "messages": "they are the row's, or those of --deployment",
    "inputs": "they are the row's, for --deployment",
}
"""What a request has besides parameters, and how to say it."""


def parameter(said: str) -> tuple[str, Json]:
    """The name and the value of `name=value`: JSON that fits the parameter, or else text. Raises `ConfigError`."""
    name, given, value = said.partition("=")
    if not given:
        raise ConfigError(f"--set {clean(name)}: needs a value: NAME=VALUE")
    if name in ELSEWHERE:
        raise ConfigError(f"--set {name}: no parameter of a model: {ELSEWHERE[name]}")
    if name not in KNOWN:
        raise ConfigError(f"--set {clean(name)}: no parameter of a model{nearest(name, sorted(KNOWN))}")
    try:
        found: Json = json.loads(value)
    except ValueError:
        found = value
    if (wrong := _wrong(name, found)) is None:
        return name, found
    if _wrong(name, value) is None:
        return name, value
    raise ConfigError(f"--set {name}: {wrong}")


def _wrong(name: str, value: Json) -> str | None:
    """Why no provider could take a value; ranges are the models' own."""
    try:
        ChatBody.model_validate({"model": "any", name: value})
    except ValidationError as error:
        return error.errors()[0]["msg"].lower()
    return None
