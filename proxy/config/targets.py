"""From the lines of `model_list` and `providers` to targets: whose model it is, with which key, at which address.

What must stay true: a provider's key goes to that provider's address only. A target that names an address of its own
takes no key but its own or that of the credential it names, and a model of an unknown provider takes nothing from any
block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from proxy.config.credential import CREDENTIALS, Given, given, unlisted, values_of
from proxy.config.document import Document, Place, dotted
from proxy.config.group import Listed, arranged
from proxy.config.prompt import Params
from proxy.config.route import Route, Source
from proxy.config.settings import Endpoint, File, LiteLLMParams, ModelEntry, Provider
from proxy.target import Target
from proxy.vendors import PREFIXES, VENDORS, Vendor, infer

UNCHANGED = "unchanged"
"""The setting of a target of provider `litellm` whose model is LiteLLM's whole `provider/model`."""


def providers(document: Document, file: File, environ: Mapping[str, str]) -> dict[str, Source]:
    """Every provider, from its block and, for what the block leaves out, from the environment.

    A provider without a key is among them: a request that brings its own key uses the rest.
    """
    found = {}
    for name, vendor in VENDORS.items():
        block: Provider = getattr(file.providers, name) or Provider()
        said = Given(document, (("providers", name),), values_of(block))
        values, key = said.values, said.origin
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
            **_timeouts(block),
            transport=block.transport or "lean",
        )
        found[name] = Source(target, key)
    return found


def routes(document: Document, file: File, known: Mapping[str, Source]) -> list[Route]:
    """What becomes of each entry of `model_list`, in the file's order."""
    found: list[Listed] = []
    for index, entry in enumerate(file.model_list):
        found += [(_route(document, file, index, one, known), one) for one in _each(entry)]
    return arranged(found)


def _each(entry: ModelEntry) -> Iterator[ModelEntry]:
    """The entry once for each organization that it has."""
    organizations = entry.litellm_params.organization
    if not isinstance(organizations, list):
        yield entry
        return
    for one in organizations:
        yield entry.model_copy(update={"litellm_params": entry.litellm_params.model_copy(update={"organization": one})})


def lacking(vendor: Vendor, target: Target) -> list[str]:
    """What a call to this target still needs."""
    has = {name for name, value in target.settings.items() if value}
    has |= {"api_key"} if target.api_key else set()
    has |= {"api_base"} if target.api_base else set()
    return [need for need in vendor.requires if need not in has and has.isdisjoint(vendor.instead.get(need, ()))]


def _route(document: Document, file: File, index: int, entry: ModelEntry, known: Mapping[str, Source]) -> Route:
    place: Place = ("model_list", index)
    params = entry.litellm_params
    whole = _prefixed(params)
    provider, model = split(whole)
    unchanged = provider == "litellm" and model == whole
    said = given(document, file, (*place, "litellm_params"), params)
    values, key = said.values, said.origin
    source = Source(Target(provider, ""), None) if unchanged else known[provider]
    if unchanged:
        key = unlisted(document, model, said) or key
        values[UNCHANGED] = True
    else:
        inherited = _inherited(said, source.target)
        key = source.key if not inherited.keys().isdisjoint(CREDENTIALS) else key
        values = inherited | values
    if entry.model_info.base_model:
        values["base_model"] = entry.model_info.base_model
    target = replace(
        _target(provider, model, values),
        params={**source.target.params, **_params(params)},
        **{name: value or getattr(source.target, name) for name, value in _timeouts(params).items()},
        mode=entry.model_info.mode,
        transport=entry.model_info.transport or source.target.transport,
        input_cost_per_token=_first(params.input_cost_per_token, entry.model_info.input_cost_per_token),
        output_cost_per_token=_first(params.output_cost_per_token, entry.model_info.output_cost_per_token),
        rpm=params.rpm or entry.rpm,
        tpm=params.tpm or entry.tpm,
        max_parallel=params.max_parallel_requests or file.router_settings.default_max_parallel_requests,
    )
    reason = _formless(entry) or _reason(said, target, unchanged)
    return Route(
        entry.model_name, Source(target, key), document.line(place), reason, document.file(place), dotted(place)
    )


def _prefixed(params: LiteLLMParams) -> str:
    """The model, with the provider that the entry may name beside it."""
    prefix = f"{params.custom_llm_provider}/" if params.custom_llm_provider else ""
    return params.model if params.model.startswith(prefix) else prefix + params.model


def _formless(entry: ModelEntry) -> str | None:
    """Why an entry with a `*` leads nowhere."""
    if entry.litellm_params.model == "*" and not entry.litellm_params.custom_llm_provider:
        return (
            "every provider/model can be asked for as it is; a key, an address or a share is one provider's: openai/*"
        )
    if "*" in entry.litellm_params.model and "*" not in entry.model_name:
        return "its model has a * for which its name gives nothing"
    return None


def split(model: str) -> tuple[str, str]:
    """The provider and its own model id. A prefix that is nobody's here leaves the name whole, for LiteLLM to read."""
    prefix, slash, rest = model.partition("/")
    if not slash:
        return (infer(model) or "litellm"), model
    # gemini/ is Google's AI Studio, with a key of its own kind: not Vertex AI
    return (PREFIXES[prefix], rest) if prefix in PREFIXES and prefix != "gemini" else ("litellm", model)


def _inherited(said: Given, target: Target) -> dict[str, Any]:
    """What an entry takes from its provider and the environment; a key that it names, even an empty one, is its own."""
    found = _plain(target)
    base = said.values.get("api_base")
    needed = "api_base" in VENDORS[target.provider].requires
    elsewhere = base and base != found.get("api_base") and ("api_base" in found or not needed)
    if elsewhere or any(said.names(name) for name in CREDENTIALS):
        found = {name: value for name, value in found.items() if name not in CREDENTIALS}
    return found


def _refers_elsewhere(document: Document, place: Place, vendor: Vendor) -> bool:
    """Whether a block asks for its credential in a variable other than the provider's usual ones."""
    usual = _variables(vendor)
    return any(not set(document.variables.get((*place, name), ())) <= set(usual.get(name, ())) for name in CREDENTIALS)


def _reason(said: Given, target: Target, unchanged: bool) -> str | None:
    """Why a target cannot be called, or None: a reference that came out empty, or something that is nowhere said."""
    vendor = VENDORS[target.provider]
    needs = lacking(vendor, target)
    if unset := said.unset():
        return f"{unset} is empty: set {' or '.join(said.variables(unset))}"
    if target.provider == "litellm" and not unchanged and target.model.partition("/")[0] not in PREFIXES:
        # without an address `litellm` stands for the provider that its model begins with
        needs += [] if target.api_base else ["api_base"]
    for name in (*needs, "api_base"):
        variables = said.variables(name)
        if variables and not _plain(target).get(name):
            return f"{name} is empty: set {' or '.join(variables)}"
    if not needs:
        return None
    if unchanged:
        return "no api_key: write it here; a provider that LiteLLM alone knows has no block to take it from"
    variables = _variables(vendor).get(needs[0], ())
    hint = f": set {variables[0]}, or write it here" if variables else ""
    if needs[0] in CREDENTIALS and said.names("api_base"):
        hint = ": a target with an api_base of its own takes no key from elsewhere; any word will do if none is needed"
    return f"no {needs[0]}{hint}"


def _variables(vendor: Vendor) -> dict[str, tuple[str, ...]]:
    """The environment variables of a provider, by what they give."""
    return {"api_key": vendor.key, "api_base": vendor.base, **vendor.settings}


def _timeouts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "timeout": endpoint.timeout,
        "first_token_timeout": endpoint.stream_timeout,
        "idle_timeout": endpoint.idle_timeout,
    }


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


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
