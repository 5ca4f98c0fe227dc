"""What a model answers, and how its server misbehaves while it does: the words in which a test scripts an upstream.

A scenario knows no vendor; every wire format can play every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
Reason = Literal["", "context_length", "content_filter"]
Fault = Literal[
    "", "reset", "close", "hang", "garbage", "cut_body", "cut", "fin", "no_end", "half", "corrupt", "error", "stall"
]


@dataclass(frozen=True)
class ToolUse:
    """One call of a tool by the model. The id has nine letters, since Mistral takes no other."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the model says: `pieces` are the deltas of a stream; `usage` is (prompt, completion) tokens or None.

    Of the prompt `cached` tokens came from the vendor's cache, with `thought` of the completion's it thought. `extra`
    is what else the message holds, by OpenAI's names; texts of it are streamed in halves.
    """

    pieces: tuple[str, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    reasoning: str = ""
    finish: Finish = "stop"
    usage: tuple[int, int] | None = (6, 5)
    cached: int = 0
    thought: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Scenario:
    """One answer of an upstream.

    `reply` None is the vendor's greeting. `status` answers with the vendor's own error body, `reason` makes it the one
    for a prompt that is too long or refused. `raw` answers with these bytes as they stand, whatever was asked.

    Faults of the connection:
    `reset`, `close`, `hang`  a TCP reset, a plain close, or nothing at all, instead of an answer
    `garbage`                 bytes that are no HTTP
    `cut_body`                half of the promised body, then a close (a stream is cut like `fin`)
    `cut`, `fin`              after `after` deltas a TCP reset, or a close without the end of the chunked body
    `no_end`                  after `after` deltas a well-formed end of the body, without the vendor's own end of stream
    `half`                    like `fin`, in the middle of an event
    `corrupt`                 after `after` deltas an event with a byte that is not UTF-8, and a well-formed end
    `error`                   after `after` deltas the vendor's own error event
    `stall`                   after `after` deltas nothing until the client leaves

    `delay` is in seconds, before a whole answer or before a stream's first delta. `split` writes the body in pieces of
    so many bytes, with `pause` seconds between them. `cuts` writes a stream in pieces that end there; with a fault it
    comes after the last of them, wherever that is. `comments` puts SSE comments between the events. `flood` makes the
    text that many bytes longer.
    """

    reply: Reply | None = None
    status: int | None = None
    reason: Reason = ""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    raw_type: str = "application/json"
    fault: Fault = ""
    after: int = 2
    delay: float = 0.0
    split: int = 0
    pause: float = 0.0
    cuts: tuple[int, ...] = ()
    gzip: bool = False
    comments: bool = False
    flood: int = 0


WEATHER = ToolUse("call00001", "get_weather", {"city": "Paris"})
TIME = ToolUse("call00002", "get_time", {"zone": "Europe/Paris"})
UNICODE = ("naïve ", "日本", "語 👩‍👩‍👧", " x\u2028y\u0085z ", "e\u0301 \U0001f600", "!")
CITATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://example.com/a", "title": "A", "start_index": 0, "end_index": 5},
}
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"

SCENARIOS: dict[str, Scenario] = {
    "ok": Scenario(),
    "tool": Scenario(Reply(tools=(WEATHER,), finish="tool_calls", usage=(6, 4))),
    "tool2": Scenario(Reply(tools=(WEATHER, TIME), finish="tool_calls", usage=(6, 8))),
    "texttool": Scenario(Reply(("Let me", " look."), (WEATHER,), finish="tool_calls", usage=(6, 9))),
    "think": Scenario(Reply(("Four",), reasoning="Two and two.", usage=(6, 10))),
    "details": Scenario(Reply(("Hello", " there"), usage=(16, 15), cached=4, thought=3)),
    "refusal": Scenario(Reply(extra={"refusal": "I will not say that."})),
    "cited": Scenario(Reply(("It is", " so."), extra={"annotations": [CITATION]})),
    "spoken": Scenario(Reply(extra={"audio": {"id": "audio_1", "data": "UklG", "transcript": "Hi.", "expires_at": 1}})),
    "unicode": Scenario(Reply(UNICODE, usage=(6, 6))),
    "split": Scenario(Reply(UNICODE, usage=(6, 6)), split=1),
    "length": Scenario(Reply(("Once", " upon"), finish="length", usage=(6, 2))),
    "filtered": Scenario(Reply(("Once",), finish="content_filter", usage=(6, 1))),
    "empty": Scenario(Reply((), usage=(6, 1))),
    "json": Scenario(Reply(('{"city": "Pa', 'ris"}'), usage=(6, 5))),
    "nousage": Scenario(Reply(("Hello", " there"), usage=None)),
    "gzip": Scenario(gzip=True),
    "comment": Scenario(comments=True),
    **{
        f"e{status}": Scenario(status=status) for status in (400, 401, 402, 403, 404, 408, 422, 429, 500, 502, 503, 529)
    },
    "e429after": Scenario(status=429, headers={"retry-after": "7"}),
    "context": Scenario(status=400, reason="context_length"),
    "filter": Scenario(status=400, reason="content_filter"),
    "html502": Scenario(status=502, raw=HTML, raw_type="text/html"),
    "badjson": Scenario(raw=b'{"id": "x", "choices": [{'),
    "redirect": Scenario(status=307, raw=b"", headers={"location": "http://127.0.0.1:9/elsewhere"}),
    "reset": Scenario(fault="reset"),
    "close": Scenario(fault="close"),
    "hang": Scenario(fault="hang"),
    "garbage": Scenario(fault="garbage"),
    "nan": Scenario(raw=b'{"choices": NaN, "usage": {"total_tokens": 1e999}}'),
    "deep": Scenario(raw=b"[" * 100_000),
    "array": Scenario(raw=b"[]"),
    "nothing": Scenario(raw=b""),
    "cutbody": Scenario(fault="cut_body"),
    "cut": Scenario(fault="cut"),
    "fin": Scenario(fault="fin"),
    "noend": Scenario(fault="no_end"),
    "half": Scenario(fault="half"),
    "corrupt": Scenario(fault="corrupt"),
    "serr": Scenario(fault="error"),
    "stall": Scenario(fault="stall"),
    "stall0": Scenario(fault="stall", after=0),
    "slow": Scenario(delay=0.05),
}
"""The usual scenarios by name."""
