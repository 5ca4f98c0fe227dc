"""Server-sent events: the pieces of a body in, the payloads of whole events out, as the WHATWG's standard reads them.

A stream's usual piece is a few whole events of one `data:` line each: it costs one split. Lines end with CR, LF or
CRLF, and with nothing else (U+2028 stays in its JSON); a BOM at the head is dropped; comments, ids and retries are
ignored; several `data:` lines of one event are joined by LF.

The standard throws an event away that no blank line follows. Some providers end their streams so: `end` gives it out
if it is complete, that is if its last line is ended, or ends as JSON does and as `[DONE]` does. What else is left at
the end is half an event, and the stream is `Truncated`.
"""

from __future__ import annotations

from proxy.providers.wire.exchange import Malformed, Truncated

LARGEST = 16 * 2**20
"""Bytes of one event."""

BOM = b"\xef\xbb\xbf"


class Events:
    """Cuts one stream into events; `feed` it every piece in order, then call `end`. `largest` is in bytes."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._rest = bytearray()
        self._fresh = True
        self._returned = False
        """Whether the last byte was a CR, whose LF may still come."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads of the events that this piece completes. Raises `Malformed` for an event too large."""
        payloads = []
        for block in self._blocks(piece):
            if block.startswith(b"data: ") and b"\n" not in block:
                payloads.append(block[6:])
            elif (payload := _event(block)[1]) is not None:
                payloads.append(payload)
        return payloads

    def named(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The same with the name of each event, `message` where it has none."""
        found = (_event(block) for block in self._blocks(piece))
        return [(name, payload) for name, payload in found if payload is not None]

    def end(self) -> list[bytes]:
        """The payload of a last event without its blank line. Raises `Truncated` in the middle of an event."""
        rest = bytes(self._rest)
        self._rest.clear()
        last = rest.rpartition(b"\n")[2]
        whole = not last or last.startswith(b":") or (last.startswith(b"data:") and last.endswith((b"}", b"]")))
        if not whole:
            raise Truncated("the stream ended in the middle of an event")
        payload = _event(rest)[1]
        return [] if payload is None else [payload]

    def _blocks(self, piece: bytes) -> list[bytes]:
        """The lines of each event that is now whole, ended by LF; blocks may be empty."""
        if self._fresh:
            piece = self._headless(piece)
        if self._returned or b"\r" in piece:
            piece = self._returns(piece)
        rest = self._rest
        if not rest:
            if piece.endswith(b"\n\n"):
                return self._checked(piece[:-2].split(b"\n\n"))
            whole, found, tail = piece.rpartition(b"\n\n")
        else:
            start = len(rest) - 1
            rest += piece
            end = rest.rfind(b"\n\n", start)
            if end < 0:
                whole, found, tail = b"", b"", b""
            else:
                whole, found, tail = bytes(rest[:end]), b"\n\n", bytes(rest[end + 2 :])
                rest.clear()
        rest += tail
        if len(rest) > self._largest + 1:  # the end of its last line may be there
            raise Malformed("an event of the provider's stream is too large")
        return self._checked(whole.split(b"\n\n")) if found else []

    def _checked(self, blocks: list[bytes]) -> list[bytes]:
        if len(blocks[0]) > self._largest or (len(blocks) > 1 and max(map(len, blocks)) > self._largest):
            # an odd number of line ends before an event leaves one of them with it, or not, as the pieces come
            blocks = [block.removeprefix(b"\n") for block in blocks]
            if max(map(len, blocks)) > self._largest:
                raise Malformed("an event of the provider's stream is too large")
        return blocks

    def _headless(self, piece: bytes) -> bytes:
        """Without the BOM, which may come in pieces itself."""
        head = bytes(self._rest) + piece
        self._rest.clear()
        if BOM.startswith(head):
            self._rest += head
            if head != BOM:
                return b""
            self._rest.clear()
            head = b""
        self._fresh = False
        return head.removeprefix(BOM)

    def _returns(self, piece: bytes) -> bytes:
        """With LF for every CR and CRLF, those included whose LF comes with the next piece."""
        if not piece:
            return piece
        if self._returned and piece.startswith(b"\n"):
            piece = piece[1:]
            self._returned = False
        if piece:
            self._returned = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class Lines:
    """The same for a stream of one JSON value a line."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes. Raises `Malformed` for one too large."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if max(map(len, (*whole, self._rest))) > self._largest:
            raise Malformed("an event of the provider's stream is too large")
        return [line for line in whole if line.strip()]

    def end(self) -> list[bytes]:
        """The last line, which may have no end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []


def _event(block: bytes) -> tuple[str, bytes | None]:
    """The name and the payload of an event by its lines; None where it has no data."""
    name, data = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return name or "message", b"\n".join(data) if data else None
