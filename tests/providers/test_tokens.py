"""Google's tokens from a server that takes its time, or says what is no token."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import product
from typing import Any

import pytest

from tests.faults.ways import WAYS, Client, Question, config
from tests.gateway import Local
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.vertex import Vertex

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SECONDS = 1.0
"""How long a call may take here."""


def whole(text: str) -> bytes:
    return OK + b"content-length: %d\r\n\r\n%b" % (len(text), text.encode())


def said(token: Any, **more: Any) -> bytes:
    return whole(json.dumps({"access_token": token, "expires_in": 3599, "token_type": "Bearer", **more}))


class Office:
    """A server that answers whatever it is asked with `answer`, and then a byte of `drip` every 50 ms."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/token"
        self.answer, self.drip = b"", b""
        self.asked = self.ended = 0
        """How often it was asked, and how many connections have ended."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listening.accept()[:1], daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            asked = b""
            while b"assertion=" not in asked:
                asked += line.recv(65536)
            self.asked += 1
            with suppress(OSError):
                line.sendall(self.answer)
                line.settimeout(0.05)
                while True:
                    line.sendall(self.drip)
                    with suppress(TimeoutError):
                        if not line.recv(65536):
                            break
            self.ended += 1


SLOW = {
    "hangs": (b"", b""),
    "drips": (OK + b"content-length: 5000\r\n\r\n{", b" "),
    "drips its head": (OK + b"x: ", b"x"),
}

BAD = {
    "a list": whole("[]"),
    "a text": whole("hello"),
    "no UTF-8": OK + b"content-length: 2\r\n\r\n\xff\xff",
    "a number": said(7),
    "nothing": said(""),
    "two lines": said("ya29.a\r\nX-Evil: 1"),
    "no header's characters": said("ya29.\u00e4"),
    "an end that is none": said("ya29.fine", expires_in="soon"),
    "an end beyond all time": said("ya29.fine", expires_in=10**30),
}


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with closing(Office()) as office:
        yield office


@pytest.fixture(scope="module")
def client(office: Office, _fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A gateway in which each case has models of its own, with an account that nothing is known of yet."""
    vertex = _fleet["vertexai"]
    assert isinstance(vertex, Vertex)
    found = config(_fleet, router_settings={"timeout": SECONDS, "num_retries": 0})
    for case, way in product([*SLOW, *BAD], WAYS):
        account = {**json.loads(vertex.credentials), "private_key_id": case + way, "token_uri": office.url}
        params = {"model": f"vertexai/{MODELS['vertexai']}", "vertex_credentials": json.dumps(account)}
        model = {"model_name": f"{case} by {way}", "litellm_params": params, "model_info": {"transport": way}}
        found["model_list"].append(model)
    with Local(tmp_path_factory.mktemp("tokens"), found) as running, Client(running) as client:
        running.wait_until_ready()
        # the first call of a kind shows how such calls are written, and takes longer
        client.warm(Question("vertexai", way) for way in WAYS)
        yield client


def recovers(client: Client, office: Office, fleet: Fleet, case: str, way: str) -> None:
    """The next call, with a server that is well again, is answered."""
    vertex = fleet["vertexai"]
    assert isinstance(vertex, Vertex)
    office.answer, office.drip = said(vertex.token), b""
    office.asked = 0
    for _ in range(2):
        answer = client.ask(Question(case, way))
        assert answer.good, answer
    assert office.asked == 1, "a token is kept"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", SLOW)
def test_a_purchase_ends_with_its_call(client: Client, office: Office, fleet: Fleet, case: str, way: str) -> None:
    office.answer, office.drip = SLOW[case]
    office.ended = 0
    answers = client.ask_all([Question(case, way) for _ in range(3)])
    over = time.monotonic()
    assert [(answer.status, answer.code) for answer in answers] == [(504, "timeout")] * 3
    assert max(answer.seconds for answer in answers) < SECONDS + 2
    while not office.ended:
        assert time.monotonic() < over + 2, "the connection to the server is still there"
        time.sleep(0.01)
    recovers(client, office, fleet, case, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", BAD)
def test_what_is_no_token_is_the_providers_failure_and_not_kept(
    client: Client, office: Office, fleet: Fleet, case: str, way: str
) -> None:
    office.answer, office.drip = BAD[case], b""
    answer = client.ask(Question(case, way))
    assert (answer.failed, answer.status, answer.code) == (True, 502, "bad_answer"), answer
    assert "ya29" not in answer.text
    assert fleet["vertexai"].requests == [], "nothing is sent with it"
    recovers(client, office, fleet, case, way)
