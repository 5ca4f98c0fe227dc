"""From whatever LiteLLM raises to one `UpstreamError` with the right status and a message that a person understands.

The order of trust: what the guard refused, what the wire said (`Exchange`), what the message says, the exception's
own status, its class. LiteLLM's classes come last because the same answer raises different ones by provider, and its
statuses are invented where there was no answer (a reset connection is a 500, a bad key for Vertex AI too).

Nothing here imports LiteLLM: classes are known by their names, and a test walks LiteLLM's own to see that none is
missing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping

from proxy.errors import UpstreamError
from proxy.providers.translation.values import ODD
from proxy.providers.translation.wording import LONGEST, READ, blotted, quoted, readable, reworded, scrub
from proxy.providers.wire.exchange import REFUSALS, Exchange, TransportError, retry_after

CLASSES: Mapping[str, str] = {
    "AuthenticationError": "authentication",
    "CallerCredentialAuthenticationError": "authentication",
    "PermissionDeniedError": "permission",
    "PaymentRequiredError": "payment_required",
    "NotFoundError": "model_not_found",
    "LiteLLMUnknownProvider": "model_not_found",
    "EndpointNotSupportedByModelError": "model_not_found",
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_filter",
    "RejectedRequestError": "content_filter",
    "GuardrailRaisedException": "content_filter",
    "BlockedPiiEntityError": "content_filter",
    "ModifyResponseException": "content_filter",
    "SensitiveDataRouteException": "content_filter",
    "UnsupportedParamsError": "unsupported_parameter",
    "BadRequestError": "invalid_request",
    "InvalidRequestError": "invalid_request",
    "ImageFetchError": "invalid_request",
    "MalformedRequestFieldError": "invalid_request",
    "UnsupportedEndpointError": "invalid_request",
    "UnprocessableEntityError": "invalid_request",
    "VectorStoreSearchError": "upstream_failed",
    "RateLimitError": "rate_limited",
    "CallerCredentialRateLimitError": "rate_limited",
    "BudgetExceededError": "rate_limited",
    "Timeout": "timeout",
    "APITimeoutError": "timeout",
    "TimeoutException": "timeout",
    "APIConnectionError": "unreachable",
    "ServiceUnavailableError": "unavailable",
    "MidStreamFallbackError": "truncated",
    "BadGatewayError": "upstream_failed",
    "InternalServerError": "upstream_failed",
    "APIError": "upstream_failed",
    "MockException": "upstream_failed",
    "OpenAIError": "upstream_failed",
    "APIResponseValidationError": "bad_answer",
    "JSONSchemaValidationError": "bad_answer",
    "ModelNotMappedError": "model_not_found",
}
"""The exception classes of LiteLLM and below it by name; one that is not listed counts as its nearest listed base."""

BEFORE_SENDING = frozenset({"UnsupportedParamsError", "ImageFetchError"})
"""Failures that came before the call itself: what was on the wire belongs to an image that a message names."""

STATUSES: Mapping[int, str] = {
    401: "authentication",
    402: "payment_required",
    403: "permission",
    404: "model_not_found",
    408: "timeout",
    424: "upstream_failed",
    429: "rate_limited",
    498: "overloaded",
    503: "unavailable",
    504: "timeout",
    529: "overloaded",
}
"""What a provider's status means; others of the 4xx are `invalid_request`, of the 5xx `upstream_failed`, the rest
`bad_answer`.
"""


TOLD = frozenset({401, 402, 403, 408, 429, 503, 529})
"""Statuses that are believed of an answer that began as a success; LiteLLM makes up others where it cannot read one."""


def _said(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


REFINEMENTS: tuple[tuple[frozenset[str], re.Pattern[str], str], ...] = (
    (
        frozenset({"invalid_request"}),
        _said(
            r"context[_ ](length|window)",
            r"maximum context",
            r"(prompt|input|request)\b.{0,40}\btoo (long|large)",
            r"too many (input )?tokens",
            r"exceeds? the (maximum|max|limit).{0,40}tokens?",
            r"input token count.{0,60}exceeds",
            r"reduce the length of the (messages|input|prompt)",
        ),
        "context_length_exceeded",
    ),
    (
        frozenset({"invalid_request", "permission"}),
        _said(
            r"content[_ ]?filter",
            r"content[_ ]?policy",
            r"content (management|filtering) policy",
            r"safety (system|filter|settings)",
            r"blocked by .{0,40}(safety|guardrail|policy|moderation)",
            r"\bmoderation\b",
            r"ResponsibleAI",
            r"sensitive words",
        ),
        "content_filter",
    ),
    (frozenset({"upstream_failed", "unavailable", "rate_limited"}), _said(r"overloaded"), "overloaded"),
)
"""What a provider's words add to its status: (codes it may refine, words, the finer code)."""

NO_ANSWER: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        _said(
            r"invalid_(grant|client)",
            r"RefreshError",
            r"DefaultCredentialsError",
            r"could not resolve project",
            r"could not load (the )?(default )?credentials",
            r"could not deserialize key data",
            r"no key could be detected",
            r"unable to load PEM",
            r"NoCredentialsError",
            r"unable to locate credentials",
        ),
        "authentication",
    ),
    (_said(r"timed? ?out", r"timeout"), "timeout"),
)
"""What failures mean that came before any answer, by LiteLLM's words."""

BROKEN = _said(
    r"server disconnected",
    r"connection (reset|lost|closed|aborted|error)",
    r"incomplete (message|chunked|read)",
    r"peer closed",
    r"ended before",
    r"(TransferEncoding|ContentLength|Read|RemoteProtocol)Error",
    r"not enough data",
    r"payload is not completed",
)
"""Words of an answer that broke off."""


def translate(
    error: BaseException,
    provider: str,
    exchange: Exchange | None = None,
    secrets: Iterable[str] = (),
    *,
    began: bool = False,
) -> UpstreamError:
    """The `UpstreamError` for what was raised. `began` says that part of a streamed answer had arrived already."""
    cause = unwrap(error)
    seen = exchange or Exchange(limit=0)
    if isinstance(cause, UpstreamError):
        cause.upstream_status = cause.upstream_status or seen.status
        return cause
    secrets = tuple(secrets)
    # Before anything is cut out or off, which could leave half a secret that nobody recognizes; and once more where
    # it was escaped.
    raw = blotted(str(cause), secrets)[:READ] or type(cause).__name__
    if seen.refusal is not None:
        code = "redirected" if seen.refusal == "redirect" else "bad_answer"
        return UpstreamError(
            f"{provider}: {REFUSALS[seen.refusal]}", code=code, provider=provider, upstream_status=seen.status
        )
    code = _code(cause, raw, seen, began)
    known = reworded(raw, cause, code, sent=seen.sent) if seen.status is None else None
    if known is not None:
        return UpstreamError(f"{provider} {known[1]}", code=known[0], provider=provider)
    own = code in OUR_WORDS and (seen.status is None or seen.status < 300)
    text = scrub(quoted(raw) if own else readable(raw), secrets)[:LONGEST]
    return UpstreamError(
        _sentence(provider, code, text, seen.status),
        code=code,
        provider=provider,
        upstream_status=seen.status,
        retry_after=retry_after(seen.headers) if code not in ("bad_answer", "truncated") else None,
        quoted=True,
    )


def unwrap(error: BaseException) -> BaseException:
    """What a fallback wrapper of LiteLLM hides."""
    while (inner := getattr(error, "original_exception", None)) is not None and isinstance(inner, Exception):
        error = inner
    return error


def named(error: BaseException) -> str | None:
    """The code of an exception's class, or of its nearest listed base."""
    return next((CLASSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CLASSES), None)


def _code(error: BaseException, raw: str, seen: Exchange, began: bool) -> str:
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return "timeout"
    if isinstance(error, TransportError):
        return error.code if seen.status is not None or error.code != "bad_answer" else "unreachable"
    by_class = named(error)
    if by_class is not None and type(error).__name__ in BEFORE_SENDING:
        return by_class
    if seen.status is None:
        return _unanswered(error, raw, by_class)
    if 200 <= seen.status < 300:
        return _spoiled(error, raw, by_class, began)
    return _refined(_by_status(seen.status), by_class, raw)


def _unanswered(error: BaseException, raw: str, by_class: str | None) -> str:
    """Nothing came back: the connection failed, or LiteLLM refused before sending."""
    for words, code in NO_ANSWER:
        if words.search(raw):
            return code
    if by_class is None:
        return "invalid_request" if isinstance(error, ValueError | TypeError | KeyError) else "unreachable"
    if by_class in ("upstream_failed", "unavailable", "truncated", "bad_answer"):
        return "unreachable"
    return _refined(by_class, by_class, raw)


def _spoiled(error: BaseException, raw: str, by_class: str | None, began: bool) -> str:
    """The answer began well: it stalled, broke off, carried an error event, or could not be read."""
    status = getattr(error, "status_code", None)
    if by_class == "timeout":
        return "timeout"
    if ODD in raw:
        return "bad_answer"
    if by_class in ("context_length_exceeded", "content_filter", "rate_limited", "authentication", "permission"):
        return by_class
    if not began and "ended before" in raw:
        return "bad_answer"
    if BROKEN.search(raw):
        return "truncated"
    if "overloaded" in raw.lower():
        return "overloaded"
    if status in TOLD:
        return STATUSES[status]
    return "upstream_failed" if began else "bad_answer"


def _by_status(status: int) -> str:
    if status in STATUSES:
        return STATUSES[status]
    if 400 <= status < 500:
        return "invalid_request"
    return "upstream_failed" if 500 <= status < 600 else "bad_answer"


def _refined(code: str, by_class: str | None, raw: str) -> str:
    if code == "invalid_request" and by_class in ("context_length_exceeded", "content_filter"):
        return by_class
    for codes, words, finer in REFINEMENTS:
        if code in codes and words.search(raw):
            return finer
    return code


OUR_WORDS = frozenset({"timeout", "truncated", "bad_answer", "unreachable"})
"""Failures without a refusal of the provider's: LiteLLM's text would add its workings, or pieces of the answer."""

WORDS: Mapping[str, str] = {
    "unreachable": "could not be reached",
    "timeout": "did not answer in time",
    "truncated": "broke its answer off",
    "bad_answer": "gave an answer that cannot be read",
    "overloaded": "is overloaded",
    "unavailable": "is unavailable",
    "upstream_failed": "failed",
    "rate_limited": "limits the rate",
    "authentication": "refused the credentials",
    "permission": "denied permission",
    "payment_required": "asks for payment",
    "model_not_found": "does not know the model",
    "context_length_exceeded": "refused: the context is too long",
    "content_filter": "refused the content",
    "invalid_request": "refused the request",
    "unsupported_parameter": "does not support a parameter",
}


def _sentence(provider: str, code: str, text: str, status: int | None) -> str:
    answered = f" ({status})" if status is not None and status >= 300 else ""
    said = f": {text}" if text else ""
    return f"{provider} {WORDS[code]}{answered}{said}"
