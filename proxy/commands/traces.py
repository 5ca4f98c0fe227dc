"""`traces`: the latest calls, or one tree of them."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands import config_option, data_option, json_option, print_json
from proxy.places import config_path, data_folder


@click.command()
@click.argument("trace_id", required=False)
@config_option
@data_option
@click.option("--limit", default=20, type=click.IntRange(1, 100), show_default=True, help="How many traces to list.")
@click.option("--status", type=click.Choice(["success", "error", "cancelled"]), help="Only those that ended so.")
@click.option("--project", help="Only those of this project.")
@json_option
def traces(
    trace_id: str | None,
    path: Path | None,
    data: Path | None,
    limit: int,
    status: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """List the latest traces, or show one as a tree.

    Without TRACE_ID, one line for each trace, newest first. With it, that row and every row below it, or every row of
    the session with that id; the beginning of an id will do if no other begins so.

    \b
    Examples:
      parea-proxy traces --status error --limit 5
      parea-proxy traces --json | jq '.[].cost'
    """
    from proxy import report
    from proxy.protocols import TraceQuery
    from proxy.stores.log.sqlite import open_readonly

    log = open_readonly(data_folder(data, config_path(path)) / "traces.db")
    if trace_id is None:
        page = log.search(TraceQuery(project_name=project, status=status, page_size=limit))
        rows, tree = page.roots, False
    else:
        rows, tree = report.tree_rows(log, trace_id), True
    if as_json:
        print_json([report.row(record) for record in rows])
    elif tree:
        report.show_tree(rows, str(trace_id))
    else:
        from proxy.commands.log.rows import show_rows

        show_rows(log, rows)
        click.secho(f"{len(rows)} of {page.total}", dim=True)
