"""What Scale's clients send beyond its parameters: `inference_extra_params` and `inference_extra_headers`.

What must stay true: neither chooses where the gateway connects, as whom, or what is asked there. What is left out is
told by its name, never by its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

from proxy.errors import Unprocessable
from proxy.models import Json

PARAMS, HEADERS = "inference_extra_params", "inference_extra_headers"

FURTHER = frozenset({"thinking", "verbosity", "service_tier", "web_search_options"})
"""Parameters of the gateway's that are none of Scale's."""

QUESTION = frozenset(
    {"model", "models", "messages", "prompt", "input", "inputs", "contents", "stream", "stream_options"}
)
"""What is asked, and how it is answered."""

PLACE = re.compile(
    r"(api|aws|azure|vertex|litellm|mock|extra|inference)_.*"
    r"|(.*_)?(keys?|secrets?|credentials?|passwords?|auth|authorization|base|base_url|url|uri|host|endpoint|headers?)"
    r"|(access|ad|auth|bearer|id|refresh|session)_token|api|apikey|client|custom_llm_provider|fallbacks|model_list"
    r"|organization|region_name|timeout|(num|max)_retries",
    re.IGNORECASE,
)
"""Where the question goes, as whom, and how often: addresses, credentials, and the names of LiteLLM for the like."""

HARMLESS = frozenset({"prompt_cache_key"})
"""What only looks like it."""

FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")
"""RFC 9110, section 5: the name of a header, and the value that every server reads alike."""

OWN_HEADERS = re.compile(
    r"host|cookie2?|set-cookie|connection|keep-alive|te|trailers?|transfer-encoding|upgrade|expect|via|forwarded"
    r"|accept-encoding|content-.*|proxy-.*|x-forwarded-.*|x-amz-.*"
    r"|(.*[-_])?(keys?|apikey|tokens?|secrets?|credentials?|passwords?|auth|authorization|signature)([-_].*)?",
    re.IGNORECASE,
)
"""Headers of the gateway's own request: of the connection, the body, the address, and all that carry credentials."""


@dataclass(slots=True)
class Extras:
    """What may go along: `params` by the gateway's names, `body` for the vendor's; `dropped` says what may not."""

    params: dict[str, Json] = field(default_factory=dict)
    body: dict[str, Json] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


def lift(body: MutableMapping[str, Json], names: Iterable[str]) -> frozenset[str]:
    """Give `body` the parameters of its own, called `names`, that stand among its extra ones; returns which it got.

    A parameter that is given in both places keeps what the body itself says.
    """
    extra = body.get(PARAMS)
    if not isinstance(extra, dict):
        return frozenset()
    own = {name for name in names if name not in QUESTION and not PLACE.fullmatch(name)}
    lifted = {name for name in own & extra.keys() if body.get(name) is None}
    body.update({name: extra[name] for name in lifted})
    body[PARAMS] = {name: value for name, value in extra.items() if name not in own}
    return frozenset(lifted)


def extras(params: Mapping[str, Json] | None, headers: Mapping[str, Json] | None) -> Extras:
    """What of both may go along. Raises `Unprocessable` for what is no header."""
    found = Extras()
    for name, value in (params or {}).items():
        if name in QUESTION or (PLACE.fullmatch(name) and name not in HARMLESS):
            found.dropped[f"{PARAMS}.{short(name)}"] = "a client does not choose this"
        elif name in FURTHER:
            found.params[name] = value
        else:
            found.body[name] = value
    for name, value in (headers or {}).items():
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(text):
            at = name if FIELD_NAME.fullmatch(name) else "a name"
            raise Unprocessable(
                [{"type": "header", "loc": ["body", HEADERS, at], "msg": "Input should be a valid HTTP header"}]
            )
        if OWN_HEADERS.fullmatch(name):
            found.dropped[f"{HEADERS}.{name}"] = "the gateway sends its own, or none"
        else:
            found.headers[name] = text
    return found


def short(name: str) -> str:
    """A field's name as a note tells it."""
    return name if len(name) <= 100 else f"{name[:100]}..."
