"""Resolution: from what a client names to what is called.

A deployment gives whatever the request leaves out; it is named by an id (see `config.deployment.find`), or by
`deployment/<id>` as the model. Where several versions share what is named, each session gets one and keeps it. A model
name is looked up in this order:

1. with a provider: a target of that provider listed under the name, else that provider's own entry with the name as
its model; 2. without one: the targets listed under the name; else `provider/model` or `provider:model`, a listed model
of that provider first; else the provider that the name's form belongs to.

A key that came with the request replaces the configured one for this call, for the provider it was sent for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from proxy.config import Config
from proxy.config.deployment import Deployment, Versions, find
from proxy.config.project import Environment
from proxy.errors import BadRequest, NotFound
from proxy.middleware.assign import draw, subject
from proxy.models import Call, CompletionRequest
from proxy.protocols import Step
from proxy.target import Target
from proxy.vendors import UNREACHED, VENDORS, infer, named

ANY = ""
"""The name under which a request's key stands that is meant for whichever provider is called."""

DEPLOYMENT = "deployment/"
"""What stands before a deployment's id where an API has a model's name and nothing else."""


def resolve(config: Config) -> Step:
    """A step that completes a call from its deployment and fills its `targets`."""

    def step(call: Call) -> None:
        request = call.request = _named(config, call.request)
        if request.deployment_id is not None:
            versions, environment = find(config.versions, request.deployment_id)
            deployment = drawn(versions, environment, subject(request.trace))
            if versions.kept:
                call.remarks["deployment"] = {"version": deployment.number, "asked": request.deployment_id}
            call.template_of = None if request.messages else deployment.id
            call.deployment_version, call.config_id = deployment.version, deployment.config_id
            request = call.request = _merged(request, deployment)
        if not (request.messages or request.history or request.turns):
            raise BadRequest(_nothing_asked(request), param="messages")
        names = [(request.model, request.provider), *((name, None) for name in request.fallbacks)]
        call.targets = tuple(_keyed(_target(config, name, provider), call.api_keys) for name, provider in names)

    return step


def drawn(versions: Versions, environment: Environment, subject: str) -> Deployment:
    """The version that `subject` gets of what `find` found."""
    return versions.versions[draw(environment, subject).deployment]


def _nothing_asked(request: CompletionRequest) -> str:
    if request.deployment_id is None:
        return "there are no messages: give messages, or a deployment that has some"
    named = _short(request.deployment_id)
    return f"deployment {named} has no messages or prompt of its own, and the request gives none"


def _named(config: Config, request: CompletionRequest) -> CompletionRequest:
    """The request with its deployment in its place, where it came as the name of the model."""
    model = request.model or ""
    if not model.startswith(DEPLOYMENT) or model in config.models:
        return request
    deployment_id = model.removeprefix(DEPLOYMENT)
    if request.deployment_id not in (None, deployment_id):
        raise BadRequest("model and deployment_id name two deployments: give one of them", param="model")
    return replace(request, model=None, deployment_id=deployment_id)


def _merged(request: CompletionRequest, deployment: Deployment) -> CompletionRequest:
    """The request with the deployment's part where it has none of its own; an own model brings its own provider.

    Only a prompt is a text to complete: what was deployed as messages is a conversation, whoever asks for it.
    """
    conversation = request.kind == "text" and not request.messages and deployment.prompt is None
    return replace(
        request,
        deployment_id=deployment.id,
        kind="chat" if conversation else request.kind,
        model=request.model or deployment.model,
        provider=request.provider or (None if request.model else deployment.provider),
        messages=request.messages or [dict(message) for message in deployment.messages],
        params={**deployment.request_params(), **request.params},
    )


def _target(config: Config, model: str | None, provider: str | None) -> Target:
    if not model:
        raise BadRequest("no model is named: give a model, or a deployment that has one", param="model")
    listed = config.models.get(model, ())
    if provider is None:
        if listed:
            return listed[0]
        provider, own = _provider_of(config, model)
        listed = config.models.get(own, ())
    else:
        written = named(model)
        own = written[1] if written is not None and written[0] == provider else model
    for target in listed:
        if target.provider == provider:
            return target
    if provider == "litellm" and not _has_base(config, "litellm"):
        provider, own = _named_by_prefix(own)
    configured = config.providers.get(provider) or Target(provider=provider, model="")
    return replace(configured, model=own)


def _provider_of(config: Config, model: str) -> tuple[str, str]:
    written = named(model)
    if written is not None:
        return written
    known = ", ".join(sorted(config.models)) or "none"
    if model.partition("/")[0] in UNREACHED:
        raise NotFound(
            f"model {_short(model)} is not in the config (there are: {known}), and only a line of model_list can say "
            "where this vendor's models are",
            param="model",
        )
    provider = infer(model)
    if provider is None:
        raise NotFound(
            f"model {_short(model)} is not in the config (there are: {known}) and its provider cannot be told from its"
            " name: write provider/model",
            param="model",
        )
    return provider, model


def _has_base(config: Config, provider: str) -> bool:
    target = config.providers.get(provider)
    return target is not None and target.api_base is not None


def _named_by_prefix(model: str) -> tuple[str, str]:
    """Provider `litellm` without a LiteLLM proxy of its own: any model of LiteLLM's that is written with its prefix."""
    provider, own = named(model) or (None if "/" in model else infer(model), model)
    if provider is None or provider == "litellm":
        raise BadRequest(
            "provider 'litellm' needs providers.litellm.api_base (a LiteLLM proxy), or a model written provider/model "
            f"with one of: {', '.join(sorted(VENDORS))}",
            param="model",
        )
    return provider, own


def _keyed(target: Target, keys: Mapping[str, SecretStr]) -> Target:
    key = keys.get(target.provider) or keys.get(ANY)
    return target if key is None or target.provider == "echo" else target.with_key(key)


def _short(name: str) -> str:
    """A name as a message tells it: whole, unless it is no name at all."""
    return repr(name if len(name) <= 100 else name[:100] + "...")
