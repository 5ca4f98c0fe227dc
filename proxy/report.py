"""What the command line prints about the config and the trace log, for people and as JSON.

Keys are told by where they come from, and a trace is one line in a pipe, whatever it holds (see `terminal.py`).
"""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy import overview
from proxy.config import Config
from proxy.config.project import Project
from proxy.config.route import Source
from proxy.config.targets import lacking
from proxy.errors import ConfigError
from proxy.record import FLAGS, Record
from proxy.terminal import clean as _clean
from proxy.terminal import console as _console
from proxy.terminal import table as _table
from proxy.terminal import text as _text
from proxy.tree import INDENT, LEVELS, drawn
from proxy.vendors import VENDORS

if TYPE_CHECKING:
    from proxy.stores.log.reader import Reader

_COLORS = {"success": "green", "error": "red", "cancelled": "yellow"}


def summary(config: Config) -> dict[str, Any]:
    """The effective configuration, without any secret."""
    return {
        "valid": True,
        "config": config.name,
        "files": [str(path) for path in config.files],
        "models": overview.targets(config),
        "groups": overview.groups(config),
        "routing": overview.routing(config),
        "providers": {
            name: {**_endpoint(source), "missing": lacking(VENDORS[name], source.target)}
            for name, source in config.sources.items()
        },
        "deployments": {
            name: {"model": one.model, "provider": one.provider, "version": one.version, "config_id": one.config_id}
            for name, one in config.deployments.items()
        },
        "projects": {name: _project(one) for name, one in config.projects.items()},
        "master_key": config.master_key is not None,
        "keys": [caller.name for caller in config.keys.values()],
        "redact": config.log.redacted,
        "warnings": [dataclasses.asdict(warning) for warning in config.warnings],
    }


def show(config: Config) -> None:
    """The effective configuration as tables."""
    console = _console()
    console.print(Text(f"{config.name} is valid."))
    console.print(_targets(config))
    console.print(_groups(config))
    console.print(_text(overview.told(config)))
    providers = _table("provider", "key from", "")
    for name, source in config.sources.items():
        missing = lacking(VENDORS[name], source.target)
        state = Text(f"no {', '.join(missing)}", style="dim") if missing else Text("can be called", style="green")
        providers.add_row(name, _text(source.key or "-"), state)
    console.print(providers)
    if config.deployments:
        deployments = _table("deployment", "model", "version")
        for name, one in config.deployments.items():
            deployments.add_row(_text(name), _text(one.model or "the request's"), _text(one.version))
        console.print(deployments)
    if config.projects:
        console.print(_deployed(config))
    if config.log.redact:
        console.print(_text(f"What is logged is redacted: {', '.join(config.log.redacted)}."))
    for warning in config.warnings:
        if warning.kind == "key":
            where = _clean(f"{warning.file}{', ' * bool(warning.file)}line {warning.line}")
            console.print(Text(f"warning: {where}: {warning.key} {warning.message}", style="yellow"))
    if not config.closed:
        console.print(Text("No master_key and no keys: only this machine is served.", style="dim"))


def _targets(config: Config) -> Table:
    """Each entry of `model_list`: when it is asked, whose key it has, what it may take, or why it is not used."""
    table = _table("model name", "asked", "target", "key from", "limits", "line", "")
    groups = overview.groups(config)
    for name, targets in overview.targets(config).items():
        for one in targets:
            words = [one["id"], one["target"] if not one["id"].startswith(one["target"]) else ""]
            words += [f"at {one['api_base']}" if one["api_base"] else ""]
            table.add_row(
                _text(name),
                _text(overview.asked(groups[name], one)),
                _text(" ".join(word for word in words if word)),
                _text(one["key_from"] or "-"),
                _text(overview.limits(one) or "-"),
                _text(f"{one['file']}:{one['line']}" if "file" in one else str(one["line"])),
                Text("called", style="green") if one["used"] else Text(_clean(one["reason"]), style="dim"),
            )
    return table


def _groups(config: Config) -> Table:
    """What holds for each name: how its targets are chosen, for how long, how often, and what is asked after them."""
    table = _table("model name", "strategy", "retries", "timeouts", "fallbacks", "other names")
    for name, group in overview.groups(config).items():
        table.add_row(
            _text(name),
            group["strategy"],
            str(group["num_retries"]),
            ", ".join(overview.times(group)),
            _text(overview.fallen_back(group) or "-"),
            _text(", ".join(group["aliases"]) or "-"),
        )
    return table


def _project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "default": project.default,
        "environments": {
            name: {"id": one.id, "deployments": {variant.deployment: variant.weight for variant in one.variants}}
            for name, one in project.environments.items()
        },
    }


def _deployed(config: Config) -> Table:
    """What each environment has deployed; of an experiment also each variant's share."""
    table = _table("project", "environment", "deployment", "share")
    for project in config.projects.values():
        for name, environment in project.environments.items():
            whole = sum(variant.weight for variant in environment.variants)
            for variant in environment.variants:
                table.add_row(
                    _text(project.name),
                    _text(name + (" (default)" if name == project.default else "")),
                    _text(variant.deployment),
                    f"{variant.weight / whole:.1%}" if environment.experiment else "",
                )
    return table


def tree_rows(log: Reader, trace_id: str) -> list[Record]:
    """The row called `trace_id`, or the only one whose id begins so, and the rows below it.

    Where a tree or a session has that id and no row of its own, all its rows.
    """
    record = log.get(trace_id)
    if record is None:
        if members := log.members(trace_id):
            return members
        named = log.named(trace_id, 2) if trace_id else []
        record = log.get(named[0]) if len(named) == 1 else None
        if record is None:
            several = "several traces begin with" if named else "there is no trace"
            raise ConfigError(f"{several} {_clean(trace_id)!r}: parea-proxy traces lists them")
    return [record, *log.descendants(record.trace_id)]


def row(record: Record) -> dict[str, Any]:
    """A record as JSON."""
    names = [field.name for field in dataclasses.fields(record) if field.name not in FLAGS]
    return {name: getattr(record, name) for name in names}


def line_of(record: Record) -> list[Text | str]:
    """A row of the log as the cells of a table."""
    return [
        _text(record.trace_id),
        _text(_when(record.start_timestamp)),
        _text(record.name or "-"),
        _text(record.model or "-"),
        *figures_of(record),
        status_of(record),
    ]


def show_tree(records: list[Record], trace_id: str) -> None:
    """The first record with all others below their parents; what has no parent here hangs under the first.

    Where it is not the one that `trace_id` names, it hangs with the others under a line for what has that id.
    """
    console = _console()
    rooted = records[0].trace_id.startswith(trace_id)
    if not rooted:
        console.print(Text.assemble((_clean(trace_id), "bold"), ("  no row of its own", "dim")))
    for one in drawn(records, rooted=rooted, levels=levels_of(console)):
        line, stem = _line(one.record), one.stem
        if not console.is_terminal:
            sys.stdout.write(f"{stem}{line.plain}\n")
            continue
        for piece in line.wrap(console, max(console.width - cell_len(stem), 1)):
            console.print(Text(stem).append_text(piece))
            stem = one.beside


def levels_of(console: Console, part: int = 2) -> int:
    """How many levels of a tree are drawn: at most a `part`th of a terminal's width is for them."""
    return min(max(console.width // part // INDENT, 1), LEVELS)


def _line(record: Record) -> Text:
    latency, cost, tokens = figures_of(record)
    line = Text.assemble((_clean(record.name or record.trace_id), "bold"), "  ", _clean(record.model or ""))
    for figure in (latency, cost, f"{tokens} tokens" if tokens != "-" else "-"):
        if figure != "-":
            line.append(f"  {figure}")
    line.append("  ").append_text(status_of(record))
    for score in record.scores:
        if (told := said_of(score)) is not None:
            line.append(f"  {told}", style="cyan")
    if record.error:
        line.append(f"  {_clean(record.error)}", style="red")
    return line.append(f"  {_clean(record.trace_id)}", style="dim")


def said_of(score: dict[str, Any]) -> str | None:
    """A score by its name and what was given: a person's own word, or the number. What was withdrawn is not told."""
    given = score.get("value", score.get("score"))
    if given is None or given == "":
        return None
    name = str(score.get("name") or "score")
    return _clean(name if name.endswith(f": {given}") else f"{name}: {given}")


def figures_of(record: Record) -> tuple[str, str, str]:
    return (
        "-" if record.latency is None else f"{record.latency:.3f} s",
        "-" if record.cost is None else f"${record.cost:.6f}",
        "-" if record.total_tokens is None else str(record.total_tokens),
    )


def status_of(record: Record) -> Text:
    status = _clean(record.status or "-") + (" (cached)" if record.cache_hit else "")
    return Text(status, style=_COLORS.get(record.status or "", ""))


def _endpoint(source: Source) -> dict[str, Any]:
    return {"key_from": source.key, "api_base": overview.address(source.target.api_base)}


def _when(timestamp: str) -> str:
    """A stored time in this machine's own zone."""
    try:
        return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return timestamp
