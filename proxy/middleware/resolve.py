"""Resolution: from what a client names to what is called.

A deployment gives whatever the request leaves out. A model name is looked up in this order:

1. with a provider: a target of that provider listed under the name, else that provider's own entry with the name as
its model; 2. without one: the targets listed under the name; else `provider/model`; else the provider that the name's
form belongs to.

A key that came with the request replaces the configured one for this call, for the provider it was sent for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from proxy.config import Config, Deployment
from proxy.errors import BadRequest, NotFound
from proxy.models import Call, CompletionRequest, Target
from proxy.protocols import Step
from proxy.vendors import PREFIXES, VENDORS, infer

ANY = ""
"""The name under which a request's key stands that is meant for whichever provider is called."""


def resolve(config: Config) -> Step:
    """A step that completes a call from its deployment and fills its `targets`."""

    def step(call: Call) -> None:
        request = call.request
        if request.deployment_id is not None:
            deployment = deployment_of(config, request.deployment_id)
            call.template_of = None if request.messages else request.deployment_id
            call.deployment_version = deployment.version
            request = call.request = _merged(request, deployment)
        if not request.messages and not request.history:
            raise BadRequest(
                "there are no messages: give llm_configuration.messages or a deployment_id", param="messages"
            )
        names = [(request.model, request.provider), *((name, None) for name in request.fallbacks)]
        call.targets = tuple(_keyed(_target(config, name, provider), call.api_keys) for name, provider in names)

    return step


def deployment_of(config: Config, deployment_id: str) -> Deployment:
    """The deployment of that id. Raises `NotFound` that names those there are."""
    deployment = config.deployments.get(deployment_id)
    if deployment is None:
        known = ", ".join(sorted(config.deployments)) or "none"
        raise NotFound(
            f"no deployment {_short(deployment_id)} in the config (there are: {known})", param="deployment_id"
        )
    return deployment


def _merged(request: CompletionRequest, deployment: Deployment) -> CompletionRequest:
    """The request with the deployment's part where it has none of its own; an own model brings its own provider."""
    return replace(
        request,
        model=request.model or deployment.model,
        provider=request.provider or (None if request.model else deployment.provider),
        messages=request.messages or [dict(message) for message in deployment.messages],
        params={**deployment.request_params(), **request.params},
    )


def _target(config: Config, model: str | None, provider: str | None) -> Target:
    if not model:
        raise BadRequest("no model is named: give llm_configuration.model or a deployment_id", param="model")
    listed = config.models.get(model, ())
    if provider is None:
        if listed:
            return listed[0]
        provider, model = _provider_of(config, model)
    else:
        for target in listed:
            if target.provider == provider:
                return target
        prefix, _, rest = model.partition("/")
        if rest and PREFIXES.get(prefix) == provider:
            model = rest
    if provider == "litellm" and not _has_base(config, "litellm"):
        provider, model = _named_by_prefix(model)
    configured = config.providers.get(provider) or Target(provider=provider, model="")
    return replace(configured, model=model)


def _provider_of(config: Config, model: str) -> tuple[str, str]:
    prefix, _, rest = model.partition("/")
    if rest and prefix in PREFIXES:
        return PREFIXES[prefix], rest
    provider = infer(model)
    if provider is None:
        known = ", ".join(sorted(config.models)) or "none"
        raise NotFound(
            f"model {_short(model)} is not in the config (there are: {known}) and its provider cannot be told from its"
            " name: give llm_configuration.provider, or write provider/model",
            param="model",
        )
    return provider, model


def _has_base(config: Config, provider: str) -> bool:
    target = config.providers.get(provider)
    return target is not None and target.api_base is not None


def _named_by_prefix(model: str) -> tuple[str, str]:
    """Provider `litellm` without a LiteLLM proxy of its own: any model of LiteLLM's that is written with its prefix."""
    prefix, _, rest = model.partition("/")
    provider = PREFIXES.get(prefix) if rest else infer(model)
    if provider is None or provider == "litellm":
        raise BadRequest(
            "provider 'litellm' needs providers.litellm.api_base (a LiteLLM proxy), or a model written provider/model "
            f"with one of: {', '.join(sorted(VENDORS))}",
            param="model",
        )
    return provider, rest or model


def _keyed(target: Target, keys: Mapping[str, SecretStr]) -> Target:
    key = keys.get(target.provider) or keys.get(ANY)
    return target if key is None or target.provider == "echo" else target.with_key(key)


def _short(name: str) -> str:
    """A name as a message tells it: whole, unless it is no name at all."""
    return repr(name if len(name) <= 100 else name[:100] + "...")
