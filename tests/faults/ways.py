"""Every vendor by both ways, as models of one gateway, asked over a real socket: for the tests of hostile upstreams.

A model is called `openai by lean` or `openai by litellm`. The questions go by OpenAI's API, whose streams end with
`[DONE]` when they are whole.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from types import TracebackType
from typing import Any

import httpx

from proxy.errors import UpstreamError
from tests.gateway import Local, Process, rows
from tests.spoken import events
from tests.upstreams.fleet import MODELS, Fleet

WAYS = ("lean", "litellm")
PATH = "/v1/chat/completions"


def config(fleet: Fleet, **more: Any) -> dict[str, Any]:
    """The config of a gateway that has all vendors by both ways; `more` are further blocks. No target is cooled down,
    however often it fails: each test is about what one failure looks like.
    """
    router = {"cooldown_time": 0, **more.pop("router_settings", {})}
    models = [_entry(*each) for each in product(MODELS, WAYS)]
    return {"model_list": models, "providers": fleet.providers, "router_settings": router, **more}


def _entry(vendor: str, way: str) -> dict[str, Any]:
    return {
        "model_name": f"{vendor} by {way}",
        "litellm_params": {"model": f"{vendor}/{MODELS[vendor]}"},
        "model_info": {"transport": way},
    }


@dataclass(frozen=True)
class Question:
    """What is asked. Equal questions have equal texts; without one it is asked for the first time."""

    vendor: str
    way: str = "lean"
    stream: bool = False
    text: str = ""
    cache: bool = True

    @property
    def body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self.text or f"say {uuid.uuid4()}"}]
        return {"model": f"{self.vendor} by {self.way}", "messages": messages, "max_tokens": 50, "stream": self.stream}

    def __str__(self) -> str:
        return f"{self.vendor} by {self.way}, {'streamed' if self.stream else 'whole'}"


@dataclass(frozen=True)
class Answer:
    """What came: `text` as far as it came, `code` of the failure if one was told, and whether it came to its end.

    `row` is the log's, as it was when the answer was there.
    """

    status: int
    text: str
    code: str | None
    ended: bool
    cache: str
    seconds: float
    row: dict[str, Any]

    @property
    def good(self) -> bool:
        return self.status == 200 and self.ended and self.code is None

    @property
    def failed(self) -> bool:
        """Whether the client sees a failure: a status, or in mid-stream an error's event and the cut connection."""
        refused = self.status in UpstreamError.STATUS.values() and self.ended
        return self.code is not None and (refused or (self.status == 200 and not self.ended))

    @property
    def logged(self) -> str:
        """The log's word for how it ended."""
        return str(self.row["notes"].get("failure") or self.row["status"])


class Client:
    """Asks one gateway, as a context manager."""

    def __init__(self, gateway: Local | Process, timeout: float = 20) -> None:
        self.gateway = gateway
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.Client(base_url=gateway.url, timeout=timeout, limits=limits)

    def __enter__(self) -> Client:
        self._http.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.__exit__(kind, error, tb)

    def ask(self, question: Question) -> Answer:
        """One call, to its end, however that comes."""
        trace_id = str(uuid.uuid4())
        headers = {"x-trace-id": trace_id, "x-cache": str(question.cache).lower()}
        began = time.monotonic()
        with self._http.stream("POST", PATH, json=question.body, headers=headers) as response:
            pieces, complete = bytearray(), False
            with suppress(httpx.RemoteProtocolError):
                for piece in response.iter_bytes():
                    pieces += piece
                complete = True
        seconds = time.monotonic() - began
        text, code, ended = _read(pieces.decode(), response.headers["content-type"])
        (row,) = rows(self.gateway.data, "trace_id = ?", trace_id)
        cache = response.headers["x-cache"]
        return Answer(response.status_code, text, code, complete and ended, cache, seconds, row)

    def warm(self, questions: Iterable[Question]) -> None:
        """Ask until all are answered: the first call of a kind shows how such calls are written, and takes longer."""
        left = list(questions)
        for _ in range(10):
            left = [each for each, answer in zip(left, self.ask_all(left), strict=True) if not answer.good]
        assert not left

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON that another API answers."""
        return self._http.post(path, json=body).json()

    def read(self, path: str, body: dict[str, Any]) -> tuple[str, bool]:
        """The text that OpenAI's API answers a body, and whether it is whole."""
        response = self._http.post(path, json=body)
        text, code, ended = _read(response.text, response.headers["content-type"])
        assert response.status_code == 200, response.text
        return text, ended and code is None

    def ask_all(self, questions: Iterable[Question], at_once: int = 4) -> list[Answer]:
        """The answers to all questions, in their order."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.ask, questions))


def _read(body: str, kind: str) -> tuple[str, str | None, bool]:
    """The text, the failure's code, and whether the API's own end is there."""
    if not kind.startswith("text/event-stream"):
        answer = json.loads(body)
        if "error" in answer:
            return "", str(answer["error"]["code"]), True
        return answer["choices"][0]["message"]["content"] or "", None, True
    told = [data for _, data in events(body)]
    failed = [str(data["error"]["code"]) for data in told if data and "error" in data]
    deltas = [choice["delta"] for data in told if data and "error" not in data for choice in data["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    return text, failed[0] if failed else None, bool(told) and told[-1] is None


def every(*, stream: Iterable[bool] = (False, True), ways: Iterable[str] = WAYS) -> list[Question]:
    """One question for each vendor, way and form."""
    return [Question(*each) for each in product(MODELS, ways, stream)]
