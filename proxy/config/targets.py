"""From the lines of `model_list` and `providers` to targets: whose model it is, with which key, at which address.

What must stay true: a provider's key goes to that provider's address only. A target that names an address of its own
takes no key from elsewhere, and a model of an unknown provider takes nothing from any block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from proxy.config.document import Document, Place
from proxy.config.prompt import Params
from proxy.config.settings import SETTINGS, Endpoint, File, ModelEntry, Provider
from proxy.target import Target
from proxy.vendors import PREFIXES, VENDORS, Vendor, infer

CREDENTIALS = (
    "api_key",
    "azure_ad_token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "vertex_credentials",
)
"""The settings that only make sense together: a block that gives one takes none of the others from elsewhere."""

UNCHANGED = "unchanged"
"""The setting of a target of provider `litellm` whose model is LiteLLM's whole `provider/model`."""


@dataclass(slots=True, frozen=True)
class Source:
    """A target and where its credential comes from: `config`, the name of an environment variable, or nowhere."""

    target: Target
    key: str | None


@dataclass(slots=True, frozen=True)
class Route:
    """One entry of `model_list`. `reason` is None if it is used, else why not."""

    name: str
    source: Source
    line: int
    reason: str | None = None


def providers(document: Document, file: File, environ: Mapping[str, str]) -> dict[str, Source]:
    """Every provider, from its block and, for what the block leaves out, from the environment.

    A provider without a key is among them: a request that brings its own key uses the rest.
    """
    found = {}
    for name, vendor in VENDORS.items():
        block: Provider = getattr(file.providers, name) or Provider()
        values = _values(block)
        key = _origin(document, ("providers", name), values)
        closed = key is not None or _refers_elsewhere(document, ("providers", name), vendor)
        for setting, variables in _variables(vendor).items():
            variable = next((one for one in variables if environ.get(one)), None)
            if variable is None or setting in values or (closed and setting in CREDENTIALS):
                continue
            values[setting] = environ[variable]
            key = variable if key is None and setting in CREDENTIALS else key
        if vendor.default_base:
            values.setdefault("api_base", vendor.default_base)
        target = replace(
            _target(name, "", values),
            params=_params(block.params),
            timeout=block.timeout,
            transport=block.transport or "lean",
        )
        found[name] = Source(target, key)
    return found


def routes(document: Document, file: File, known: Mapping[str, Source]) -> list[Route]:
    """What becomes of each entry of `model_list`, in the file's order.

    `echo` never stands behind a target that can be called: a made-up answer must not cover up a failing provider.
    """
    found: list[Route] = []
    for index, entry in enumerate(file.model_list):
        route = _route(document, ("model_list", index), entry, known)
        real = any(other.name == route.name and other.reason is None for other in found)
        if route.source.target.provider == "echo" and route.reason is None and real:
            route = replace(route, reason="stands in only while no other target of this name can be used")
        found.append(route)
    return found


def lacking(vendor: Vendor, target: Target) -> list[str]:
    """What a call to this target still needs."""
    has = {name for name, value in target.settings.items() if value}
    has |= {"api_key"} if target.api_key else set()
    has |= {"api_base"} if target.api_base else set()
    return [need for need in vendor.requires if need not in has and has.isdisjoint(vendor.instead.get(need, ()))]


def _route(document: Document, place: Place, entry: ModelEntry, known: Mapping[str, Source]) -> Route:
    params = entry.litellm_params
    provider, model = split(params.model)
    unchanged = provider == "litellm" and model == params.model
    values: dict[str, Any] = _values(params)
    key = _origin(document, (*place, "litellm_params"), values)
    source = Source(Target(provider, ""), None) if unchanged else known[provider]
    if unchanged:
        values[UNCHANGED] = True
    else:
        inherited = _inherited(document, (*place, "litellm_params"), values, source.target)
        key = source.key if not inherited.keys().isdisjoint(CREDENTIALS) else key
        values = inherited | values
    if entry.model_info.base_model:
        values["base_model"] = entry.model_info.base_model
    target = replace(
        _target(provider, model, values),
        params={**source.target.params, **_params(params)},
        timeout=params.timeout or source.target.timeout,
        mode=entry.model_info.mode,
        transport=entry.model_info.transport or source.target.transport,
        input_cost_per_token=_first(params.input_cost_per_token, entry.model_info.input_cost_per_token),
        output_cost_per_token=_first(params.output_cost_per_token, entry.model_info.output_cost_per_token),
    )
    reason = _reason(document, (*place, "litellm_params"), target, unchanged)
    return Route(entry.model_name, Source(target, key), document.line(place), reason)


def split(model: str) -> tuple[str, str]:
    """The provider and its own model id. A prefix that is nobody's here leaves the name whole, for LiteLLM to read."""
    prefix, slash, rest = model.partition("/")
    if not slash:
        return (infer(model) or "litellm"), model
    # gemini/ is Google's AI Studio, with a key of its own kind: not Vertex AI
    return (PREFIXES[prefix], rest) if prefix in PREFIXES and prefix != "gemini" else ("litellm", model)


def _inherited(document: Document, place: Place, own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """What an entry takes from its provider and the environment; a key that it names, even an empty one, is its own."""
    found = _plain(target)
    base = own.get("api_base")
    needed = "api_base" in VENDORS[target.provider].requires
    elsewhere = base and base != found.get("api_base") and ("api_base" in found or not needed)
    if elsewhere or any((*place, name) in document.lines for name in CREDENTIALS):
        found = {name: value for name, value in found.items() if name not in CREDENTIALS}
    return found


def _refers_elsewhere(document: Document, place: Place, vendor: Vendor) -> bool:
    """Whether a block asks for its credential in a variable other than the provider's usual ones."""
    usual = _variables(vendor)
    return any(not set(document.variables.get((*place, name), ())) <= set(usual.get(name, ())) for name in CREDENTIALS)


def _reason(document: Document, place: Place, target: Target, unchanged: bool) -> str | None:
    """Why a target cannot be called, or None: a reference that came out empty, or something that is nowhere given."""
    vendor = VENDORS[target.provider]
    needs = lacking(vendor, target)
    if target.provider == "litellm" and not unchanged and target.model.partition("/")[0] not in PREFIXES:
        # without an address `litellm` stands for the provider that its model begins with
        needs += [] if target.api_base else ["api_base"]
    for name in (*needs, "api_base"):
        variables = document.variables.get((*place, name))
        if variables and not _plain(target).get(name):
            return f"{name} is empty: set {' or '.join(variables)}"
    if not needs:
        return None
    if unchanged:
        return "no api_key: write it here; a provider that LiteLLM alone knows has no block to take it from"
    variables = _variables(vendor).get(needs[0], ())
    hint = f": set {variables[0]}, or write it here" if variables else ""
    if needs[0] in CREDENTIALS and (*place, "api_base") in document.lines:
        hint = ": a target with an api_base of its own takes no key from elsewhere; any word will do if none is needed"
    return f"no {needs[0]}{hint}"


def _variables(vendor: Vendor) -> dict[str, tuple[str, ...]]:
    """The environment variables of a provider, by what they give."""
    return {"api_key": vendor.key, "api_base": vendor.base, **vendor.settings}


def _values(endpoint: Endpoint) -> dict[str, Any]:
    """What a block gives of address and credentials, as plain values."""
    found: dict[str, Any] = {}
    for name in ("api_key", "api_base", *SETTINGS):
        value = getattr(endpoint, name)
        if value is not None:
            found[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    return found


def _plain(target: Target) -> dict[str, Any]:
    """The inverse of `_target`."""
    found = dict(target.settings)
    if target.api_key is not None:
        found["api_key"] = target.api_key.get_secret_value()
    if target.api_base is not None:
        found["api_base"] = target.api_base
    return found


def _target(provider: str, model: str, values: Mapping[str, Any]) -> Target:
    settings = dict(values)
    key, base = settings.pop("api_key", None), settings.pop("api_base", None)
    return Target(provider, model, SecretStr(key) if key else None, base, settings)


def _params(block: Params) -> dict[str, Any]:
    """The default parameters that are given."""
    return {name: value for name in Params.model_fields if (value := getattr(block, name)) is not None}


def _origin(document: Document, place: Place, values: Mapping[str, Any]) -> str | None:
    """Where the credential that a block gives comes from: a variable's name, `config`, or None if it gives none."""
    for name in CREDENTIALS:
        if name in values:
            return "+".join(document.variables.get((*place, name), ())) or "config"
    return None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
