"""Parts of a message's content: what nobody could be given is refused by the name of its field."""

from __future__ import annotations

import pytest

from proxy.errors import UpstreamError
from proxy.models import Json, Message
from proxy.providers.translation.messages import prepare
from proxy.providers.translation.parts import ASSISTANTS, OTHERS, distant
from proxy.vendors import VENDORS

NAMES = [name for name in VENDORS if name != "echo"]
TEXT = {"type": "text", "text": "What is this?"}

GOOD: list[Json] = [
    TEXT,
    {"type": "text", "text": ""},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    {"type": "image_url", "image_url": "https://example.com/a.png"},
    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
    {"type": "file", "file": {"file_id": "file-1"}},
    *({"type": kind, kind: "whatever"} for kind in sorted(OTHERS)),
]

BAD: list[tuple[Json, str]] = [
    ("SECRET", ": must be an object"),
    (None, ": must be an object"),
    ({}, ".type: must be text, image_url"),
    ({"text": "SECRET"}, ".type: must be text, image_url"),
    ({"type": "SECRET"}, ".type: must be text, image_url"),
    ({"type": ["SECRET"]}, ".type: must be text, image_url"),
    ({"type": "thinking", "thinking": "SECRET"}, ".type: must be text, image_url"),
    ({"type": "text"}, ".text: must be a text"),
    ({"type": "text", "text": {"SECRET": 1}}, ".text: must be a text"),
    ({"type": "image_url"}, ".image_url: must be an object with a url"),
    ({"type": "image_url", "image_url": {"url": None, "SECRET": 1}}, ".image_url: must be an object with a url"),
    ({"type": "image_url", "image_url": ""}, ".image_url: must be an object with a url"),
    ({"type": "input_audio", "input_audio": {"SECRET": 1}}, ".input_audio: must be an object with data"),
    ({"type": "file"}, ".file: must be an object with file_data"),
    ({"type": "file", "file": {"file_data": 5}}, ".file: must be an object with file_data"),
]


@pytest.mark.parametrize("part", GOOD)
@pytest.mark.parametrize("provider", NAMES)
def test_known_parts_pass(provider: str, part: Json) -> None:
    (message,) = prepare([{"role": "user", "content": [part]}], provider)
    assert message["content"] == [part]


@pytest.mark.parametrize("kind", sorted(ASSISTANTS))
def test_an_assistant_has_parts_of_its_own(kind: str) -> None:
    said: Message = {"role": "assistant", "content": [{"type": kind, kind: "so"}]}
    assert prepare([said, {"role": "user", "content": "on"}], "openai")[0] == said


@pytest.mark.parametrize(("part", "wrong"), BAD)
@pytest.mark.parametrize("provider", NAMES)
def test_other_parts_are_refused_by_name(provider: str, part: Json, wrong: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        prepare([{"role": "system", "content": "s"}, {"role": "user", "content": [TEXT, part]}], provider)
    error = caught.value
    assert (error.code, error.status, error.provider, error.retryable) == ("invalid_request", 400, provider, False)
    assert error.message.startswith(f"messages.1.content.1{wrong}")
    assert "SECRET" not in error.message


def test_a_tool_may_answer_with_anything() -> None:
    messages: list[Message] = [{"role": "tool", "content": [{"type": "zzz"}]}, {"role": "user", "content": "and?"}]
    assert "zzz" in prepare(messages, "openai")[0]["content"]


@pytest.mark.parametrize(
    ("part", "elsewhere"),
    [
        (TEXT, False),
        ({"type": "text", "text": "https://example.com/a.png"}, False),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, False),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}, False),
        ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, False),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, True),
        ({"type": "image_url", "image_url": "HTTP://example.com/a.png"}, True),
        ({"type": "video_url", "video_url": {"url": "gs://bucket/a.mp4"}}, True),
        ({"type": "file", "file": {"file_id": "file-1"}}, True),
        ({"type": "document", "document": {"source": [{"url": "https://example.com"}]}}, True),
    ],
)
def test_what_a_part_only_names(part: Json, elsewhere: bool) -> None:
    assert distant([{"role": "user", "content": [TEXT, part]}]) == elsewhere
    assert not distant([{"role": "user", "content": "https://example.com/a.png"}])
