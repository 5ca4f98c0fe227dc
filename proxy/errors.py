"""Everything that can go wrong, as one tree; each error knows its HTTP status and is fit to be shown.

    GatewayError
      RequestError             the request itself is refused; nothing was sent upstream
        BadRequest         400   MissingInputs is one
        Unauthorized       401
        Forbidden          403
        NotFound           404   NotServed is one: no such path
        NotAllowed         405
        TooLarge           413
        UnsupportedMedia   415
        Unprocessable      422   a list of {loc, msg, type}, never the values
        Limited            429   OverBudget is one
        NotReady           503
        NotRecorded        504
      UpstreamError            the provider failed, refused, or cut its answer short; Unasked is one
      ConfigError              the configuration cannot be used; never leaves the command line

A message names the field or key and the fix. It never holds a credential, and no value of a request that failed
validation.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from typing import Any, ClassVar

from proxy import remains

logger = logging.getLogger("proxy")


class GatewayError(Exception):
    """The root of the tree. `code` is a stable word for programs, the message is for people."""

    status: int = 500
    code: str = "internal_error"
    retry_after: float | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return False


class RequestError(GatewayError):
    """A refusal of the request. `param` names the field at fault, if one is."""

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class BadRequest(RequestError):
    """The request is well formed but cannot be carried out."""


class MissingInputs(BadRequest):
    """A template needs inputs that the request does not have: `names`, sorted."""

    code = "missing_inputs"

    def __init__(self, message: str, names: Sequence[str], *, param: str) -> None:
        super().__init__(message, param=param)
        self.names = sorted(names)


class Unauthorized(RequestError):
    status = 401
    code = "unauthorized"


class Forbidden(RequestError):
    status = 403
    code = "forbidden"


class NotFound(RequestError):
    status = 404
    code = "not_found"


class NotServed(NotFound):
    """Nothing is served at a path; `asked` is the request's method and path, for APIs that repeat them."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__("Not Found")
        self.asked = f"{method} {path if len(path) <= 200 else path[:200] + '...'}"


class TooLarge(RequestError):
    status = 413
    code = "too_large"


class UnsupportedMedia(RequestError):
    status = 415
    code = "unsupported_media_type"


class NotAllowed(RequestError):
    status = 405
    code = "method_not_allowed"


class Limited(RequestError):
    """A key has used up what it may use for now; `retry_after` is in seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        return True


class OverBudget(Limited):
    """A key has spent its budget: nobody shall wait for the next one."""

    code = "over_budget"

    @property
    def retryable(self) -> bool:
        return False


class NotReady(RequestError):
    status = 503
    code = "not_ready"
    retry_after = 1.0

    @property
    def retryable(self) -> bool:
        return True


class NotRecorded(RequestError):
    """A cassette has no answer to the request, and nobody is to be called."""

    status = 504
    code = "not_recorded"


class Unprocessable(RequestError):
    """The body does not fit the schema. `detail` is FastAPI's list of `{loc, msg, type}`, without the values."""

    status = 422
    code = "unprocessable"

    def __init__(self, detail: Sequence[dict[str, Any]]) -> None:
        first = detail[0] if detail else {"loc": ["body"], "msg": "invalid"}
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        super().__init__(f"{where or 'body'}: {first['msg']}", param=where or None)
        self.detail = list(detail)


class UpstreamError(GatewayError):
    """A provider's failure, translated.

    `code` is one of `STATUS`; `status` is what the client is told; `upstream_status` what the provider said, if it got
    that far. `retry_after` is in seconds. `quoted` says that the message holds the provider's own words, which may
    quote the request.
    """

    STATUS: ClassVar[dict[str, int]] = {
        "invalid_request": 400,
        "context_length_exceeded": 400,
        "content_filter": 400,
        "unsupported_parameter": 400,
        "authentication": 401,
        "payment_required": 402,
        "permission": 403,
        "model_not_found": 404,
        "rate_limited": 429,
        "bad_answer": 502,
        "redirected": 502,
        "truncated": 502,
        "unreachable": 502,
        "upstream_failed": 502,
        "overloaded": 503,
        "unavailable": 503,
        "timeout": 504,
    }
    RETRYABLE: ClassVar[frozenset[str]] = frozenset(
        {"rate_limited", "bad_answer", "unreachable", "upstream_failed", "overloaded", "unavailable", "timeout"}
    )

    def __init__(
        self,
        message: str,
        *,
        code: str,
        provider: str,
        upstream_status: int | None = None,
        retry_after: float | None = None,
        quoted: bool = False,
    ) -> None:
        super().__init__(message)
        self.quoted = quoted
        self.code = code
        self.status = self.STATUS[code]
        self.provider = provider
        self.upstream_status = upstream_status
        self.retry_after = retry_after

    def withheld(self) -> UpstreamError:
        """The same failure without the provider's words, which may quote what must not be written down."""
        return UpstreamError(
            f"{self.provider}: {self.code} (the provider's message is withheld because this call omits its log)",
            code=self.code,
            provider=self.provider,
            upstream_status=self.upstream_status,
            retry_after=self.retry_after,
        )

    @property
    def retryable(self) -> bool:
        return self.code in self.RETRYABLE


class Unasked(UpstreamError):
    """No provider was asked, for reasons of this gateway's: its targets rest or are at their limits, or its key for the
    provider is missing or cannot be sent. Another gateway, or this one a moment later, may be answered.
    """


class ConfigError(GatewayError):
    """The configuration cannot be used; the message gives file, line, key and the fix."""


def shown(error: Exception) -> GatewayError:
    """The error as a client may see it. A bug is logged with its place, not its text, which may hold anything.

    It comes without the frames that it went through: who keeps it while it answers is one of them, and with it they
    would keep each other, and the request's body, until the collector comes by.
    """
    if not isinstance(error, GatewayError):
        logger.error("internal error: %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    remains.clear(error)
    if isinstance(error, GatewayError):
        return error
    return GatewayError(f"internal error ({type(error).__name__}); the gateway's log says where")
