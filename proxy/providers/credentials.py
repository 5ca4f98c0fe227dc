"""From a target to the credentials and addresses that its call is made with.

What must stay true:

* Nothing is sent without an explicit key: LiteLLM would take one from the environment and send it to whatever base is
  configured.
* A key that a request brings is only ever a key. For Vertex AI that is a service account's JSON whose token address
  is Google's or the configured one, never a path (it would be read) and never another credential type (it could name
  any address).
* A key that no header can hold is refused, without showing it.
* Settings become arguments by a whitelist per provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.config.targets import UNCHANGED
from proxy.errors import Unasked
from proxy.models import Json
from proxy.target import Target
from proxy.vendors import VENDORS, Vendor

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
COHERE_PATH = "/v2/chat"
COHERE_EMBED = "/v2/embed"

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "openai": ("organization",),
    "azure": ("api_version", "azure_ad_token", "base_model"),
    "vertexai": ("vertex_project", "vertex_location", "vertex_credentials"),
}
"""The settings that reach LiteLLM as they are, by provider; Bedrock's are chosen in `_bedrock`."""

AWS_KEY = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name"})
AWS_REGION = "us-east-1"
VERTEX_LOCATION = "us-central1"


HEADERS = frozenset({"api_key", "azure_ad_token", *AWS_KEY})
"""Arguments whose value, or something computed with it, goes into a header."""


def arguments(target: Target) -> dict[str, Any]:
    """LiteLLM's arguments that say where the call goes and with which credentials.

    Raises `Unasked` (`authentication`) when one is missing; nothing has been sent then.
    """
    vendor = VENDORS[target.provider]
    found = {name: target.settings[name] for name in SETTINGS.get(target.provider, ()) if target.settings.get(name)}
    found |= _keys(target, vendor)
    if "api_key" in found:
        found.pop("azure_ad_token", None)  # a key, which a request may bring, is used in its stead
    for name in HEADERS & found.keys():
        if not (found[name].isascii() and found[name].isprintable()):
            raise _refused(vendor, f"the {name} for {vendor.name} holds characters that cannot be sent")
    base = _base(target, vendor)
    if base is not None:
        found["api_base"] = base
    elif "api_base" in vendor.requires and not target.settings.get(UNCHANGED):
        raise _missing(vendor, "api_base", vendor.base)
    return found


def embedding(target: Target) -> dict[str, Any]:
    """The same for texts to embed: Cohere's have an address of their own."""
    found = arguments(target)
    if target.provider == "cohere" and "api_base" in found:
        found["api_base"] = found["api_base"].removesuffix(COHERE_PATH) + COHERE_EMBED
    return found


def named(target: Target) -> tuple[str, str]:
    """LiteLLM's prefix and the model after it. A provider that only LiteLLM knows stands in the model itself."""
    if target.settings.get(UNCHANGED):
        prefix, _, model = target.model.partition("/")
        return prefix, model
    return VENDORS[target.provider].prefix, target.model


def secrets(target: Target) -> list[str]:
    """Every secret of a target, to be blotted out of messages."""
    found = [] if target.api_key is None else [target.api_key.get_secret_value()]
    for name in ("azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        value = target.settings.get(name)
        if isinstance(value, str):
            found.append(value)
    for text in [*found, target.settings.get("vertex_credentials")]:
        document = _document(text)
        found += [value for value in document.values() if isinstance(value, str) and len(value) >= 16]
    return found


def _keys(target: Target, vendor: Vendor) -> dict[str, Any]:
    key = target.api_key.get_secret_value().strip() if target.api_key is not None else ""
    if vendor.name == "vertexai":
        return _vertex(target, key, vendor)
    if vendor.name == "aws_bedrock":
        return _bedrock(target, key, vendor)
    if key:
        return {"api_key": key}
    if vendor.name == "azure" and target.settings.get("azure_ad_token"):
        return {}
    raise _missing(vendor, "api_key", vendor.key)


def _vertex(target: Target, key: str, vendor: Vendor) -> dict[str, Any]:
    """A configured credential may be a path, JSON text or a mapping; one that a request brings is checked first."""
    location = target.settings.get("vertex_location") or VERTEX_LOCATION
    configured = target.settings.get("vertex_credentials")
    if not key:
        if not configured:
            raise _missing(vendor, "vertex_credentials", vendor.settings["vertex_credentials"])
        text = json.dumps(configured) if isinstance(configured, Mapping) else str(configured)
        return {"vertex_credentials": text, "vertex_location": location}
    document = _document(key)
    if document.get("type") != "service_account":
        raise _refused(vendor, "a key for vertexai must be the JSON of a Google service account")
    allowed = (GOOGLE_TOKEN_URI, _configured(configured).get("token_uri"))
    if not document.get("token_uri") or document["token_uri"] not in allowed:
        raise _refused(vendor, f"the service account's token_uri must be {GOOGLE_TOKEN_URI}")
    found = {"vertex_credentials": json.dumps(document), "vertex_location": location}
    return found | ({"vertex_project": document["project_id"]} if document.get("project_id") else {})


def _bedrock(target: Target, key: str, vendor: Vendor) -> dict[str, Any]:
    """A bearer key, or an access key pair. What is empty here LiteLLM would look for in the environment."""
    region = target.settings.get("aws_region_name") or AWS_REGION
    if key and not key.startswith("{"):
        return {"aws_region_name": region, "api_key": key}
    pair = _document(key) if key else {name: target.settings[name] for name in AWS_KEY if target.settings.get(name)}
    if key and not pair.keys() <= AWS_KEY:
        raise _refused(vendor, f"a JSON key for aws_bedrock may hold {', '.join(sorted(AWS_KEY))} and nothing else")
    for name in ("aws_access_key_id", "aws_secret_access_key"):
        if not pair.get(name):
            raise _missing(vendor, name, vendor.settings[name])
    given = {name: str(value) for name, value in pair.items() if value}
    return {"aws_region_name": region, "aws_session_token": "", **given, "api_key": ""}


def _base(target: Target, vendor: Vendor) -> str | None:
    """The target's base in the form that LiteLLM wants, whichever usual form it was written in."""
    base = target.api_base or vendor.default_base
    if not base:
        return None
    bare = base.rstrip("/")
    if vendor.name == "cohere":
        for ending in (COHERE_PATH, COHERE_EMBED, "/v2", "/v1"):
            bare = bare.removesuffix(ending)
        return bare + COHERE_PATH
    if vendor.name == "anthropic":
        return bare.removesuffix("/messages").removesuffix("/v1")
    return base


def _document(text: Json) -> Mapping[str, Json]:
    """The JSON object in `text`, or an empty one."""
    if isinstance(text, Mapping):
        return text
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _configured(credentials: Json) -> Mapping[str, Json]:
    """The configured credential's document. The config may give a path; that one is ours to read."""
    if isinstance(credentials, str) and not credentials.lstrip().startswith("{"):
        try:
            return _document(Path(credentials).read_text("utf-8"))
        except OSError:
            return {}
    return _document(credentials)


def _missing(vendor: Vendor, name: str, variables: tuple[str, ...]) -> Unasked:
    either = f", or {' or '.join(variables)} in the environment" if variables else ""
    return Unasked(
        f"{vendor.name} has no {name}: set providers.{vendor.name}.{name} in the config{either}",
        code="authentication",
        provider=vendor.name,
    )


def _refused(vendor: Vendor, message: str) -> Unasked:
    return Unasked(message, code="authentication", provider=vendor.name)
