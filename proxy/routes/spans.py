"""`POST /v1/traces`: spans of applications, over OTLP and HTTP, for the trace log.

What must stay true: a span that is answered with 200 is in the log, or was sampled out; else the sender is told to come
again, and what it sends twice is there once. What is packed is not unpacked beyond `server.max_body`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from proxy.dialects.archives import otlp
from proxy.errors import BadRequest, NotReady, TooLarge, UnsupportedMedia
from proxy.record import Record
from proxy.routes.strict import StrictRoute

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

BODY = {
    JSON: {
        "schema": {"type": "object", "properties": {"resourceSpans": {"type": "array", "items": {"type": "object"}}}}
    },
    PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
}
"""What the document tells of the body: an `ExportTraceServiceRequest`."""

Write = Callable[[Record], asyncio.Future[bool]]
"""Takes a record through the processors to the log."""


def router(write: Write, max_body: int) -> APIRouter:
    """The route, without a prefix."""
    routes = APIRouter(tags=["traces"], route_class=StrictRoute)

    @routes.post(
        "",
        summary="Log an application's spans: OTLP over HTTP, as JSON or protobuf",
        openapi_extra={"requestBody": {"content": BODY}},
    )
    async def spans(request: Request) -> Response:
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        body, packing = await request.body(), request.headers.get("content-encoding", "identity").strip().lower()
        # in a thread: a batch of thousands takes a while
        records = await asyncio.to_thread(_read, body, packing, kind, max_body, request.app.state.max_depth)
        if not all(await asyncio.gather(*[write(record) for record in records])):
            raise NotReady("the spans could not be logged: send them again")
        # an `ExportTraceServiceResponse` without anything to say
        return Response(b"" if kind == PROTOBUF else b"{}", media_type=PROTOBUF if kind == PROTOBUF else JSON)

    return routes


def _read(body: bytes, packing: str, kind: str, max_body: int, max_depth: int) -> list[Record]:
    body = _unpacked(body, packing, max_body)
    return otlp.from_protobuf(body) if kind == PROTOBUF else otlp.from_json(body, max_depth)


def _unpacked(body: bytes, packing: str, most: int) -> bytes:
    if packing == "identity":
        return body
    if packing != "gzip":
        raise UnsupportedMedia("content-encoding: gzip or none")
    unpacking = zlib.decompressobj(31)
    try:
        whole = unpacking.decompress(body, most)
    except zlib.error:
        raise BadRequest("the body is no gzip") from None
    if unpacking.unconsumed_tail:
        raise TooLarge(f"the body is larger than {most} bytes when it is unpacked (server.max_body)")
    if not unpacking.eof:
        raise BadRequest("the body is no whole gzip")
    return whole
