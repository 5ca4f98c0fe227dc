"""An answer on its way, whichever way it was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol


class Source(Protocol):
    """The parts of one answer in the form of OpenAI's: the chunks of a stream, or one whole answer.

    After the last part `reason` is the finish reason that the provider sent, if it did, and `counted` says whether the
    usage among the parts is its own.
    """

    reason: str | None
    counted: bool

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]: ...

    def close(self) -> None:
        """Leave the answer; the connection to the provider is closed, if there was more to come."""
        ...
