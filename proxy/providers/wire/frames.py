"""AWS's event streams: the pieces of a body in, the payloads of whole events out, by botocore's own buffer.

What must stay true: an event is believed only with its checksums; an event that tells a failure is raised as LiteLLM
reads it; a body that ends in the middle of an event is `Truncated`.
"""

from __future__ import annotations

from typing import Any

from proxy.providers.wire.exchange import Malformed, Truncated


class Frames:
    """Cuts one stream into events; `feed` it every piece in order, then call `end`. `decoder` is LiteLLM's."""

    def __init__(self, decoder: Any) -> None:
        from botocore.eventstream import EventStreamBuffer, ParserError

        self._buffer = EventStreamBuffer()
        self._wrong = ParserError
        self._decoder = decoder
        self._left = 0
        self._error: Exception | None = None
        """What is wrong with the stream, once what came before it was given out."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads of the events that this piece completes. Raises `Malformed`, and the failure that one tells,
        with the piece after those that could be read.
        """
        payloads: list[bytes] = []
        if self._error is None:
            self._left += len(piece)
            self._buffer.add_data(piece)
            try:
                for event in self._buffer:
                    self._left -= event.prelude.total_length
                    payloads.append(event.payload if _told(event.headers) else self._failure(event))
            except self._wrong:
                self._error = Malformed("an event of the provider's stream does not have its checksum")
            except Exception as error:  # LiteLLM's
                self._error = error
        if self._error is not None and not payloads:
            raise self._error
        return payloads

    def end(self) -> list[bytes]:
        """Nothing is left at the end. Raises as `feed` does, and `Truncated` in the middle of an event."""
        if self._error is not None:
            raise self._error
        if self._left:
            raise Truncated("the stream ended in the middle of an event")
        return []

    def _failure(self, event: Any) -> bytes:
        """Raises what LiteLLM makes of an event that is a failure; its payload, if it is none."""
        return str(self._decoder._parse_message_from_event(event) or "{}").encode()


def _told(headers: Any) -> bool:
    """Whether an event is one of an answer."""
    return headers.get(":message-type") == "event" and not headers.get(":event-type", "").endswith("Exception")
