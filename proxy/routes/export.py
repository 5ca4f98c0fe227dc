"""`GET /admin/export`: rows of the log in the forms that others read, as `parea-proxy log export` writes them.

What must stay true: no more than a page of rows is held, whoever reads however slowly, and nothing of the log is held
meanwhile; what cannot be read to its end breaks off, without the body's last chunk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.types import Send

from proxy.config import Config
from proxy.errors import GatewayError
from proxy.protocols import ProjectUse, TraceLog
from proxy.routes.filters import filters, unquoted
from proxy.routes.forms import NDJSON, Form, Name, form
from proxy.selection import Pages, Selection, Slice

logger = logging.getLogger("proxy")

AT_ONCE = 200
"""Rows of a page."""

PIECE = 64 * 1024
"""Characters of lines that are made in one go, or one line that is longer."""

CONTENT = {"content": {NDJSON: {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}}}


class Streamed(StreamingResponse):
    """A body that breaks off where the log cannot be read any further."""

    async def stream_response(self, send: Send) -> None:
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            try:
                await super().stream_response(send)
            except GatewayError as error:
                logger.warning("an export was broken off: %s", error.message)


def add(routes: APIRouter, log: TraceLog, pages: Pages, config: Config) -> None:
    """`GET /export`."""

    @routes.get(
        "/export",
        summary="Rows of the log as a file, newest first",
        response_class=Streamed,
        responses={200: CONTENT},
    )
    async def export(selection: Annotated[Selection, Depends(filters)], format: Name = "jsonl") -> Streamed:
        """The forms are those of `parea-proxy log export`. What cannot be read to its end breaks off."""
        found: list[ProjectUse] = await log.projects() if format == "humanloop" else []
        shown = form(format, lambda: config, lambda: found)
        selection = replace(selection, rows=shown.rows)
        with unquoted():
            first = await pages.page(selection, None, AT_ONCE)
        headers = {"content-disposition": f'attachment; filename="{shown.file}"'}
        return Streamed(_pieces(pages, selection, shown, first), headers=headers, media_type=shown.media_type)


async def _pieces(pages: Pages, selection: Selection, shown: Form, found: Slice) -> AsyncGenerator[str, None]:
    if shown.head:
        yield shown.head
    while True:
        lines = (line for record in found.records if (line := shown.line(record)) is not None)
        while piece := await asyncio.to_thread(_piece, lines):
            yield piece
        if found.after is None:
            return
        found = await pages.page(selection, found.after, AT_ONCE)


def _piece(lines: Iterator[str]) -> str:
    """The next of the lines, as many as make a piece; none where there are no more."""
    made, size = [], 0
    for line in lines:
        made.append(line)
        size += len(line)
        if size >= PIECE:
            break
    return "".join(made)
