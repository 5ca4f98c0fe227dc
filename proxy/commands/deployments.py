"""`deployments`: which versions there are, how they do, and which is used where.

What must stay true: what is printed of a deployment pipes as it is, and a verb that edits a file tells what it did, or
changes nothing and says why.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import Command, config_option, data_option, json_option, load, print_json
from proxy.errors import ConfigError
from proxy.places import config_path, data_folder

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.config.deployment import Deployment, Versions
    from proxy.config.project import Environment
    from proxy.promotion import Change
    from proxy.protocols import VersionUse

    Uses = dict[tuple[str, str | None], VersionUse]

stats_option = click.option("--stats", is_flag=True, help="Also calls, errors, cost and scores, from the trace log.")
dry_option = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
environment_option = click.option("--env", "environment", default="current", show_default=True, help="Where.")


@click.group()
def deployments() -> None:
    """Look at deployed prompts, and choose versions.

    A deployment is named as clients name it: NAME, NAME@v2 (or the beginning of its hash), NAME:production. What is
    changed is the file in which the deployment stands; a gateway that runs follows.

    \b
    Examples:
      parea-proxy deployments list --stats
      parea-proxy deployments diff p-forecast@v1 p-forecast@v2
      parea-proxy deployments canary p-forecast@v2 10% --env production
      parea-proxy deployments promote p-forecast@v2 production
      parea-proxy deployments rollback p-forecast:production
    """


def _reading(command: Command) -> Command:
    return config_option(data_option(stats_option(json_option(command))))


@deployments.command("list")
@_reading
def list_(path: Path | None, data: Path | None, stats: bool, as_json: bool) -> None:
    """List the deployments with the versions that are used; with --stats every version, with how it did."""
    config = load(config_path(path))
    uses = _uses(data, path, None) if stats else None
    if as_json:
        print_json([_summary(one, uses) for one in config.versions.values()])
    else:
        _show_table(list(config.versions.values()), uses)


@deployments.command()
@click.argument("name")
@_reading
def show(name: str, path: Path | None, data: Path | None, stats: bool, as_json: bool) -> None:
    """Show a deployment: its versions, where each is used, and what NAME means as YAML."""
    from proxy.config.deployment import find

    config = load(config_path(path))
    versions, environment = find(config.versions, name)
    uses = _uses(data, path, versions.id) if stats else None
    meant = [versions.versions[variant.deployment] for variant in environment.variants]
    if as_json:
        print_json(_summary(versions, uses) | {"meant": [_content(one) for one in meant]})
        return
    _show_table([versions], uses, each=True)
    for one in meant:
        click.echo(f"\n# {versions.id}@{one.number} {one.version}")
        click.echo("\n".join(_lines(one)))


@deployments.command()
@click.argument("a")
@click.argument("b")
@config_option
@json_option
def diff(a: str, b: str, path: Path | None, as_json: bool) -> None:
    """Show what version B has that A has not, as a unified diff. B alone may be a version: diff NAME@v1 v2."""
    from proxy.config.deployment import find

    config = load(config_path(path))
    names = [a, b]
    if b not in config.versions and "@" not in b and ":" not in b:
        names[1] = f"{find(config.versions, a)[0].id}@{b}"
    old, new = (_only(config, name) for name in names)
    lines = list(difflib.unified_diff(_lines(old), _lines(new), names[0], names[1], lineterm=""))
    if as_json:
        print_json({"a": _content(old), "b": _content(new), "diff": lines})
    else:
        show_diff(lines)


def _changing(command: Command) -> Command:
    return config_option(dry_option(command))


@deployments.command()
@click.argument("name")
@click.argument("environment", default="current")
@_changing
def promote(name: str, environment: str, path: Path | None, dry_run: bool) -> None:
    """Let ENVIRONMENT, or the bare name, have the version NAME@v."""
    from proxy import promotion

    _change(path, dry_run, lambda config: promotion.promote(config, name, environment))


@deployments.command()
@click.argument("name")
@_changing
def rollback(name: str, path: Path | None, dry_run: bool) -> None:
    """Let NAME, or NAME:ENVIRONMENT, have the version that it had before. Twice is back again."""
    from proxy import promotion

    _change(path, dry_run, lambda config: promotion.rollback(config, name))


@deployments.command()
@click.argument("name")
@click.argument("share")
@environment_option
@_changing
def canary(name: str, share: str, environment: str, path: Path | None, dry_run: bool) -> None:
    """Give the version NAME@v a SHARE, such as 10%, of an environment or of the bare name.

    A session, or else an end user, stays with the version it got; of those a share that is raised draws more.
    """
    from proxy import promotion

    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        raise ConfigError("SHARE should be a percentage, such as 10%") from None
    _change(path, dry_run, lambda config: promotion.canary(config, name, percent, environment))


def _change(path: Path | None, dry_run: bool, decide: Callable[[Config], Change]) -> None:
    from proxy import promotion

    path = config_path(path)
    if path is None:
        raise ConfigError("the built-in config cannot be changed: parea-proxy init writes one that can")
    change = decide(load(path))
    if not dry_run:
        promotion.write(change, path, os.environ)
        click.echo(change.told)
        return
    promotion.check(change, path, os.environ)
    before, name = (change.before or "").splitlines(), str(change.path)
    show_diff(list(difflib.unified_diff(before, change.after.splitlines(), name, name, lineterm="")))


def _uses(data: Path | None, path: Path | None, deployment_id: str | None) -> Uses:
    """What the trace log knows of each version; nothing where there is no log yet."""
    from proxy.stores.log.sqlite import open_readonly

    log = data_folder(data, config_path(path)) / "traces.db"
    if not log.exists():
        return {}
    return {(use.deployment_id, use.version): use for use in open_readonly(log).versions(deployment_id)}


def _only(config: Config, name: str) -> Deployment:
    from proxy.config.deployment import find

    versions, environment = find(config.versions, name)
    if len(environment.variants) > 1:
        there = " ".join(f"{versions.id}@{variant.deployment}" for variant in environment.variants)
        raise ConfigError(f"{name} is several versions: name one of {there}")
    return versions.versions[environment.variants[0].deployment]


def _summary(versions: Versions, uses: Uses | None) -> dict[str, Any]:
    """A deployment as JSON."""
    import dataclasses

    shown = []
    for one in versions.versions.values():
        about: dict[str, Any] = {"number": one.number, "version": one.version, "config_id": one.config_id}
        about |= {"model": one.model, "file": one.where}
        if uses is not None:
            use = uses.get((versions.id, one.version))
            about["stats"] = dataclasses.asdict(use) if use else None
        shown.append(about)
    return {
        "deployment": versions.id,
        "file": versions.where,
        "versions": shown,
        "environments": {name: _weights(one) for name, one in versions.places().items()},
        "previous": {name: _weights(one) for name, one in versions.previous.items()},
    }


def _weights(environment: Environment) -> dict[str, float]:
    return {variant.deployment: variant.weight for variant in environment.variants}


def _content(version: Deployment) -> dict[str, Any]:
    """A version as the file would have it."""
    keys = ("model", "provider", "prompt", "messages", "params", "functions", "function_call")
    content = {key: value for key in keys if (value := getattr(version, key))}
    if version.prompt is not None:
        del content["messages"]
    return {"name": version.name, **content} if version.name != version.id else content


def _lines(version: Deployment) -> list[str]:
    """The same as lines of YAML, which nothing of its text can make a terminal take for more."""
    import yaml

    from proxy.terminal import clean

    class Dumper(yaml.SafeDumper):
        """Long texts as blocks, and no aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    Dumper.add_representer(str, text)
    written = yaml.dump(_content(version), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return [clean(line, len(line)) for line in written.splitlines()]


def _show_table(every: list[Versions], uses: Uses | None, each: bool = False) -> None:
    from proxy.terminal import console, table, text

    columns = ["deployment", "version", "used", "model"]
    figures = ["calls", "errors", "cost", "p50", "score", "feedback"] if uses is not None else []
    shown = table(*columns, *figures, "file")
    for versions in every:
        used = {one: ", ".join(_used(versions, one)) for one in versions.versions}
        listed = [number for number in used if each or uses is not None or used[number]]
        for number in listed:
            one = versions.versions[number]
            row = [versions.id, f"{number} {one.version}", used[number] or "-", one.model or "the request's"]
            row += _figures(uses.get((versions.id, one.version))) if uses is not None else []
            shown.add_row(*(text(cell) for cell in [*row, one.where]))
        if more := len(used) - len(listed):
            blank = [""] * (2 + len(figures))
            shown.add_row(*(text(cell) for cell in [versions.id, f"and {more} more", *blank, ""]))
    console().print(shown)


def _used(versions: Versions, number: str) -> Iterator[str]:
    """Where a version is used, with its share where it is not alone."""
    for name, environment in versions.places().items():
        whole = sum(variant.weight for variant in environment.variants)
        for variant in environment.variants:
            if variant.deployment == number:
                share = f" {variant.weight / whole * 100:.4g}%" if len(environment.variants) > 1 else ""
                yield f"{name}{share}"


def _figures(use: VersionUse | None) -> list[str]:
    if use is None:
        return ["0", "0", "-", "-", "-", "-"]
    latency = "-" if use.latency is None else f"{use.latency:.3f} s"
    means = ["-" if one is None else f"{one:.3g}" for one in (use.score, use.feedback)]
    return [str(use.calls), str(use.errors), f"${use.cost:.6f}", latency, *means]


def show_diff(lines: list[str]) -> None:
    """A unified diff, in colours where somebody looks at it."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        click.echo(click.style(line, fg=colours.get(line[:1])))
