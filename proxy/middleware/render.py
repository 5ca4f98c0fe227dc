"""Templates: `{{name}}` in a message becomes the input of that name, in one pass and nothing more.

Text that an input brings in is never looked at again, so an input that contains `{{x}}` stays text. There are no
expressions, loops or filters: a prompt is data. `{name}` and other braces are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import orjson

from proxy.errors import BadRequest
from proxy.models import Call, Json, Message

NAME = re.compile(r"\{\{ ?(\w+) ?\}\}")


def render(call: Call) -> None:
    """Fill the templates of the call's messages with its inputs.

    In a deployment's messages every name must have an input: else `BadRequest` names those that lack. In messages
    written inline an unknown name is left as it stands, as Parea's client does, and noted in `call.unfilled`.
    """
    request = call.request
    messages, missing = fill_messages(request.messages or (), request.inputs)
    if missing and call.template_of is not None:
        names = ", ".join(sorted(missing))
        raise BadRequest(f"deployment {call.template_of!r} needs inputs that are missing: {names}", param="llm_inputs")
    call.unfilled = missing
    request.messages = messages


def fill_messages(messages: Iterable[Message], inputs: Mapping[str, Json]) -> tuple[list[Message], list[str]]:
    """The messages with their templates filled, and the names, in order of appearance, that no input fills."""
    missing: dict[str, None] = {}
    return [_render_message(message, inputs, missing) for message in messages], list(missing)


def fill(text: str, inputs: Mapping[str, Json], missing: dict[str, None]) -> str:
    """`text` with each `{{name}}` replaced by its input; names without one stay and are added to `missing`."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in inputs:
            missing[name] = None
            return match[0]
        found = inputs[name]
        return found if isinstance(found, str) else orjson.dumps(found).decode()

    return NAME.sub(value, text)


def _render_message(message: Message, inputs: Mapping[str, Json], missing: dict[str, None]) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": fill(content, inputs, missing)} if "{{" in content else message
    if isinstance(content, list):
        return {**message, "content": [_render_part(part, inputs, missing) for part in content]}
    return message


def _render_part(part: Json, inputs: Mapping[str, Json], missing: dict[str, None]) -> Json:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {**part, "text": fill(part["text"], inputs, missing)}
    return part
