"""AWS's event streams, in the frames of the fleet's Bedrock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.providers.litellm import LiteLLM
from proxy.providers.wire.exchange import Malformed, Truncated
from proxy.providers.wire.frames import Frames
from tests.upstreams.bedrock import event, frame

pytestmark = pytest.mark.fault("U3")

Json = Any

WORDS = [{"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcdef"} for text in ("Hello", "日本語\u2028", "")]
STREAM = b"".join(event("contentBlockDelta", word).data for word in WORDS)


@pytest.fixture
async def frames(provider: LiteLLM) -> Frames:
    litellm = await provider.start()
    return Frames(litellm.llms.bedrock.chat.invoke_handler.AWSEventStreamDecoder(model="m"))


def read(frames: Frames, *pieces: bytes) -> list[Json]:
    payloads = [payload for piece in pieces for payload in frames.feed(piece)]
    return [json.loads(payload) for payload in [*payloads, *frames.end()]]


@pytest.mark.parametrize("size", [1, 7, 100, len(STREAM)])
async def test_events_come_whole_however_the_body_is_cut(frames: Frames, size: int) -> None:
    assert read(frames, *(STREAM[start : start + size] for start in range(0, len(STREAM), size))) == WORDS


@pytest.mark.parametrize("end", [1, 11, 13, len(STREAM) - 1])
async def test_half_an_event_is_a_truncated_stream(frames: Frames, end: int) -> None:
    frames.feed(STREAM[:end])
    with pytest.raises(Truncated):
        frames.end()


@pytest.mark.parametrize("place", [0, 5, 9, 30, 80])
async def test_a_byte_that_changed_is_noticed(frames: Frames, place: int) -> None:
    first = event("contentBlockDelta", WORDS[0]).data
    spoilt = bytearray(first)
    spoilt[place] ^= 0x01
    with pytest.raises((Malformed, Truncated)):
        read(frames, bytes(spoilt))


async def test_what_came_before_a_spoilt_event_is_given_out_first(frames: Frames) -> None:
    spoilt = bytearray(STREAM)
    spoilt[-1] ^= 0x01
    assert [json.loads(payload) for payload in frames.feed(bytes(spoilt))] == WORDS[:2]
    with pytest.raises(Malformed):
        frames.end()


async def test_a_body_that_is_no_event_stream_is_malformed(frames: Frames) -> None:
    with pytest.raises(Malformed):
        frames.feed(b'{"message": "no stream at all"}')


@pytest.mark.parametrize(
    ("name", "status"),
    [("throttlingException", 429), ("serviceUnavailableException", 503), ("modelTimeoutException", 408)],
)
async def test_an_exception_is_raised_with_its_status(frames: Frames, name: str, status: int) -> None:
    head = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    told = event("contentBlockDelta", WORDS[0]).data + frame(head, {"message": "not now"})
    assert [json.loads(payload) for payload in frames.feed(told)] == WORDS[:1]
    with pytest.raises(Exception, match="not now") as failure:
        frames.end()
    assert failure.value.status_code == status  # type: ignore[attr-defined]
