"""The balance: which target of a group is asked next, and what is remembered of those that were.

What must stay true: choosing never waits and never raises; what was begun is ended, however it ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.target import Group, Target


class Balance:
    """Chooses among targets by their group's strategy, their health and their limits."""

    def choose(self, group: Group, targets: Sequence[Target]) -> Target | None:
        """The one of `targets`, those of `group` that are still to be asked, that is asked now; None if none may be."""
        return targets[0] if targets else None

    def reason(self, target: Target) -> str:
        """Why `choose` passes over a target: `cooled_down` or `limited`; "" if it may be asked."""
        return ""

    def wait(self, targets: Sequence[Target]) -> float:
        """Seconds until the first of `targets` may be asked again; 0 if one may be now."""
        return 0.0

    def begin(self, target: Target) -> None:
        """A call to `target` begins."""

    def told(self, target: Target, seconds: float) -> None:
        """Its first event has come, after `seconds`."""

    def end(self, target: Target, ended: str, *, tokens: int = 0, retry_after: float | None = None) -> None:
        """It has ended: `ended` as in `Attempt`, with the `tokens` it took. Called once for each `begin`, also where
        the caller has left (`cancelled`, which says nothing of the target).
        """
