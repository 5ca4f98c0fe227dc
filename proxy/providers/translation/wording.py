"""A provider's own words, out of what LiteLLM wrapped around them, and never a secret among them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable

from proxy.models import Json

LONGEST = 2000
"""Characters of a provider's message that are passed on."""

READ = 50_000
"""Characters of an exception that are looked through: it may hold the whole of a large answer."""

LEAD = 400
"""Characters of an exception in which LiteLLM's own words stand; what follows may quote the request."""

ATTEMPTS = 8
"""Braces at which a document is looked for."""

UNREADABLE = (ValueError, SyntaxError, RecursionError, MemoryError, SystemError)
"""What Python's literals raise for text that is none; the last when two threads of CPython 3.11 parse at once."""

HIDDEN = "[hidden]"

_WRAPPERS = re.compile(
    r"^(?:litellm\.)?[A-Za-z_ ]*(?:Error|Exception|Timeout)(?: Error)?\s*(?::|-)\s*|^Error code: \d+\s*(?:-\s*)?",
    re.ASCII,
)
# Nothing here begins with a run of white space: one of 50,000 would be looked through once for each of its characters.
_TRAILER = re.compile(
    r"(?:LiteLLM Retried:|, LiteLLM Max Retries:|Original exception:|Traceback \(most recent|\.? ?Handle with `"
    r"|,\s*Received chunk:|Received Messages=|Error_str:).*$",
    re.DOTALL,
)


UNCALLABLE = "has no such model, or it is one that this gateway cannot call"

REWORDED: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code, sentence)
    for pattern, code, sentence in (
        (r"vertexai import failed|google-cloud-aiplatform|Upgrade vertex ai", "model_not_found", UNCALLABLE),
        (r"Unknown provider=", "model_not_found", UNCALLABLE),
        (
            r"LLM Provider NOT provided",
            "invalid_request",
            "is not known by the word before the slash of this model",
        ),
        (r"Invalid AWS region format", "invalid_request", "cannot be asked: aws_region_name is no region's name"),
        (
            r"its URL policy rejected it|URL targets a blocked address|DNS resolution failed for",
            "invalid_request",
            "was not asked: an image has an address that is private or does not exist; only public ones are fetched, "
            "any other image can be sent as a data: URL",
        ),
        (
            r"Invalid image received|Unsupported image type|Image url not in expected format",
            "invalid_request",
            "was not asked: an image is neither an https address nor a data: URL in base64",
        ),
        (
            r"does not support file content",
            "invalid_request",
            "was not asked: it takes no files; send their pages as images, or their text",
        ),
        (
            r"file_data (or|and) file_id",
            "invalid_request",
            "was not asked: a file among the messages needs file_data or a file_id",
        ),
        (
            r"Failed to parse tool call arguments",
            "invalid_request",
            "was not asked: the arguments of a tool call among the messages are not JSON",
        ),
        (r"Unmapped reasoning effort", "invalid_request", "was not asked: reasoning_effort is none that it has"),
    )
)
"""What LiteLLM says before anything is sent, by its words; its advice would be about itself: (words, code, ours)."""


UNSENDABLE = "was not asked: a message, a tool or a parameter has not the form that it should have"

BROAD = frozenset({"APIConnectionError", "InternalServerError", "APIError"})
"""What LiteLLM makes of any exception that it does not know."""

WIRE = frozenset({"aiohttp", "anyio", "botocore", "google", "httpcore", "httpx", "requests", "urllib3"})
"""The libraries whose exceptions tell of a connection."""


def reworded(raw: str, error: BaseException, code: str, *, sent: bool) -> tuple[str, str] | None:
    """The code and our words for a refusal of LiteLLM's own, if it is one of those that nobody here could follow.

    Where nothing was `sent` and no connection failed, LiteLLM could not read what it was given; its words then are
    pieces of the request, or Python's.
    """
    for words, finer, sentence in REWORDED:
        if words.search(raw[:LEAD]):
            return finer, sentence
    if sent or type(error).__name__ == "ImageFetchError":
        return None
    broken = code == "unreachable" and type(error).__name__ in BROAD and not _of_the_wire(error)
    return ("invalid_request", UNSENDABLE) if broken or code == "invalid_request" else None


def _of_the_wire(error: BaseException | None) -> bool:
    """Whether a failure of a connection is behind an exception."""
    while error is not None:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in WIRE:
            return True
        error = error.__cause__ or error.__context__
    return False


def readable(raw: str) -> str:
    """What happened, in the provider's words if there are any, else in LiteLLM's without its wrapping."""
    words = quoted(raw)
    if words:
        return words
    text = _TRAILER.sub("", raw).strip()
    before = None
    while before != text:
        before = text
        text = _WRAPPERS.sub("", text).strip()
    if "<html" in text.lower() or "<!doctype" in text.lower():
        return "an HTML page instead of an answer"
    return re.sub(r"(?i)litellm\.?", "", text).strip()


def quoted(raw: str) -> str:
    """The provider's own words: the message of the error document inside, or nothing."""
    document = _json_in(raw)
    return (_words(document) or "") if document is not None else ""


def _json_in(text: str) -> Json:
    """The JSON object inside a message, which may be written as Python bytes."""
    quoted = re.search(r"""b(['"]).*\1""", text, re.DOTALL)
    if quoted:
        try:
            text = ast.literal_eval(quoted.group(0)).decode("utf-8", "replace")
        except UNREADABLE:
            text = quoted.group(0)
    start = text.find("{")
    for _ in range(ATTEMPTS):
        if start < 0:
            break
        for read in (_json, _literal):
            try:
                return read(text[start:])
            except UNREADABLE:
                continue
        start = text.find("{", start + 1)
    return None


def _json(text: str) -> Json:
    return json.JSONDecoder().raw_decode(text)[0]


def _literal(text: str) -> Json:
    """What OpenAI's library makes of a document: a Python dictionary."""
    return ast.literal_eval(text[: text.rindex("}") + 1])


def _words(document: Json) -> str | None:
    """The message of a provider's error document, whichever vendor's."""
    if isinstance(document, list):
        return next((words for words in map(_words, document) if words), None)
    if not isinstance(document, dict):
        return None
    for name in ("error", "message", "detail", "errors", "Message", "msg"):
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if words := _words(value):
            return words
    return None


_SECRET_SHAPES = re.compile(
    r"(?i)\bbearer\s+[\w.~+/=-]{6,}"
    r"|\b(?:sk|rk|pk|gsk|fw|xai|pplx|r8|hf|ya29)[-_.][\w.-]{8,}"
    r"|\bAIza[\w-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?<=[?&]key=)[^&\s\"']+"
    r"|(?<=[?&]api_key=)[^&\s\"']+"
    r"|(?<=x-api-key: )\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


def blotted(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets given."""
    for secret in sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the secrets given and without anything that has the shape of one."""
    return _SECRET_SHAPES.sub(HIDDEN, blotted(text, secrets))
