"""The joint between those who count calls, to targets or with keys, and the board where the workers of one machine
count them together (`stores/shared/board.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, frozen=True)
class Use:
    """What is known of an id now: requests, tokens and failures of the last minute, calls under way, the seconds that
    it is still cooled down for, and how long an answer takes to begin, None where nobody has measured.
    """

    requests: int = 0
    tokens: int = 0
    busy: int = 0
    failures: int = 0
    cooled: float = 0.0
    latency: float | None = None


class Board(Protocol):
    """What the workers of one machine share of targets and keys, by any ids. Nothing raises, nothing is awaited."""

    def take(
        self,
        id: str,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        parallel: int | None = None,
        tokens: int = 0,
    ) -> float:
        """Begin a call of `tokens`, as far as they are known: 0.0 if it is within the limits and counted, else nothing
        is, and the seconds until it may be tried again. A call without any limit is only counted as under way.
        """
        ...

    def wait(
        self,
        id: str,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        parallel: int | None = None,
        tokens: int = 0,
    ) -> float:
        """What `take` would return; nothing is taken."""
        ...

    def release(self, id: str) -> int:
        """A call that was taken has ended; once for each `take` that returned 0.0, by the same process. Returns how
        many calls this process still has under way.
        """
        ...

    def spend(self, id: str, tokens: int, taken: float | None = None) -> None:
        """So many more tokens were used. Fewer than were taken, a negative number, are given back to the minute that
        `taken`, the `time.monotonic()` of the take, is in.
        """
        ...

    def use(self, id: str) -> Use: ...
    def busy(self, id: str) -> int:
        """The calls under way, in all processes."""
        ...

    def fail(self, id: str) -> int:
        """A call has failed; how many have within the last minute."""
        ...

    def cool(self, id: str, seconds: float, most: float = 86400.0) -> float:
        """Not to be asked for `seconds`, or for twice what it was the last time, at most `most`, if it has not
        recovered since; a longer cool-down that it has stays. Returns the seconds that it came to.
        """
        ...

    def cooled(self, id: str) -> float:
        """Seconds that it is still cooled down for; 0.0 if it is not; less than 0 if that is over and it has not been
        seen to have recovered.
        """
        ...

    def probe(self, id: str, seconds: float) -> bool:
        """Whether the caller may ask it, whose cool-down is over, once: nobody else may for `seconds`, or until
        `recovered`, `cool` or `unprobe`.
        """
        ...

    def probed(self, id: str) -> float:
        """Seconds that nobody else may ask it for; 0.0 if anybody may."""
        ...

    def unprobe(self, id: str) -> None:
        """The probe told nothing."""
        ...

    def recovered(self, id: str) -> None:
        """It answers again: no cool-down, no failures, nothing measured."""
        ...

    def observe(self, id: str, seconds: float) -> None:
        """An answer took so long to begin."""
        ...

    def latency(self, id: str) -> float | None:
        """How long answers take to begin: a mean in which later ones weigh more."""
        ...

    def close(self) -> None:
        """What this process has under way is under way no longer."""
        ...
