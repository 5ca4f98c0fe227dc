"""What a request adds to a call by hand: further fields of the vendor's body, and further headers.

What must stay true:

* No field added here chooses who is asked, for what, or how the answer comes: model, prompt and stream are the call's.
* A field that has rules of its own (`parameters.KNOWN`) obeys them, unless the vendor that it is meant for is not known
  to have it: then it is passed as it is, since whoever writes it there means it.
* Where fields would become LiteLLM's own arguments (Anthropic, Bedrock), only those pass that are the vendor's.
* No header carries a credential, names a host or touches the connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.models import Json

if TYPE_CHECKING:
    from proxy.providers.translation.parameters import Plan

NAMES = ("extra_body", "extra_headers")

RESERVED = frozenset(
    {"model", "messages", "prompt", "input", "inputs", "contents", "stream", "stream_options", *NAMES, "extra_query"}
)
"""Fields of a body that the call itself decides."""

ARGUMENTS: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"container", "context_management", "mcp_servers", "output_config"}),
    "aws_bedrock": frozenset({"guardrailConfig", "performanceConfig", "requestMetadata"}),
}
"""The vendors to whom LiteLLM sends its arguments and no body besides, and their fields that are no parameters."""

LITELLMS = re.compile(
    r"(api|aws|vertex|azure|litellm|mock)_.*|.*base_url|custom_llm_provider|organization|client|headers|timeout"
    r"|(.*_)?(api_?keys?|secrets?|credentials?|passwords?|authorization)"
    r"|(.*_)?fallbacks|model_list|(num|max)_retries|(additional_)?drop_params|allowed_openai_params|.*callbacks?"
    r"|(user|router)_.*|model_info|cache|caching|no-log|guardrails"
    r"|.*ur[il]s?|api-?base|.*endpoint|.*proxy|proxies|server|host|tokens?",
    re.IGNORECASE,
)
"""LiteLLM's own arguments, which a LiteLLM further up would take from a body: addresses, keys, retries, callbacks, a
router of the client's. And what is an address or a credential by its name: no vendor takes one from a body.
"""

_REFUSED = re.compile(
    r"host|cookie2?|set-cookie|connection|keep-alive|te|trailers?|transfer-encoding|upgrade|expect|via|forwarded"
    r"|accept(-.*)?|content-.*|.*proxy.*|.*forwarded-.*|x-amz-.*|openai-(organization|project)"
    r"|.*(ur[il]|host|target|rewrite|override)([-_].*)?"
    r"|(.*[-_])?(keys?|apikey|tokens?|secrets?|credentials?|passwords?|auth|authorization|signature)([-_].*)?",
    re.IGNORECASE,
)
"""Headers of the connection, of the body's form, of an address, and all that carry credentials."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def unfold(plan: Plan, known: frozenset[str]) -> None:
    """Fields of `extra_body` that are parameters become ones, where the request does not say them itself."""
    fields = plan.params.get("extra_body")
    if not isinstance(fields, Mapping):
        return
    ruled = {name for name in fields if name in known and name not in NAMES and plan.has(name)}
    plan.params = {**{name: fields[name] for name in ruled}, **plan.params}
    plan.params["extra_body"] = {name: value for name, value in fields.items() if name not in ruled}


def prepare(plan: Plan) -> None:
    """Move both into the plan's arguments; what may not pass is noted by its own name."""
    fields, headers = plan.params.pop("extra_body", None), plan.params.pop("extra_headers", None)
    for name, value in (("extra_body", fields), ("extra_headers", headers)):
        if value is not None and not isinstance(value, Mapping):
            plan.drop(name, "must be an object")
    body = _body(plan, fields) if isinstance(fields, Mapping) else {}
    if plan.provider in ARGUMENTS:
        plan.arguments.update(body)
    elif body:
        plan.arguments["extra_body"] = {**body, **plan.arguments.get("extra_body", {})}
    if isinstance(headers, Mapping) and (allowed := _headers(plan, headers)):
        plan.arguments["extra_headers"] = allowed


def _body(plan: Plan, fields: Mapping[str, Json]) -> dict[str, Json]:
    allowed = {}
    for name, value in fields.items():
        if not isinstance(name, str) or name in RESERVED or LITELLMS.fullmatch(name):
            plan.drop(f"extra_body.{name}", "not a field that can be added")
        elif plan.provider in ARGUMENTS and name not in ARGUMENTS[plan.provider]:
            plan.drop(f"extra_body.{name}", f"not a field that can be added for {plan.provider}")
        else:
            allowed[name] = value
    return allowed


def _headers(plan: Plan, headers: Mapping[str, Json]) -> dict[str, str]:
    allowed = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or _REFUSED.fullmatch(name):
            plan.drop(f"extra_headers.{name}", "not a header that can be added")
        elif not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            plan.drop(f"extra_headers.{name}", "holds characters that cannot be sent")
        else:
            allowed[name.lower()] = value
    return allowed
