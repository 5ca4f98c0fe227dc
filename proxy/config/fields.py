"""The kinds of values a config file holds: durations, sizes, prices, addresses, names, secrets.

Each is lenient about how it is written and strict about what it means; the messages never repeat the value.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = r"([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)\s*)+"
_MULTIPLES = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SIZE = r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?|)B?"


def _seconds(value: object) -> object:
    """`30d`, `1h30m` or a number of seconds."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value.strip()):
        return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9.]+)\s*(ms|s|m|h|d|w)", value))
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
        raise ValueError("should be a duration like 90s, 15m, 12h or 30d")
    return _no_boolean(value)


def _bytes(value: object) -> object:
    """`2GB` (10^9), `2GiB` (2^30) or a number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(_SIZE, value.strip())
        if match is None:
            raise ValueError("should be a size like 500MB, 2GB or 2GiB")
        return int(float(match[1]) * _MULTIPLES[match[2]])
    return _no_boolean(value)


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")
    return value


def _url(value: object) -> object:
    if value == "":
        return None
    if isinstance(value, str) and not re.match(r"https?://[^\s/]", value):
        raise ValueError("should be a URL that begins with http:// or https://")
    return value


def _blank(value: object) -> object:
    """An empty text, as `${NAME:-}` leaves it, is no value, and nor are spaces, which no header could bring."""
    return None if isinstance(value, str) and not value.strip() else value


def _host(value: object) -> object:
    """A name as it stands in a Host header, without the port, or an IP address."""
    if isinstance(value, str) and "*" in value:
        raise ValueError(
            "holds a *, which would let pages of strangers in by names of their own: name each host, or listen on a"
            " network with a master_key, where every name is answered"
        )
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+", value):
        raise ValueError("should be a host's name alone, without http:// and without a port")
    return value


Integer = Annotated[int, BeforeValidator(_no_boolean)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Price = Annotated[float, BeforeValidator(_no_boolean), Field(ge=0)]
Weight = Annotated[float, Field(gt=0, le=1e9), BeforeValidator(_no_boolean)]
Share = Annotated[float, Field(ge=0, le=1e9), BeforeValidator(_no_boolean)]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0),
    WithJsonSchema({"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": f"^{_DURATION}$"}),
]
Wait = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0, "pattern": f"^{_DURATION}$"}),
]
Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    Field(gt=0),
    WithJsonSchema({"type": ["integer", "string"], "exclusiveMinimum": 0, "pattern": f"^{_SIZE}$"}),
]
Url = Annotated[str | None, BeforeValidator(_url)]
Text = Annotated[str | None, BeforeValidator(_blank)]
Secret = Annotated[SecretStr | None, BeforeValidator(_blank)]
Name = Annotated[str, Field(min_length=1)]
Host = Annotated[str, BeforeValidator(_host)]
Plugin = Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_]*|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*)$")]
