"""`log`: the calls that were logged, listed, followed, shown, asked, added up, and taken out and in.

Each verb has a file here. What must stay true: no verb holds more of the log in memory than it shows at a time, what it
prints pipes cleanly, and none but `import`, `forget` and `vacuum` write.
"""

from __future__ import annotations

import importlib

import click
from click.core import ParameterSource

from proxy.commands import json_option
from proxy.commands.log.choice import Choice, choosing, limit_option, timeout_option

VERBS = {
    "export": "export",
    "forget": "forget",
    "import": "intake",
    "show": "show",
    "sql": "question",
    "stats": "stats",
    "tail": "tail",
    "vacuum": "vacuum",
}
"""The verbs, and the file of each."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"proxy.commands.log.{VERBS[name]}"), VERBS[name])
        return command


@click.group(cls=_Verbs, invoke_without_command=True)
@choosing
@click.option("--tops", is_flag=True, help="Only the top of each tree: what `parea-proxy traces` lists.")
@limit_option(20)
@timeout_option
@json_option
@click.pass_context
def log(ctx: click.Context, choice: Choice, tops: bool, limit: int, timeout: float, as_json: bool) -> None:
    """List what was logged, newest first.

    Each row is a call of a model, or a function that a client logged; `parea-proxy traces` lists the trees of them.

    \b
    Examples:
      parea-proxy log --since 2h --status error
      parea-proxy log --where "cost > 0.01 and latency > 5" --json | jq '.[].trace_id'
      parea-proxy log tail --model gpt-4o
      parea-proxy log show 0190d3f2
      parea-proxy log stats --by model --since 7d
      parea-proxy log sql "select model, sum(cost) from traces group by model"
      parea-proxy log export --format openai --output examples.jsonl
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(f"options go behind the verb: parea-proxy log {ctx.invoked_subcommand} ...")
        return
    from proxy.commands.log.rows import show_rows
    from proxy.report import row
    from proxy.terminal import listed

    reader = choice.reader()
    found = reader.stream(choice.selection("tops" if tops else "calls"), limit, seconds=timeout)
    if as_json:
        for text in listed(row(record) for record in found):
            click.echo(text, nl=False)
    else:
        show_rows(reader, found)
