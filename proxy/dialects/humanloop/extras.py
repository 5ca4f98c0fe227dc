"""`model_config.other`: what a model configuration asks of its provider beyond Humanloop's own parameters.

What must stay true: a parameter that the gateway knows obeys its rules wherever it stands, and what the request says in
a field of its own is heard first; nothing here chooses where the gateway connects, as whom, or what is asked there.
What is left out is told by its name, never by its value.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dialects.humanloop.schema import PARAMETERS, Other
from proxy.dialects.scale.extras import PLACE, QUESTION, short
from proxy.models import Json

SAME = (frozenset({"max_tokens", "max_completion_tokens"}), frozenset({"logprobs", "top_logprobs"}))
"""Parameters that say one thing together: those of two places do not mix."""

FIELD = "model_config.other"


def completed(params: Mapping[str, Json], other: Other | None) -> tuple[dict[str, Json], dict[str, str]]:
    """`params` with what `other` adds to them, and why some of it is left out."""
    given = {name: value for name, value in dict(other or ()).items() if value is not None}
    added: dict[str, Json] = {}
    body: dict[str, Json] = {}
    dropped: dict[str, str] = {}
    for name, value in given.items():
        if name in PARAMETERS:
            if params.keys().isdisjoint(next((group for group in SAME if name in group), {name})):
                added[name] = value
            else:
                dropped[f"{FIELD}.{name}"] = "the request has it in a field of its own"
        elif name in QUESTION or PLACE.fullmatch(name):
            dropped[f"{FIELD}.{short(name)}"] = "a client does not choose this"
        else:
            body[name] = value
    if body:
        added["extra_body"] = body
    return {**params, **added}, dropped
