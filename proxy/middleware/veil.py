"""Credentials among the parameters of a request, kept out of the log.

Nobody needs to send one there: keys have places of their own, and no provider is sent what stands here under such a
name. Clients do it all the same (`extra_body={"api_key": ...}`), so what must stay true is that a row never holds the
value. Only text is hidden: a number of tokens is no secret, and neither is the schema of a field that is called so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from proxy.models import Json

HIDDEN = "(withheld)"

SECRET = re.compile(
    r"(.*[-_.])?(keys?|apikeys?|tokens?|secrets?|credentials?|passwords?|auth|authorization|signature|cookies?)([-_.].*)?"
    r"|(.*[-_])?base([-_]ur[il])?",
    re.IGNORECASE,
)
"""Credentials, and the addresses of vendors, which may hold some."""

HARMLESS = frozenset({"prompt_cache_key"})
"""What only looks like it."""

WORDS = frozenset({"key", "keys", "token", "tokens"})
"""Names of credentials only at the top, where a parameter stands: further down they mean many things."""

NUMBERS = frozenset({int, float, bool, type(None)})
"""Types of values that tell nothing, whatever their name."""

ADDED = ("extra_body", "extra_headers")
"""Parameters that hold parameters."""


def veiled(params: Mapping[str, Json]) -> dict[str, Json]:
    """`params` without the text of any credential."""
    return {name: value if type(value) in NUMBERS else _parameter(name, value) for name, value in params.items()}


def _parameter(name: str, value: Json) -> Json:
    if name in ADDED and isinstance(value, dict):
        return veiled(value)
    return _hidden(value) if _secret(name) else _inner(value)


def _inner(value: Json) -> Json:
    if isinstance(value, dict):
        return {
            name: HIDDEN if isinstance(one, str) and name not in WORDS and _secret(name) else _inner(one)
            for name, one in value.items()
        }
    return [_inner(one) for one in value] if isinstance(value, list) else value


def _hidden(value: Json) -> Json:
    """The same value with every text in it withheld, names included: who knows what a client takes for a name."""
    if isinstance(value, dict):
        return HIDDEN
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return HIDDEN if isinstance(value, str) else value


def _secret(name: str) -> bool:
    # Names are few and come again; long ones are not kept, for what they would weigh.
    return _known(name) if len(name) <= 64 else _matches(name)


def _matches(name: str) -> bool:
    return name not in HARMLESS and SECRET.fullmatch(name) is not None


_known = lru_cache(maxsize=1024)(_matches)
