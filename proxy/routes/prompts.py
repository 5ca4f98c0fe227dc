"""Parea's deployed prompts: what a deployment of the config says, filled with the inputs given so far."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from proxy.config import Config
from proxy.config.deployment import Deployment, find
from proxy.ids import new_id
from proxy.middleware.render import fill_messages
from proxy.middleware.resolve import drawn
from proxy.models import Json
from proxy.routes.strict import StrictRoute


class UseDeployedPrompt(BaseModel):
    deployment_id: str = Field(description="A deployment of the config: `name`, `name@version` or `name:environment`.")
    llm_inputs: dict[str, Any] | None = Field(None, description="Inputs for the `{{name}}`s of its messages.")


class Prompt(BaseModel):
    raw_messages: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    inputs: dict[str, Any] | None = None


class UseDeployedPromptResponse(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    deployment_id: str
    version_number: float = Field(
        description="The version's number; where one alone is kept and is no number, one that its text makes."
    )
    name: str | None = None
    functions: list[str] | None = Field(None, description="Function schemas, each as JSON text.")
    function_call: str | None = None
    prompt: Prompt | None = None
    model: str | None = None
    provider: str | None = None
    model_params: dict[str, Any] | None = None


def router(config: Config) -> APIRouter:
    """`POST /deployed-prompt`, with names left as `{{name}}` where no input fills them."""
    routes = APIRouter(tags=["deployments"], route_class=StrictRoute)

    @routes.post("/deployed-prompt", response_model=UseDeployedPromptResponse, summary="A deployed prompt, filled")
    async def deployed_prompt(asked: UseDeployedPrompt) -> UseDeployedPromptResponse:
        versions, environment = find(config.versions, asked.deployment_id)
        deployment = drawn(versions, environment, new_id())
        inputs = asked.llm_inputs or {}
        return UseDeployedPromptResponse(
            deployment_id=deployment.id,
            version_number=float(deployment.number[1:]) if versions.kept else _number(deployment.version),
            name=versions.label(deployment),
            functions=[orjson.dumps(function).decode() for function in deployment.functions] or None,
            function_call=_text(deployment.function_call),
            prompt=Prompt(
                raw_messages=list(deployment.messages),
                messages=fill_messages(deployment.messages, inputs)[0],
                inputs=asked.llm_inputs,
            ),
            model=deployment.model,
            provider=deployment.provider,
            model_params=_params(deployment),
        )

    return routes


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return float(int.from_bytes(version.encode()[:6]))


def _text(choice: Json) -> str | None:
    return choice if choice is None or isinstance(choice, str) else orjson.dumps(choice).decode()


def _params(deployment: Deployment) -> dict[str, Json]:
    names = {"temperature": "temp", "max_tokens": "max_length"}
    return {names.get(name, name): value for name, value in deployment.params.items()}
