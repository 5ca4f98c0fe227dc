"""Events of a stream: JSON in ASCII, so that a reader loses nothing that decodes each read by itself, or takes U+2028
for the end of a line.
"""

from __future__ import annotations

import json

import orjson

from proxy.models import Json

_escaped = json.JSONEncoder(separators=(",", ":")).encode


def written(value: Json) -> bytes:
    """`value` as JSON in ASCII."""
    try:
        plain: bytes = orjson.dumps(value)
    except TypeError:
        # half a surrogate pair, or an integer beyond 64 bits
        return _escaped(value).encode("ascii")
    return plain if plain.isascii() else _escaped(value).encode("ascii")


def named(kind: str, **data: Json) -> bytes:
    """One event whose name says what it is."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), written({"type": kind, **data}))
