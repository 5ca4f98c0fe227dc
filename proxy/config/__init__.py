"""The configuration: LiteLLM's `config.yaml`, the gateway's own blocks and the environment, as one frozen object.

The file is the only truth of configuration. Without one, `starter.yaml` of this package is it, which `parea-proxy init`
writes.
What must stay true: whatever is wrong is told in one `ConfigError`, and no value of a secret is in any message.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from proxy.caller import Caller
from proxy.config import keys, prices, routing
from proxy.config.caching import cache
from proxy.config.deployment import Deployment, Versions, find, versions
from proxy.config.document import Document, Place, read
from proxy.config.folder import Declared, gather
from proxy.config.group import models, wildcards
from proxy.config.hint import nearest
from proxy.config.include import read_file, text_of
from proxy.config.project import Project, problems, projects
from proxy.config.prompt import Prompt
from proxy.config.route import Route, Source
from proxy.config.router import GroupSettings, RouterSettings, Wildcard
from proxy.config.settings import CacheSettings, File, LogSettings, ServerSettings
from proxy.config.targets import providers, routes
from proxy.config.telemetry import Otel, otel
from proxy.config.validation import ConfigWarning, validated, warned
from proxy.errors import ConfigError, NotFound
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
class Config:
    """Everything that can be configured, resolved.

    `models` has the targets that can be called, in the file's order; a name with none that can be called is not in it.
    `providers` has every provider, with or without a key. `routes` has each entry of `model_list` and `sources` says
    where each provider's credential comes from. `deployments` has of each the version that its bare name means, of
    several the heaviest; `versions` has all. `wildcards` are the names with a `*`, the more exact ones first; `groups`
    has what names say for themselves. `keys` are who may call, by the SHA-256 of their keys. `files` are the files and
    folders that all of it was read from, or would be if they were there, and `read_at` is when reading them began; a
    configuration that was read again and says the same is equal.
    """

    name: str = "config"
    models: dict[str, tuple[Target, ...]] = field(default_factory=dict)
    providers: dict[str, Target] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    versions: dict[str, Versions] = field(default_factory=dict)
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
    read_at: float = field(default=0.0, compare=False)
    wildcards: tuple[Wildcard, ...] = ()
    groups: dict[str, GroupSettings] = field(default_factory=dict)
    keys: dict[bytes, Caller] = field(default_factory=dict, repr=False)
    otel: Otel | None = None

    @property
    def closed(self) -> bool:
        """Whether a request must bring a key."""
        return self.master_key is not None or bool(self.keys)

    def uncalled(self) -> Config:
        """This one for where nobody is called: a name whose targets all lack something, such as a key, has them all."""
        leads = {route.name for route in self.routes if route.reason is None}
        found = [route if route.name in leads else replace(route, reason=None) for route in self.routes]
        known = {each.pattern for each in self.wildcards}
        others = tuple(each for each in wildcards(found) if each.pattern not in known)
        return replace(self, models={**models(found), **self.models}, wildcards=(*self.wildcards, *others))


def load(path: Path | None, environ: Mapping[str, str], texts: Mapping[Path, str] = MappingProxyType({})) -> Config:
    """The configuration in the file at `path`, or the built-in one. Raises `ConfigError` with all that is wrong.

    `texts` are files' texts to take instead of what is on the disk, to see what would come of them.
    """

    def text(path: Path) -> str:
        return texts[path] if path in texts else text_of(path)

    began = time.time()
    document, files = _read(path, environ, text)
    file, warnings = validated(document)
    known = providers(document, file, document.environ)
    found = routes(document, file, known)
    names = routing.names(document, file, found)
    router, groups = routing.router(document, file, names), routing.groups(document, file, names)
    folder = gather(document, file, path, text, tuple(texts), document.environ)
    deployed = {one.name: versions(one.name, one.entry, one.path, one.place, one.where) for one in folder.declared}
    _check_modules(document, file)
    _check_deployments(document, file, folder.declared, names, deployed)
    _check_keys(document, file, found, deployed, router)
    told_to = otel(document, file)
    if wrong := [one for one in (document, *folder.documents) if one.problems]:
        raise ConfigError("\n".join(one.error().message for one in wrong))
    cached, told = cache(document, file)
    warnings += [*folder.warnings, *told, *_unused(found), *_misspelt_modes(document, file)]
    warnings += [*routing.inexact(document, file, names), *_doubtful_keys(document, file, names, deployed)]
    return Config(
        name=document.name,
        models=models(found),
        providers={name: source.target for name, source in known.items()},
        deployments={name: one.main for name, one in deployed.items()},
        versions=deployed,
        projects=projects(file.projects),
        cache=cached,
        log=file.log,
        router=router,
        server=file.server,
        litellm=LiteLLMSettings(drop_params=file.litellm_settings.drop_params),
        master_key=file.general_settings.master_key,
        warnings=tuple(sorted(warnings, key=lambda warning: (warning.file, warning.line))),
        routes=tuple(found),
        sources=known,
        files=(*files, *folder.files),
        read_at=began,
        wildcards=wildcards(found),
        groups=groups,
        keys=keys.callers(file.keys),
        otel=told_to,
    )


def _read(
    path: Path | None, environ: Mapping[str, str], text: Callable[[Path], str]
) -> tuple[Document, tuple[Path, ...]]:
    """The file, or the built-in one, and all files that it is made of."""
    if path is None:
        return read(STARTER.read_text("utf-8"), "built-in config", environ), ()
    return read_file(path, environ, text)


def _unused(found: list[Route]) -> list[ConfigWarning]:
    return [
        ConfigWarning(route.key, f"{_label(route)} is not used: {route.reason}", route.line, "target", route.file)
        for route in found
        if route.reason
    ]


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


def _undeployed(deployed: Mapping[str, Versions], deployment_id: str) -> str | None:
    """What is wrong with an id that a project gives."""
    try:
        find(deployed, deployment_id)
    except NotFound as error:
        if any(deployment_id.startswith((f"{name}@", f"{name}:")) for name in deployed):
            return error.message
        return f"no such deployment{nearest(deployment_id, deployed)}"
    return None


def _check_deployments(
    document: Document,
    file: File,
    declared: Iterable[Declared],
    names: routing.Names,
    deployed: Mapping[str, Versions],
) -> None:
    for one in declared:
        _check_prompts(one, names)
    for place, message in problems(file.projects, partial(_undeployed, deployed)):
        document.problem(place, message)


def _check_prompts(declared: Declared, names: routing.Names) -> None:
    entry = declared.entry
    for number, prompt in {"v1": entry}.items() if isinstance(entry, Prompt) else entry.versions.items():
        _check_prompt(*declared.stands[number], prompt, names)


def _check_prompt(document: Document, place: Place, prompt: Prompt, names: routing.Names) -> None:
    if prompt.provider is not None and prompt.provider not in PREFIXES:
        document.problem((*place, "provider"), f"unknown provider{nearest(prompt.provider, PREFIXES)}")
    elif prompt.model is not None and prompt.provider is None and not names.has(prompt.model):
        hint = names.hint(prompt.model)
        document.problem((*place, "model"), f"{routing.UNKNOWN}{hint}")


def _check_keys(
    document: Document, file: File, found: list[Route], deployed: Mapping[str, Versions], router: RouterSettings
) -> None:
    asked = {name: {one.model for one in kept.versions.values()} for name, kept in deployed.items()}
    for place, message in keys.problems(file.keys, file.server.dialects):
        document.problem(place, message)
    for place, message in prices.problems(file.keys, models(found), asked, router):
        document.problem(place, message)


def _doubtful_keys(
    document: Document, file: File, names: routing.Names, deployed: Mapping[str, Versions]
) -> list[ConfigWarning]:
    ids = [f"deployment/{one}" for one in deployed]

    def known(name: str) -> bool:
        if name.startswith("deployment/") and name not in names.listed:
            return _undeployed(deployed, name.removeprefix("deployment/")) is None
        return names.has(name)

    def hint(name: str) -> str:
        return nearest(name, [*names.listed, *names.aliases, *ids])

    return [warned(document, *one) for one in keys.doubtful(file.keys, file.server.dialects, known, hint)]


def _check_modules(document: Document, file: File) -> None:
    """The stores and dialects that are named without a `package.module:attribute` are modules of their rooms."""
    named: list[tuple[str, Place, str]] = [
        ("stores.cache", ("cache", "store"), file.cache.store),
        ("stores.log", ("log", "store"), file.log.store),
        *(("dialects", ("server", "dialects", i), name) for i, name in enumerate(file.server.dialects)),
    ]
    for room, place, name in named:
        if place in document.lines and ":" not in name and name not in (shipped := _shipped(room)):
            document.problem(place, f"no such {room.partition('.')[0].removesuffix('s')}{nearest(name, shipped)}")


def _shipped(room: str) -> list[str]:
    found = importlib.util.find_spec(f"proxy.{room}")
    return [module.name for module in pkgutil.iter_modules(found.submodule_search_locations if found else None)]
