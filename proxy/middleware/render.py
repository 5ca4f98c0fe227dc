"""Templates: `{{name}}` in a message becomes the input of that name, in one pass and nothing more.

Text that an input brings in is never looked at again, so an input that contains `{{x}}` stays text. There are no
expressions, loops or filters: a prompt is data. `{name}` and other braces are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import orjson

from proxy.errors import MissingInputs
from proxy.models import Call, Json, Message

NAME = re.compile(r"\{\{ ?(\w+) ?\}\}")


def render(call: Call) -> None:
    """Fill the templates of the call's messages with its inputs.

    In a deployment's messages, and where the request asks for it, every name must have an input: else `MissingInputs`
    names those that lack. In other messages an unknown name is left as it stands, as Parea's client does, and noted in
    `call.unfilled`. Braces that come without inputs from an API that has no templates are the client's own text, and
    stay unread. What goes on after the templates follows them from here on.
    """
    request = call.request
    messages, missing = list(request.messages or ()), list[str]()
    if call.template_of is not None or request.inputs or request.strict_inputs or request.templates:
        messages, missing = fill_messages(messages, request.inputs)
    if missing and (request.strict_inputs or call.template_of is not None):
        whose = "the template" if call.template_of is None else f"deployment {call.template_of!r}"
        names = ", ".join(sorted(missing))
        raise MissingInputs(f"{whose} needs inputs that are missing: {names}", missing, param="llm_inputs")
    call.unfilled = missing
    request.messages = [*messages, *request.turns] if request.turns else messages
    request.turns = []


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
