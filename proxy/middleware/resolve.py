"""Resolution: from what a client names to what is called.

A deployment gives whatever the request leaves out; it is named by an id (see `config.deployment.find`), or by
`deployment/<id>` as the model. Where several versions share what is named, each session gets one and keeps it. What a
model name stands for, `names` knows.

A key that came with the request replaces the configured one for this call, for the provider it was sent for.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.caller import Caller
from proxy.config import Config
from proxy.config.deployment import Deployment, Versions, find
from proxy.config.project import Environment
from proxy.errors import BadRequest, NotFound
from proxy.middleware.assign import draw, subject
from proxy.middleware.names import Names, keyed, short
from proxy.models import Call, CompletionRequest
from proxy.protocols import Step

DEPLOYMENT = "deployment/"
"""What stands before a deployment's id where an API has a model's name and nothing else."""


def resolve(config: Config, names: Names | None = None) -> Step:
    """A step that completes a call from its deployment and fills its `groups` and `targets`."""
    known = names or Names(config)

    def step(call: Call) -> None:
        request = call.request = _named(config, call.request)
        if request.deployment_id is not None:
            versions, environment = _found(config, request.deployment_id, call.caller)
            deployment = drawn(versions, environment, subject(request.trace))
            if versions.kept:
                call.remarks["deployment"] = {"version": deployment.number, "asked": request.deployment_id}
            call.template_of = None if request.messages else deployment.id
            call.deployment_version, call.config_id = deployment.version, deployment.config_id
            request = call.request = _merged(request, deployment)
        if not (request.messages or request.history or request.turns):
            raise BadRequest(_nothing_asked(request), param="messages")
        group = keyed(known.group(request.model, request.provider, call.caller), call.api_keys)
        call.groups, call.targets = (group,), group.targets
        for name in request.fallbacks:
            group = keyed(known.group(name, None, call.caller), call.api_keys)
            call.groups, call.targets = (*call.groups, group), (*call.targets, *group.targets)

    return step


def _found(config: Config, deployment_id: str, caller: Caller | None) -> tuple[Versions, Environment]:
    """What a deployment's id means. Of those there are, a key for some models only is told its own."""
    try:
        return find(config.versions, deployment_id)
    except NotFound:
        if caller is None or not caller.models:
            raise
        said = {one.removeprefix(DEPLOYMENT) for one in caller.models if one.startswith(DEPLOYMENT) and "*" not in one}
        known = (
            ", ".join(sorted(said | {id for id, one in config.versions.items() if _may_call(caller, one)})) or "none"
        )
        message = f"no deployment {short(deployment_id)} in the config (the key {caller.name!r} may call: {known})"
        raise NotFound(message, param="deployment_id") from None


def _may_call(caller: Caller, versions: Versions) -> bool:
    models = (one.model for one in versions.versions.values() if one.model)
    return caller.may_call(DEPLOYMENT + versions.id, *models)


def drawn(versions: Versions, environment: Environment, subject: str) -> Deployment:
    """The version that `subject` gets of what `find` found."""
    return versions.versions[draw(environment, subject).deployment]


def _nothing_asked(request: CompletionRequest) -> str:
    if request.deployment_id is None:
        return "there are no messages: give messages, or a deployment that has some"
    named = short(request.deployment_id)
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
