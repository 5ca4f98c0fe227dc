"""Which rows of the log are meant over HTTP, in the words of the command line, and what is said of words that fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Depends, Query

from proxy.errors import BadRequest
from proxy.selection import Selection, beginning

Text = Annotated[str | None, Query(max_length=1_000)]

KINDS = (
    *("syntax error", "incomplete input", "unrecognized token"),
    *("no such column", "no such table", "no such function"),
)
"""What SQLite may find wrong, without what it finds it in."""

REFUSED = {
    "where": "is no condition on a row{}; parea-proxy log --where tells what is wrong with it",
    "query": "cannot be answered{}; parea-proxy log sql tells what is wrong with it",
}


def filters(
    project: Text = None,
    model: Annotated[Text, Query(description="A % stands for anything.")] = None,
    status: Literal["success", "error", "cancelled"] | None = None,
    since: Annotated[Text, Query(description="2h or 7d ago, a day or time, or all.")] = None,
    search: Annotated[
        Text, Query(description='Words, "phrases" and begin* that are all in inputs, messages or output.')
    ] = None,
    where: Annotated[Text, Query(description="A condition of SQL on the columns of a row.")] = None,
) -> Selection:
    """The same filters as those of `parea-proxy log`."""
    return Selection(project, model, status, beginning(since), search, where)


def chosen(
    selection: Annotated[Selection, Depends(filters)],
    rows: Annotated[Literal["all", "calls", "tops"], Query(description="tops: those of trees.")] = "calls",
) -> Selection:
    """Those, and the kind of rows."""
    return replace(selection, rows=rows)


@contextlib.contextmanager
def unquoted(param: str = "where") -> Iterator[None]:
    """No refusal repeats a query, as SQLite's own words do."""
    try:
        yield
    except BadRequest as error:
        if error.param != "where":
            raise
        kind = next((f" ({kind})" for kind in KINDS if kind in error.message), "")
        raise BadRequest(f"{param}: {REFUSED[param].format(kind)}", param=param) from None
