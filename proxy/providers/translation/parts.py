"""The parts that a message's content may be made of.

What must stay true: a part that no provider could be given is refused here, by the name of its field and without its
value. LiteLLM would fail on it with words of its own, or leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from proxy.errors import UpstreamError
from proxy.models import Json, Message

COMMON = "text, image_url, input_audio or file"
"""The types that are advised."""

OTHERS = frozenset({"audio_url", "video_url", "document", "guarded_text", "grounding_source", "query"})
"""Types that single vendors have besides; what they hold is the vendor's to judge."""

ASSISTANTS = frozenset({"refusal", "thinking", "redacted_thinking", "reference", "document_url"})
"""Types that no user's message has: LiteLLM refuses them there, whoever is asked."""


def _image(value: Json) -> bool:
    return _filled(value) or (isinstance(value, dict) and _filled(value.get("url")))


def _audio(value: Json) -> bool:
    return isinstance(value, dict) and _filled(value.get("data"))


def _file(value: Json) -> bool:
    return isinstance(value, dict) and any(_filled(value.get(name)) for name in ("file_data", "file_id"))


def _filled(value: Json) -> bool:
    return isinstance(value, str) and bool(value)


NEEDS: Mapping[str, tuple[Callable[[Json], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "must be a text"),
    "image_url": (_image, "must be an object with a url"),
    "input_audio": (_audio, "must be an object with data and a format"),
    "file": (_file, "must be an object with file_data or a file_id"),
}
"""What a part of each common type holds under the type's own name."""


def check(messages: Sequence[Message], provider: str) -> None:
    """Raise `UpstreamError` for the first part that has no known type or lacks what its type needs. The results of
    tools become text, so their parts may be anything.
    """
    for index, message in enumerate(messages):
        content, role = message.get("content"), str(message.get("role") or "user").lower()
        if not isinstance(content, list) or role in ("tool", "function"):
            continue
        for place, part in enumerate(content):
            wrong = _wrong(part, OTHERS if role == "user" else OTHERS | ASSISTANTS)
            if wrong is not None:
                where = f"messages.{index}.content.{place}{wrong}"
                raise UpstreamError(where, code="invalid_request", provider=provider)


def _wrong(part: Json, others: frozenset[str]) -> str | None:
    """The field of a part that is wrong, and what it must be."""
    if not isinstance(part, dict):
        return f": must be an object with a type: {COMMON}"
    kind = part.get("type")
    if not isinstance(kind, str) or (kind not in NEEDS and kind not in others):
        return f".type: must be {COMMON}"
    fits, needs = NEEDS.get(kind, (None, ""))
    return None if fits is None or fits(part.get(kind)) else f".{kind}: {needs}"


def distant(messages: Sequence[Message]) -> bool:
    """Whether a part names what is elsewhere, by an address or an id, and does not hold it: LiteLLM may fetch it."""
    return any(
        isinstance(part, dict) and part.get("type") != "text" and _elsewhere(part)
        for message in messages
        if isinstance(content := message.get("content"), list)
        for part in content
    )


def _elsewhere(value: Json) -> bool:
    if isinstance(value, dict):
        return bool(value.get("file_id")) or any(_elsewhere(each) for each in value.values())
    if isinstance(value, list):
        return any(_elsewhere(each) for each in value)
    return isinstance(value, str) and "://" in value[:16]
