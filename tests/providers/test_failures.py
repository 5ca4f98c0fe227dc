"""Every exception LiteLLM defines has a code, the wire is trusted before them, and no message holds a secret."""

from __future__ import annotations

import inspect
import time
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation.failures import CLASSES, STATUSES, named, translate
from proxy.providers.translation.wording import HIDDEN, quoted, readable, scrub
from proxy.providers.wire.exchange import Exchange, retry_after

pytestmark = [
    pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_(computed_)?fields' attribute:DeprecationWarning"),
]


def kinds(root: type[BaseException]) -> set[type[BaseException]]:
    return {root}.union(*map(kinds, root.__subclasses__()))


async def test_every_exception_of_litellm_has_a_code() -> None:
    provider = LiteLLM()
    litellm: Any = await provider.start()
    await provider.close()
    module = litellm.exceptions
    own = {
        kind
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__ == module.__name__
    }
    assert len(own) > 30
    clients = {openai.APITimeoutError.__name__, httpx.TimeoutException.__name__}
    assert {kind.__name__ for kind in own} | clients == set(CLASSES), "one list is longer than the other"
    below = set().union(*(kinds(kind) for kind in own))
    unmapped = [kind for kind in below if named(kind.__new__(kind)) is None]
    assert unmapped == []
    assert {*CLASSES.values(), *STATUSES.values()} <= set(UpstreamError.STATUS)


class Raised(Exception):
    """Whatever LiteLLM raises, by the attributes that matter."""

    def __init__(self, message: str = "", **attributes: Any) -> None:
        super().__init__(message)
        for name, value in attributes.items():
            setattr(self, name, value)


def kind(name: str) -> type[Raised]:
    return type(name, (Raised,), {})


def seen(status: int | None = None, **headers: str) -> Exchange:
    return Exchange(1, None, status, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_request"),
        (401, "authentication"),
        (402, "payment_required"),
        (403, "permission"),
        (404, "model_not_found"),
        (408, "timeout"),
        (413, "invalid_request"),
        (422, "invalid_request"),
        (429, "rate_limited"),
        (500, "upstream_failed"),
        (502, "upstream_failed"),
        (503, "unavailable"),
        (504, "timeout"),
        (529, "overloaded"),
        (304, "bad_answer"),
        (599, "upstream_failed"),
    ],
)
@pytest.mark.parametrize("name", ["APIError", "BadRequestError", "InternalServerError", "Unheard", "Timeout"])
def test_the_wire_is_trusted_before_the_class(status: int, code: str, name: str) -> None:
    error = translate(kind(name)("words", status_code=500), "openai", seen(status))
    assert (error.code, error.upstream_status) == (code, status)


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("InternalServerError", "Connection error.", "unreachable"),
        ("APIConnectionError", "Server disconnected", "unreachable"),
        ("ServiceUnavailableError", "[Errno 104] Connection reset by peer", "unreachable"),
        ("APIConnectionError", "('invalid_grant: Invalid JWT', {})", "authentication"),
        ("APIConnectionError", "DefaultCredentialsError", "authentication"),
        ("Timeout", "Request timed out.", "timeout"),
        ("UnsupportedParamsError", "groq does not support parameters: ['n']", "unsupported_parameter"),
        ("BadRequestError", "LLM Provider NOT provided", "invalid_request"),
        ("ValueError", "anything else", "unreachable"),
    ],
)
def test_failures_without_an_answer(name: str, message: str, code: str) -> None:
    error = translate(kind(name)(message, status_code=500), "openai", seen())
    assert (error.code, error.upstream_status) == (code, None)


def test_an_image_that_cannot_be_fetched_is_the_requests_fault() -> None:
    assert translate(kind("ImageFetchError")("no image"), "anthropic", seen(404)).code == "invalid_request"


def test_a_wrong_argument_is_the_requests_fault() -> None:
    assert translate(TypeError("wrong"), "openai", seen()).code == "invalid_request"


@pytest.mark.parametrize(
    ("name", "message", "began", "code"),
    [
        ("APIError", "Unable to get json response", False, "bad_answer"),
        ("BadRequestError", "Error converting to valid response block", False, "bad_answer"),
        ("InternalServerError", "Stream ended before a finish_reason was received", True, "truncated"),
        ("InternalServerError", "Stream ended before a finish_reason was received", False, "bad_answer"),
        ("InternalServerError", "Response payload is not completed: <TransferEncodingError>", True, "truncated"),
        ("InternalServerError", "Overloaded", True, "overloaded"),
        ("APIError", "The server had an error", True, "upstream_failed"),
        ("Timeout", "Timeout on reading data from socket", True, "timeout"),
        ("RateLimitError", "slow down", True, "rate_limited"),
    ],
)
def test_answers_that_went_wrong(name: str, message: str, began: bool, code: str) -> None:
    assert translate(kind(name)(message), "openai", seen(200), began=began).code == code


def test_a_fallback_wrapper_is_unwrapped() -> None:
    inner = kind("RateLimitError")('{"error": {"message": "slow down"}}', status_code=429)
    outer = kind("MidStreamFallbackError")("wrapped", original_exception=inner, status_code=503)
    error = translate(outer, "groq", seen(429, retry_after="7"))
    assert (error.code, error.retry_after) == ("rate_limited", 7)
    assert error.message == "groq limits the rate (429): slow down"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
        ("prompt is too long: 208310 tokens > 200000 maximum", "context_length_exceeded"),
        ("Output blocked by content filtering policy", "content_filter"),
        ("The prompt contains sensitive words", "content_filter"),
        ("Unknown field", "invalid_request"),
    ],
)
def test_a_refusal_is_refined_by_its_words(message: str, code: str) -> None:
    assert translate(kind("BadRequestError")(message), "openai", seen(400)).code == code


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("litellm.BadRequestError: OpenAIException - The request is invalid.", "The request is invalid."),
        ("litellm.APIError: APIError: GroqException - It failed. LiteLLM Retried: 3 times", "It failed."),
        ('litellm.X: AnthropicException - {"type":"error","error":{"type":"x","message":"bad key"}}', "bad key"),
        ('VertexAIException - b\'{"error": {"code": 404, "message": "no model"}}\'', "no model"),
        ("Error code: 400 - {'error': {'message': \"it's wrong\", 'type': None}}", "it's wrong"),
        ('MistralException - {"message": {"detail": [{"loc": ["body"], "msg": "not so"}]}}', "not so"),
        ("<html><body>502 Bad Gateway</body></html>", "an HTML page instead of an answer"),
        ('{"message": "Too many requests"}', "Too many requests"),
        ("litellm.Timeout: Timeout Error: OpenAIException - too slow", "too slow"),
    ],
)
def test_messages_are_the_providers(raw: str, text: str) -> None:
    assert readable(raw) == text


RUNS = (
    *(
        " ",
        "\n",
        "\t \r",
        "{",
        "[",
        "(",
        '"',
        "b'",
        'b"',
        '{"a":',
        "Error: ",
        "litellm.",
        "Error code: 1 -",
        ", ",
        ",\t",
    ),
    *("bearer ", "?key=", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "<html", "Received Messages=", "a ", "_", "0"),
    *("prompt ", "blocked by ", "Timeout - ", "\\x", "é", "\u2028", "sk-", "AKIA", "Traceback (", "Handle with `"),
)


@pytest.mark.fault("U2")
@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_anything_is_read_quickly(run: str) -> None:
    """A provider's failure is read on the event loop: nothing that it says may take long."""
    started = time.perf_counter()
    assert translate(kind("APIError")(run * (60_000 // len(run))), "openai", seen(500))
    assert time.perf_counter() - started < 0.5


def test_a_hostile_message_is_read_quickly() -> None:
    started = time.perf_counter()
    for raw in ("{" * 10**6, "{'a': " * 10**5, "[" * 10**6, "b'" + "{" * 10**6 + "'", "Error: " * 10**5):
        assert translate(kind("APIError")(raw), "openai", seen(500)).code == "upstream_failed"
    assert time.perf_counter() - started < 2


@given(st.text())
def test_any_message_can_be_read(raw: str) -> None:
    assert isinstance(readable(raw), str)
    assert isinstance(quoted(raw), str)


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (401, "authentication"), (529, "overloaded")])
def test_a_status_told_under_a_success_is_believed(status: int, code: str, began: bool) -> None:
    error = kind("APIError")('{"error": {"message": "not now"}}')
    error.status_code = status  # type: ignore[attr-defined]
    assert translate(error, "openrouter", seen(200), began=began).code == code


def test_pieces_of_an_answer_stay_out_of_the_message() -> None:
    error = translate(kind("APIError")("Error converting. Got={'text': 'private words'}"), "vertexai", seen(200))
    assert error.message == "vertexai gave an answer that cannot be read"


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=12), st.text(), st.text())
def test_secrets_are_blotted_out(secret: str, before: str, after: str) -> None:
    assert secret not in scrub(f"{before}{secret}{after}", [secret]).replace(HIDDEN, "")


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "gsk_abcdefghijklmnop",
        "Bearer abcdefghijklmnop",
        "AIzaSyA0123456789012345678901234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_goes_too(secret: str) -> None:
    error = translate(kind("APIError")(f"wrong key {secret} given"), "openai", seen(401))
    assert secret not in error.message
    assert HIDDEN in error.message


def test_a_key_in_an_address_goes() -> None:
    assert scrub("GET https://h/v1?key=abcdef&alt=sse") == f"GET https://h/v1?key={HIDDEN}&alt=sse"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("sent", "cause", "code"),
    [
        (False, TypeError("'int' object is not subscriptable"), "invalid_request"),
        (True, TypeError("'int' object is not subscriptable"), "unreachable"),
        (False, OSError("no route"), "unreachable"),
        (False, httpx.ConnectError("refused"), "unreachable"),
    ],
)
def test_what_cannot_be_sent_is_the_requests_fault(sent: bool, cause: Exception, code: str) -> None:
    error = kind("APIConnectionError")(f"litellm.APIConnectionError: {cause}")
    error.__context__ = cause
    translated = translate(error, "anthropic", Exchange(1, sent=sent))
    assert (translated.code, translated.retryable) == (code, code == "unreachable")
    assert "subscriptable" not in translated.message


@pytest.mark.parametrize(
    "error",
    [
        KeyError("image_url"),
        TypeError('can only concatenate str (not "int") to str'),
        kind("BadRequestError")("litellm.BadRequestError: Got={'type': 'file', 'file': {'secret': 1}}"),
        kind("BadRequestError")("Failed to parse tool call arguments for tool 'f'. Arguments: secret"),
    ],
    ids=["key", "type", "repr", "arguments"],
)
def test_what_litellm_could_not_read_is_told_in_our_words(error: Exception) -> None:
    translated = translate(error, "anthropic", Exchange(1, sent=False))
    assert (translated.code, translated.status, translated.retryable) == ("invalid_request", 400, False)
    assert translated.message.startswith("anthropic was not asked: ")
    assert not any(word in translated.message for word in ("{", "image_url", "concatenate", "secret"))


def test_a_bad_key_that_was_never_sent_stays_one() -> None:
    error = kind("APIConnectionError")("litellm.APIConnectionError: could not deserialize key data")
    assert translate(error, "vertexai", Exchange(1, sent=False)).code == "authentication"


def test_a_redirect_is_not_retried() -> None:
    error = translate(kind("APIConnectionError")("x"), "openai", Exchange(1, status=307, refusal="redirect"))
    assert (error.code, error.status, error.retryable, error.upstream_status) == ("redirected", 502, False, 307)
    assert "set api_base to the final address" in error.message
