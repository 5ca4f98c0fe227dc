"""The configuration: LiteLLM's `config.yaml`, the gateway's own blocks and the environment, as one frozen object.

The file is the only truth of configuration. Without one, `starter.yaml` of this package is it, which `parea-proxy init`
writes.
What must stay true: whatever is wrong is told in one `ConfigError`, and no value of a secret is in any message.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from proxy.caller import Caller
from proxy.config import keys, prices, routing
from proxy.config.caching import cache
from proxy.config.document import Document, Place, read
from proxy.config.group import models, wildcards
from proxy.config.hint import nearest
from proxy.config.include import read_file
from proxy.config.project import Project, problems, projects
from proxy.config.prompt import Prompt
from proxy.config.route import Route, Source
from proxy.config.router import GroupSettings, RouterSettings, Wildcard
from proxy.config.settings import CacheSettings, File, LogSettings, ServerSettings
from proxy.config.targets import providers, routes
from proxy.config.validation import ConfigWarning, validated, warned
from proxy.functions import as_tools
from proxy.ids import derived_id
from proxy.models import Json, Message
from proxy.target import Target
from proxy.vendors import PREFIXES

STARTER = Path(__file__).with_name("starter.yaml")
"""The commented config that `init` writes, which is also the built-in one."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LiteLLMSettings:
    """`drop_params`: what a provider cannot take is left out and noted; without it, it is an error."""

    drop_params: bool = True

    @property
    def strict_params(self) -> bool:
        return not self.drop_params


@dataclass(slots=True, frozen=True, kw_only=True)
class Deployment:
    """A deployed prompt. `version` is the one given, else 12 hex digits of a hash of its content.

    `prompt` is its text, if it was written as one; `messages` then has it as the user's one message. `config_id` is its
    id as a Humanloop model configuration, another one for each version.
    """

    id: str
    name: str
    version: str
    model: str | None = None
    provider: str | None = None
    messages: list[Message] = field(default_factory=list)
    prompt: str | None = None
    params: dict[str, Json] = field(default_factory=dict)
    functions: list[dict[str, Json]] = field(default_factory=list)
    function_call: str | dict[str, Json] | None = None
    config_id: str = ""

    def request_params(self) -> dict[str, Json]:
        """The parameters of a request to this prompt: `params`, with the functions as tools."""
        return {**self.params, **as_tools(self.functions, self.function_call)}


@dataclass(slots=True, frozen=True, kw_only=True)
class Config:
    """Everything that can be configured, resolved.

    `models` has the targets that can be called, in the file's order; a name with none that can be called is not in it.
    `providers` has every provider, with or without a key. `routes` has each entry of `model_list` and `sources` says
    where each provider's credential comes from. `files` are the files and folders that all of it was read from.
    `wildcards` are the names with a `*`, the more exact ones first; `groups` has what names say for themselves. `keys`
    are who may call, by the SHA-256 of their keys.
    """

    name: str = "config"
    models: dict[str, tuple[Target, ...]] = field(default_factory=dict)
    providers: dict[str, Target] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    cache: CacheSettings = CacheSettings()
    log: LogSettings = LogSettings()
    router: RouterSettings = RouterSettings()
    server: ServerSettings = ServerSettings()
    litellm: LiteLLMSettings = LiteLLMSettings()
    master_key: SecretStr | None = None
    warnings: tuple[ConfigWarning, ...] = ()
    routes: tuple[Route, ...] = ()
    sources: dict[str, Source] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    wildcards: tuple[Wildcard, ...] = ()
    groups: dict[str, GroupSettings] = field(default_factory=dict)
    keys: dict[bytes, Caller] = field(default_factory=dict, repr=False)

    @property
    def closed(self) -> bool:
        """Whether a request must bring a key."""
        return self.master_key is not None or bool(self.keys)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at `path`, or the built-in one. Raises `ConfigError` with all that is wrong."""
    files: tuple[Path, ...] = ()
    if path is None:
        document = read(STARTER.read_text("utf-8"), "built-in config", environ)
    else:
        document, files = read_file(path, environ)
    file, warnings = validated(document)
    known = providers(document, file, document.environ)
    found = routes(document, file, known)
    names = routing.names(document, file, found)
    router, groups = routing.router(document, file, names), routing.groups(document, file, names)
    deployments = {name: _deployment(name, prompt) for name, prompt in file.deployments.items()}
    _check_modules(document, file)
    for name, prompt in file.deployments.items():
        _check_prompt(document, ("deployments", name), prompt, names)
    for place, message in problems(file.projects, deployments):
        document.problem(place, message)
    _check_keys(document, file, found)
    if document.problems:
        raise document.error()
    warnings += [
        ConfigWarning(route.key, f"{_label(route)} is not used: {route.reason}", route.line, "target", route.file)
        for route in found
        if route.reason
    ]
    warnings += _misspelt_modes(document, file) + routing.inexact(document, file, names)
    cached, told = cache(document, file)
    return Config(
        name=document.name,
        models=models(found),
        providers={name: source.target for name, source in known.items()},
        deployments=deployments,
        projects=projects(file.projects),
        cache=cached,
        log=file.log,
        router=router,
        server=file.server,
        litellm=LiteLLMSettings(drop_params=file.litellm_settings.drop_params),
        master_key=file.general_settings.master_key,
        warnings=tuple(sorted([*warnings, *told], key=lambda warning: (warning.file, warning.line))),
        routes=tuple(found),
        sources=known,
        files=files,
        wildcards=wildcards(found),
        groups=groups,
        keys=keys.callers(file.keys),
    )


MODES = ("chat", "completion", "embedding", "responses")
"""The words of LiteLLM's for models that are called here; it has others for what is not."""


def _misspelt_modes(document: Document, file: File) -> list[ConfigWarning]:
    """A `mode` that nearly is one: a completion model would quietly be asked as a chat model is."""
    found = []
    for index, entry in enumerate(file.model_list):
        mode, place = entry.model_info.mode, ("model_list", index, "model_info", "mode")
        if mode is not None and mode not in MODES and (hint := nearest(mode, MODES)):
            found.append(warned(document, place, f"is no mode that is known{hint}"))
    return found


def _label(route: Route) -> str:
    return f"{route.name} -> {route.source.target.provider}/{route.source.target.model}"


def _deployment(name: str, prompt: Prompt) -> Deployment:
    content = prompt.model_dump(exclude_none=True, exclude={"name", "version", "messages", "functions"})
    content["messages"] = [message.model_dump(exclude_unset=True) for message in prompt.messages]
    content["functions"] = [function.model_dump(exclude_unset=True) for function in prompt.functions]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    version = prompt.version or hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    if prompt.prompt is not None:
        content["messages"] = [{"role": "user", "content": prompt.prompt}]
    config_id = derived_id("config", name, version)
    return Deployment(**content, id=name, name=prompt.name or name, version=version, config_id=config_id)


def _check_prompt(document: Document, place: Place, prompt: Prompt, names: routing.Names) -> None:
    if prompt.provider is not None and prompt.provider not in PREFIXES:
        document.problem((*place, "provider"), f"unknown provider{nearest(prompt.provider, PREFIXES)}")
    elif prompt.model is not None and prompt.provider is None and not names.has(prompt.model):
        hint = names.hint(prompt.model)
        document.problem((*place, "model"), f"{routing.UNKNOWN}{hint}")


def _check_keys(document: Document, file: File, found: list[Route]) -> None:
    deployed = {name: prompt.model for name, prompt in file.deployments.items()}
    for place, message in keys.problems(file.keys, file.server.dialects):
        document.problem(place, message)
    for place, message in prices.problems(file.keys, models(found), deployed):
        document.problem(place, message)


def _check_modules(document: Document, file: File) -> None:
    """The stores and dialects that are named without a `package.module:attribute` are modules of their rooms."""
    named: list[tuple[str, Place, str]] = [
        ("stores", ("cache", "store"), file.cache.store),
        ("stores", ("log", "store"), file.log.store),
        *(("dialects", ("server", "dialects", i), name) for i, name in enumerate(file.server.dialects)),
    ]
    for room, place, name in named:
        if place in document.lines and ":" not in name and name not in (shipped := _shipped(room)):
            document.problem(place, f"no such {room.removesuffix('s')}{nearest(name, shipped)}")


def _shipped(room: str) -> list[str]:
    found = importlib.util.find_spec(f"proxy.{room}")
    return [module.name for module in pkgutil.iter_modules(found.submodule_search_locations if found else None)]
