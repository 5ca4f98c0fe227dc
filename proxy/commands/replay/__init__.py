"""`replay`: what was logged is called again, with another model, another prompt or other parameters, and compared.

What must stay true: the calls go the way of every call, in this process, whether a gateway runs or not, and never to
the cache; what is done is kept, however it ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import json_option, load, print_json
from proxy.commands.log.choice import Choice, choosing, limit_option

if TYPE_CHECKING:
    from proxy.app import Gateway
    from proxy.commands.replay.outcome import Run
    from proxy.commands.replay.request import Wanted
    from proxy.commands.replay.run import Interrupts, Plan
    from proxy.config import Config
    from proxy.stores.log.reader import Reader

MANY = 100
"""Calls that are made without a question; for more than that a terminal is asked."""

NOTHING = 3
"""The exit code where no row could be called, and nothing was compared."""


@click.command()
@click.argument("trace_ids", nargs=-1, metavar="[ID]...")
@partial(choosing, model="--of-model")
@limit_option(100)
@click.option("--model", "target", metavar="MODEL", help="The model to call, as a request would name it.")
@click.option("--deployment", metavar="ID", help="The prompt to fill with each row's inputs: name@version, name:env.")
@click.option(
    "--set", "params", multiple=True, metavar="NAME=VALUE", help="A parameter, in JSON or as text; null: none."
)
@click.option("-n", "times", default=1, type=click.IntRange(1, 1000), show_default=True, help="So often each.")
@click.option("--concurrency", default=4, type=click.IntRange(1, 256), show_default=True, help="Calls at a time.")
@click.option(
    "--patience",
    default=300.0,
    type=click.FloatRange(0, 86400),
    show_default=True,
    help="Seconds to wait for a model that is at its limit or rests, from its last answer on.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report, one file by itself.")
@click.option("--dry-run", is_flag=True, help="Only say what would be called; call nobody, write nothing.")
@click.option("--yes", is_flag=True, help=f"Do not ask before more than {MANY} calls.")
@json_option
def replay(choice: Choice, trace_ids: tuple[str, ...], limit: int, html: Path | None, **options: Any) -> None:
    """Call again what was logged, and compare the answers.

    Rows are named by their ids, of which the beginning will do, or chosen as `parea-proxy log` does. Each is called
    with what was logged of it, changed as the options say, by the config as it is now; without any, once more as it
    was. Every call is logged below its original, with the tag `replay`. The cache is neither asked nor filled, and no
    key's budget is touched. docs/replay.md says what cannot be repeated.

    The exit code is 0 if all calls were answered, 1 if one failed, 3 if nothing could be called, and 130 after Ctrl-C.

    \b
    Examples:
      parea-proxy replay 0190d3f2 --model gpt-4o-mini
      parea-proxy replay --where "name = 'answer'" --since 7d --model claude-haiku-4-5 --html report.html
      parea-proxy replay --of-model gpt-4o --limit 20 --set temperature=0 -n 5
      parea-proxy replay --project shop --deployment answer@v2 --dry-run
    """
    if trace_ids and any(choice.said.values()):
        raise click.UsageError("ids or conditions, not both")
    if not trace_ids and not any(choice.said.values()):
        raise click.UsageError("which rows? Give ids, or a condition such as --since 1h or --where")
    from proxy.commands.replay.run import kept

    config = load(choice.config)
    wanted = _wanted(config, options)
    _check(html)
    raise click.exceptions.Exit(asyncio.run(_run(choice, kept(config), wanted, trace_ids, limit, html, options)))


def _wanted(config: Config, options: dict[str, Any]) -> Wanted:
    """What shall be otherwise. Raises a `GatewayError` where the config has no such thing."""
    from proxy.commands.replay.parameter import parameter
    from proxy.commands.replay.request import Wanted
    from proxy.config.deployment import find
    from proxy.errors import ConfigError
    from proxy.middleware.names import Names
    from proxy.middleware.resolve import DEPLOYMENT

    model, deployment = options["target"], options["deployment"]
    if model is not None:
        if model.startswith(DEPLOYMENT) and model not in config.models:
            raise ConfigError(f"--model: for a deployment write --deployment {model.removeprefix(DEPLOYMENT)}")
        Names(config).group(model)
    if deployment is not None:
        find(config.versions, deployment)
    return Wanted(model, deployment, dict(parameter(one) for one in options["params"]))


def _check(html: Path | None) -> None:
    """Raises `ConfigError` where the report could not be written: that would be known after all calls are paid."""
    from proxy.errors import ConfigError

    if html is not None and not html.parent.is_dir():
        raise ConfigError(f"--html {html}: there is no such folder")


async def _run(
    choice: Choice,
    config: Config,
    wanted: Wanted,
    trace_ids: tuple[str, ...],
    limit: int,
    html: Path | None,
    options: dict[str, Any],
) -> int:
    """Do it; returns the exit code."""
    from proxy.app import Gateway
    from proxy.commands.replay import run as runs
    from proxy.commands.replay.outcome import Run
    from proxy.commands.replay.rows import Rows
    from proxy.ids import new_id

    log = choice.reader()
    rows = Rows(log, choice, trace_ids, limit)
    with TemporaryDirectory() as apart, runs.Interrupts() as interrupts:
        # without calls nothing is written to the data folder, be it the file of a tally
        gateway = Gateway(config, Path(apart) if options["dry_run"] else choice.path.parent)
        try:
            plan = runs.planned(gateway, rows, wanted, config.versions)
            plan.skipped += rows.passed
            run = Run(new_id(), len(plan.rows), len(plan.rows) * options["times"], plan.reasons())
            asked = run.planned > MANY and not options["yes"] and sys.stdin.isatty()
            if not (asked or options["dry_run"]):
                interrupts.heed(run)
            _say(run, plan, options["times"], rows.more)
            if options["dry_run"]:
                _show_plan(plan, run, as_json=options["as_json"])
                return 0
            if asked:
                click.confirm("Go on?", abort=True, err=True)
                interrupts.heed(run)
            lost: str | None = None
            if run.planned:
                lost = await _reported(run, log, html, _call(gateway, run, plan, wanted, options, interrupts))
            if run.planned or options["as_json"]:
                _tell(run, log, as_json=options["as_json"])
        finally:
            await gateway.close()
    return _ended(run, lost)


def _ended(run: Run, lost: str | None) -> int:
    """Say why less came of it than was meant, the report being `lost` for example; returns the exit code."""
    for told in (lost, run.why()):
        if told is not None:
            click.echo(told, err=True)
    if run.interrupted:
        return 130
    if not run.planned:
        return NOTHING
    return 1 if lost is not None or not run.succeeded else 0


async def _reported(run: Run, log: Reader, html: Path | None, calls: Coroutine[Any, Any, None]) -> str | None:
    """Make the calls, and write the report of them: into a file that is there before the first of them is paid. Returns
    why it could not be written after all.
    """
    from proxy.commands.log.export import target
    from proxy.commands.replay.page import page
    from proxy.errors import ConfigError

    if html is None:
        await calls
        return None
    with closing(calls):
        try:
            with target(html, "--html") as out:
                await calls
                out.writelines(page(run, run.totals(), log.get))
        except ConfigError as error:
            if not run.outcomes:
                raise
            return error.message
    click.echo(f"report written to {html}", err=True)
    return None


def _say(run: Run, plan: Plan, times: int, more: bool) -> None:
    """How much is to be done, before it is."""
    from proxy.terminal import clean

    cost = (
        f", about ${plan.cost * times:.4f} with as many tokens as before" if plan.rows and plan.cost is not None else ""
    )
    newest = ", the newest: there are more (--limit)" if more else ""
    counted = f"{_counted(run.planned, 'call')} of {_counted(run.rows, 'row')}{newest}"
    skipped = f"; {_counted(len(plan.skipped), 'row')} skipped" if plan.skipped else ""
    click.echo(f"{counted} to {clean(', '.join(plan.targets)) or 'nobody'}{cost}{skipped}", err=True)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _show_plan(plan: Plan, run: Run, *, as_json: bool) -> None:
    from proxy.commands.log.table import Column, show
    from proxy.terminal import text

    skipped = dict(plan.skipped)
    if as_json:
        print_json({"calls": run.planned, "rows": plan.rows, "skipped": skipped, "cost": plan.cost})
        return
    told = [(one, "would be called") for one in plan.rows] + [(one, f"skipped: {why}") for one, why in plan.skipped]
    show([Column("trace"), Column("", least=24)], ([text(one), text(what)] for one, what in told))


async def _call(
    gateway: Gateway, run: Run, plan: Plan, wanted: Wanted, options: dict[str, Any], interrupts: Interrupts
) -> None:
    from proxy.commands.log.progress import Progress
    from proxy.commands.replay import run as runs
    from proxy.patience import Patience

    jobs = [runs.Job(row, number) for row in plan.rows for number in range(1, options["times"] + 1)]
    patience, known, made = Patience(options["patience"]), gateway.explainer.config.versions, 0

    def done(count: int) -> None:
        nonlocal made
        made = count

    def told(progress: Progress) -> None:
        waiting, seconds = patience.waiting()
        more = f", {waiting} waiting for their model: {seconds:.0f} s" if waiting else ""
        progress.tell(made / len(jobs), made, more)

    with Progress("loading", "calls") as progress:
        async with _watched(lambda: progress.tell(0.0, len(jobs))):
            await interrupts.during(runs.warmed(gateway, plan, wanted, known))
    with Progress("calling", "calls") as progress:
        async with _watched(lambda: told(progress)):
            calls = runs.carried_out(gateway, run, jobs, wanted, known, options["concurrency"], patience, done)
            await interrupts.during(calls)


@asynccontextmanager
async def _watched(tell: Callable[[], None]) -> AsyncIterator[None]:
    """Have it told, as long as this lasts, how far it has come."""
    from proxy.commands.log.progress import EACH

    async def watch() -> None:
        while True:
            tell()
            await asyncio.sleep(EACH)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def _tell(run: Run, log: Reader, *, as_json: bool) -> None:
    """Print what came of it."""
    from proxy.commands.replay import report

    totals = run.totals()
    if as_json:
        calls = [report.as_json(one, log.get) for one in run.outcomes]
        print_json({"run": run.id, "totals": totals.as_json(), "calls": calls})
        return
    for outcome in run.outcomes:
        report.show(outcome, log.get)
    report.show_totals(totals)
