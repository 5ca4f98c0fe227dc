"""An answer as a row of blocks, one after the other: how Anthropic's messages and OpenAI's responses tell it.

The gateway's chunks say what each kind of content gained; here they become steps of single blocks: `start`, `delta`,
`sign` (the signature of a thought), `stop`. A whole answer goes the same way, so it cannot differ from its stream.

What must stay true:

* One block at a time. A fragment of another kind closes the open block; while that is a tool call whose arguments are
  not yet whole, it waits.
* Every text of the `Completion` that no chunk has told is told at the end.
* Only the first choice is told: these APIs have no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson

from proxy.crowd import crowded
from proxy.ids import derived_id
from proxy.models import Chunk, Completion, Event, Json, ToolCall

Kind = Literal["thought", "hidden", "text", "refusal", "call"]
"""`hidden` is a thought that only its vendor can read."""


@dataclass(slots=True)
class Piece:
    """What a block gains; `number` tells the calls of one answer apart."""

    kind: Kind
    text: str = ""
    number: int = 0
    id: str = ""
    name: str = ""
    signature: str = ""
    logprobs: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Block:
    """One block and what has been told of it."""

    kind: Kind
    index: int
    number: int
    id: str = ""
    name: str = ""
    signature: str = ""
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def whole(self) -> bool:
        """Whether another block may follow; of a call only when its arguments are a JSON object."""
        return self.kind != "call" or (bool(self.pieces) and parsed(self.text) is not None)

    def takes(self, piece: Piece) -> bool:
        return self.kind == piece.kind and self.number == piece.number and not self.signature and self.kind != "hidden"


@dataclass(slots=True, frozen=True)
class Step:
    """`delta` and `sign` tell `text`."""

    kind: Literal["start", "delta", "sign", "stop"]
    block: Block
    text: str = ""
    logprobs: list[Json] = field(default_factory=list)


class Blocks:
    """The blocks of one answer; `told` are those so far. `prefix` and `seed` make ids for calls that have none."""

    def __init__(self, prefix: str, seed: str) -> None:
        self.told: list[Block] = []
        self._prefix = prefix
        self._seed = seed
        self._open: Block | None = None
        self._waiting: list[Piece] = []
        self._reasoned = False

    def add(self, event: Event) -> Iterator[Step]:
        """The steps that tell `event`, to be taken as they come; a `Completion` ends the last block."""
        if isinstance(event, Completion):
            yield from self._finish(event)
        elif event.index == 0:
            for piece in self._pieces(event):
                yield from self._tell(piece)

    def _pieces(self, chunk: Chunk) -> Iterator[Piece]:
        if chunk.reasoning:
            self._reasoned = True
            yield Piece("thought", chunk.reasoning)
        for block in _thoughts(chunk.extra):
            if block.get("type") == "redacted_thinking":
                yield Piece("hidden", _text(block, "data"))
                continue
            # The same thought may come as reasoning and again as a block, which then adds its signature.
            signature = _text(block, "signature")
            text = "" if self._reasoned else _text(block, "thinking")
            if text or signature:
                yield Piece("thought", text, signature=signature)
            self._reasoned = self._reasoned and not signature
        if chunk.text:
            yield Piece("text", chunk.text, logprobs=_logprobs(chunk.logprobs))
        if refusal := _text(chunk.extra, "refusal"):
            yield Piece("refusal", refusal)
        yield from map(_call, chunk.tool_calls)

    def _tell(self, piece: Piece) -> Iterator[Step]:
        block = self._open
        if block is not None and block.takes(piece):
            yield from self._gain(block, piece)
            if self._waiting and piece.text.rstrip().endswith("}") and block.whole:
                waiting, self._waiting = self._waiting, []
                for late in waiting:
                    yield from self._tell(late)
        elif block is not None and (self._waiting or not block.whole):
            self._waiting.append(piece)
        elif not self._ended(piece):
            yield from self._begin(piece)

    def _begin(self, piece: Piece) -> Iterator[Step]:
        yield from self._close()
        block = Block(piece.kind, len(self.told), piece.number, name=piece.name)
        if piece.kind == "call":
            taken = {one.id for one in self.told}
            fresh = piece.id and piece.id not in taken
            block.id = piece.id if fresh else derived_id(self._prefix, self._seed, str(block.index))
        if piece.kind == "hidden":
            block.pieces.append(piece.text)
        self.told.append(block)
        self._open = block
        yield Step("start", block)
        if piece.kind != "hidden":
            yield from self._gain(block, piece)

    def _gain(self, block: Block, piece: Piece) -> Iterator[Step]:
        if piece.text:
            block.pieces.append(piece.text)
            block.logprobs += piece.logprobs
            yield Step("delta", block, piece.text, piece.logprobs)
        if piece.signature:
            block.signature = piece.signature
            yield Step("sign", block, piece.signature)

    def _ended(self, piece: Piece) -> bool:
        """Whether it belongs to a call that is closed: after its whole arguments nothing can follow."""
        return piece.kind == "call" and any(
            one.kind == "call" and one.number == piece.number for one in self.told if one is not self._open
        )

    def _close(self) -> Iterator[Step]:
        if self._open is not None:
            block, self._open = self._open, None
            yield Step("stop", block)

    def _finish(self, completion: Completion) -> Iterator[Step]:
        yield from self._close()
        waiting, self._waiting = self._waiting, []
        for piece in _joined(waiting):
            if not self._ended(piece):
                yield from self._begin(piece)
        known = {block.kind for block in self.told}
        for choice in completion.choices[:1]:
            end = Chunk(choice.text, [], choice.reasoning, 0, choice.logprobs, choice.extra)
            if _thoughts(choice.extra):
                end.reasoning = ""  # the blocks say it, each with its signature
            for piece in [*self._pieces(end), *(_numbered(choice.tool_calls))]:
                if piece.kind in known or (piece.kind == "hidden" and "thought" in known):
                    continue
                if self._open is not None and self._open.takes(piece):
                    yield from self._gain(self._open, piece)
                else:
                    yield from self._begin(piece)
        yield from self._close()


def parsed(arguments: str) -> dict[str, Json] | None:
    """The object that a call's arguments are, None when they are none."""
    if crowded(arguments):
        return None
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The pieces of one block as one, in the order in which the blocks began."""
    joined: dict[tuple[Kind, int], Piece] = {}
    for piece in pieces:
        key = piece.kind, piece.number
        if key not in joined:
            joined[key] = piece
            continue
        first = joined[key]
        first.text += piece.text
        first.signature = first.signature or piece.signature
        first.id, first.name = first.id or piece.id, first.name or piece.name
        first.logprobs = [*first.logprobs, *piece.logprobs]
    return list(joined.values())


def _call(call: ToolCall) -> Piece:
    return Piece("call", call.arguments, call.index, call.id, call.name)


def _numbered(calls: list[ToolCall]) -> Iterator[Piece]:
    """Whole calls, told apart by their place: their own indices may all be the same."""
    for number, call in enumerate(calls):
        yield Piece("call", call.arguments, number, call.id, call.name)


def _thoughts(extra: dict[str, Json]) -> list[dict[str, Json]]:
    listed = extra.get("thinking_blocks")
    return [block for block in listed if isinstance(block, dict)] if isinstance(listed, list) else []


def _text(holder: dict[str, Json], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _logprobs(found: Json) -> list[Json]:
    content = found.get("content") if isinstance(found, dict) else None
    return content if isinstance(content, list) else []
