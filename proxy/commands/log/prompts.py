"""Humanloop's prompts, a folder of `.prompt` files, as versions of deployments: what `log import` makes of one.

What must stay true: nothing is copied that the whole config is not valid with, and one that is wrong keeps none of the
others back; no file that is there is changed; a
prompt that is there already, in any version, is not copied again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

SUFFIX = ".prompt"


@dataclass(slots=True, frozen=True)
class _Copy:
    """A prompt: the deployment that it is, its text, and the file that it goes to; None where it is there. Or what is
    wrong with it.
    """

    name: str
    text: str
    target: Path | None
    problem: str | None = None


def are(path: Path) -> bool:
    """Whether this is a prompt, or a folder with prompts."""
    return path.suffix == SUFFIX if path.is_file() else next(_prompts(path), None) is not None


def copy(source: Path, config: Path | None, only_check: bool) -> None:
    """Copy prompts to the folder of deployments, and tell where they are, and which are wrong (exit code 1). Raises
    `ConfigError`.
    """
    from proxy.errors import ConfigError

    texts = {}
    if config is None and only_check:
        # As in the folder of a config that says nothing.
        config = Path("config.yaml")
        texts[config] = "{}"
    elif config is None:
        raise ConfigError(
            "prompts go to the folder `deployments` beside a config.yaml, and there is none here: `parea-proxy init`"
            " makes one, --config names another"
        )
    folder = _folder(config, texts)
    copies = _judged(list(_copies(source, folder)), config, texts)
    if not only_check:
        try:
            for one in copies:
                if one.target is not None:
                    one.target.parent.mkdir(parents=True, exist_ok=True)
                    with one.target.open("x", encoding="utf-8", newline="") as file:
                        file.write(one.text)
        except OSError as error:
            raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from None
    _tell([one for one in copies if one.problem is None], folder, config, only_check)
    wrong = [one.problem for one in copies if one.problem is not None]
    if wrong:
        click.echo("\n".join([f"{len(wrong)} not copied:", *wrong]), err=True)
        click.get_current_context().exit(1)


def _judged(copies: list[_Copy], config: Path, texts: dict[Path, str]) -> list[_Copy]:
    """`copies` with what is wrong with each that the config would not be valid with. Raises `ConfigError` where it is
    none of them alone, or the config is not valid now.
    """
    from proxy.config import load
    from proxy.errors import ConfigError

    def problem(*several: _Copy) -> str | None:
        try:
            load(config, os.environ, {**texts, **{one.target: one.text for one in several if one.target is not None}})
        except ConfigError as error:
            return error.message
        return None

    if (found := problem()) is not None:
        raise ConfigError(found)
    if problem(*copies) is not None:
        copies = [one if one.target is None else replace(one, problem=problem(one)) for one in copies]
        copies = [one if one.problem is None else replace(one, target=None) for one in copies]
        if (found := problem(*copies)) is not None:
            raise ConfigError(f"nothing was copied, the config would not be valid:\n{found}")
    return copies


def _prompts(source: Path) -> Iterator[Path]:
    """The prompts at a path, by name; what begins with a dot is none."""
    if source.is_file():
        yield source
        return
    for path in sorted(source.rglob(f"*{SUFFIX}")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts):
            yield path


def _folder(config: Path, texts: Mapping[Path, str]) -> Path:
    """The folder of deployments that a config reads, or would if it were there."""
    from proxy.config.folder import DEFAULT
    from proxy.config.include import read_file, text_of
    from proxy.config.validation import validated
    from proxy.errors import ConfigError

    document, _ = read_file(config, os.environ, lambda path: texts[path] if path in texts else text_of(path))
    given = validated(document)[0].deployments_folder
    if given == "":
        raise ConfigError(f"{config}: deployments_folder is empty, so no folder is read: leave it out, or name one")
    return config.parent / (given or DEFAULT)


def _copies(source: Path, folder: Path) -> Iterator[_Copy]:
    from proxy.errors import ConfigError

    found = list(_prompts(source))
    if not found or (source.is_file() and source.suffix != SUFFIX):
        raise ConfigError(f"{source}: {'has no' if source.is_dir() else 'is none of the'} {SUFFIX} files")
    base = source if source.is_dir() else source.parent
    for path in found:
        name = path.relative_to(base).with_suffix("").as_posix()
        try:
            if source.is_dir() and not path.resolve().is_relative_to(source.resolve()):
                raise ConfigError(f"{path}: leads out of {source}: put the prompt itself there, or delete the link")
            yield _copy(name, _text(path), folder)
        except ConfigError as error:
            yield _Copy(name, "", None, error.message)


def _copy(name: str, text: str, folder: Path) -> _Copy:
    """A prompt as the next version of its deployment. Raises `ConfigError` where it can have none."""
    from proxy.config.folder import SUFFIXES
    from proxy.errors import ConfigError

    alone = [one for suffix in SUFFIXES if (one := folder / f"{name}{suffix}").exists()]
    if alone and _text(alone[0]) != text:
        below = folder / name / f"v1{alone[0].suffix}"
        raise ConfigError(f"{alone[0]} is the deployment {name!r} already: move it to {below}, and import again")
    versions = [*folder.glob(f"{_literal(name)}/v[1-9]*")]
    numbers = [int(one.stem[1:]) for one in versions if one.stem[1:].isdecimal() and one.suffix in SUFFIXES]
    there = bool(alone) or any(_text(one) == text for one in versions if one.suffix in SUFFIXES)
    return _Copy(name, text, None if there else folder / name / f"v{max(numbers, default=0) + 1}{SUFFIX}")


def _literal(name: str) -> str:
    """A name in a pattern, where it stands for itself."""
    from glob import escape

    return escape(name)


def _text(path: Path) -> str:
    from proxy.config.include import text_of

    return text_of(path)


def _tell(copies: list[_Copy], folder: Path, config: Path, only_check: bool) -> None:
    import yaml

    from proxy.terminal import clean

    new = [one for one in copies if one.target is not None]
    click.echo(f"{len(new)} prompts {'can be copied' if only_check else 'copied'} to {folder}")
    for one in new:
        assert one.target is not None
        first = one.target.stem == "v1"
        click.echo(clean(f"  {one.name}@{one.target.stem}  {one.target}{'' if first else '  the latest version now'}"))
    if len(copies) > len(new):
        click.echo(f"{len(copies) - len(new)} passed over: there already")
    if not new or only_check:
        return
    name = new[0].name
    click.echo(f"They are called by their names: deployment_id {name!r}, or the model 'deployment/{name}'.")
    click.echo(f"Clients of Humanloop's v4 name a project: add to {config} what they ask for, such as")
    block = {name.rpartition("/")[2]: {"environments": {"production": f"{name}"}}}
    click.echo("\n".join(f"  {line}" for line in yaml.safe_dump({"projects": block}).splitlines()))
