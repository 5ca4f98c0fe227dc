"""The board: what the workers of one machine tell each other about targets and keys, without a server.

For each id it has what was taken in the last minute, the calls under way, the failures of the last minute, a cool-down
and who may look whether it is over, and how long answers take to begin.

The last minute is counted in buckets of `STEP` seconds, of which the oldest counts until all of it is a minute old. So
no minute, wherever it begins, has more in it than its limit, which neither a weighted mean of two minutes nor a leaky
bucket (GCRA) promises: both let nearly twice the limit through in one minute. The price is that what was taken is given
back up to `STEP` seconds late.

What must stay true:

* `take` never admits more requests than the limit in any `WINDOW` seconds, by all processes of the machine, as long as
  a record is not given up (`sheet.RUN`) and no lock is held for a second (`sheet.STUCK`). Of tokens it admits as many,
  and one request that is larger than the limit where nothing else was taken; what `spend` adds may exceed it.
* Calls under way are gone with their process.
* Times are of the machine's monotonic clock. What lies further ahead than `FARTHEST` is void.
* Nothing raises; nothing waits longer than `sheet.PATIENCE`. Reading takes no lock.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from proxy.board import Use
from proxy.stores.shared.sheet import USED, Sheet

WINDOW: Final = 60
STEP: Final = 5
BUCKETS: Final = WINDOW // STEP + 1
FARTHEST: Final = 86400.0
"""Seconds that anything may lie ahead."""

MOMENT: Final = 0.01
"""What to wait where the lock was not to be had."""

PLACE: Final = 0.25
"""What to wait for a call under way to end, since nobody knows when it will."""

GREATEST: Final = 2**53
SHARE: Final = 0.2
"""How much of a mean the latest measurement is."""

STAMP, UNTIL, LENGTH, LEASE, LATENCY = range(USED + 1, USED + 6)
"""Words of a record: the last bucket that was counted in; the end of a cool-down, which stays after it is over, until
the target has recovered, and how long it was; the end of a lease to probe; the mean time to a first token.
"""

REQUESTS: Final = LATENCY + 1
TOKENS: Final = REQUESTS + BUCKETS
FAILURES: Final = TOKENS + BUCKETS
END: Final = FAILURES + BUCKETS


class Board:
    """A `proxy.board.Board` in the file at `path`; without one it is of this process alone."""

    def __init__(self, path: Path | None = None) -> None:
        self._sheet = Sheet(path)
        if self._sheet.fresh:
            # the limits outlast a restart, what was thought of the targets does not
            for word in (UNTIL, LENGTH, LEASE, LATENCY, *range(FAILURES, END)):
                self._sheet.clear(word)

    def take(
        self,
        id: str,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        parallel: int | None = None,
        tokens: int = 0,
    ) -> float:
        sheet = self._sheet
        if requests_per_minute is None and tokens_per_minute is None and parallel is None:
            if not (base := sheet.find(id)):
                with sheet:
                    base = sheet.place(id)
            sheet.times[base + USED] = time.monotonic()
            sheet.add(base, 1)
            return 0.0
        with sheet as held:
            if not held:
                return MOMENT
            base = sheet.place(id)
            now = time.monotonic()
            sheet.times[base + USED] = now
            bucket = self._advance(base, now)
            wait = self._wait(base, now, requests_per_minute, tokens_per_minute, parallel, tokens)
            if wait and parallel is not None and sheet.due():
                sheet.census()
                wait = self._wait(base, now, requests_per_minute, tokens_per_minute, parallel, tokens)
            if wait:
                return wait
            self._count(base + REQUESTS, bucket, 1)
            self._count(base + TOKENS, bucket, tokens)
            sheet.add(base, 1)
            return 0.0

    def wait(
        self,
        id: str,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        parallel: int | None = None,
        tokens: int = 0,
    ) -> float:
        base = self._sheet.find(id)
        if not base:
            return 0.0
        return self._wait(base, time.monotonic(), requests_per_minute, tokens_per_minute, parallel, tokens)

    def release(self, id: str) -> int:
        base = self._sheet.find(id)
        return self._sheet.add(base, -1) if base else 0

    def spend(self, id: str, tokens: int, taken: float | None = None) -> None:
        with self._sheet:
            base = self._sheet.place(id)
            now = time.monotonic()
            bucket = at = self._advance(base, now)
            if tokens < 0 and taken is not None:
                at = int(taken // STEP)
            # what is given back has its place where it was taken, and none where that is over
            if bucket - BUCKETS < at <= bucket:
                self._count(base + TOKENS, at, tokens)

    def use(self, id: str) -> Use:
        base = self._sheet.find(id)
        if not base:
            return Use()
        now = time.monotonic()
        return Use(
            requests=self._sum(base + REQUESTS, base, now),
            tokens=self._sum(base + TOKENS, base, now),
            busy=self._sheet.busy(base),
            failures=self._sum(base + FAILURES, base, now),
            cooled=max(self.cooled(id), 0.0),
            latency=self.latency(id),
        )

    def busy(self, id: str) -> int:
        base = self._sheet.find(id)
        if not base:
            return 0
        if self._sheet.due():
            with self._sheet:
                self._sheet.census()
        return self._sheet.busy(base)

    def fail(self, id: str) -> int:
        with self._sheet:
            base = self._sheet.place(id)
            now = time.monotonic()
            self._count(base + FAILURES, self._advance(base, now), 1)
            return self._sum(base + FAILURES, base, now)

    def cool(self, id: str, seconds: float, most: float = FARTHEST) -> float:
        with self._sheet:
            base = self._sheet.place(id)
            times = self._sheet.times
            left = self.cooled(id)
            seconds = min(max(seconds, 0.0), most, FARTHEST)
            if left < 0:
                # it was asked again after a cool-down, and failed again
                before = times[base + LENGTH]
                seconds = max(seconds, min(2 * before, most, FARTHEST)) if before > 0 else seconds
            seconds = max(seconds, left)
            times[base + LENGTH] = seconds
            times[base + LEASE] = 0.0
            times[base + UNTIL] = time.monotonic() + seconds
            return seconds

    def cooled(self, id: str) -> float:
        base = self._sheet.find(id)
        if not base:
            return 0.0
        until = self._sheet.times[base + UNTIL]
        if not until:
            return 0.0
        left = until - time.monotonic()
        # written so that what is no number is void, too
        return (left or -0.001) if -FARTHEST < left < FARTHEST else 0.0

    def probe(self, id: str, seconds: float) -> bool:
        with self._sheet as held:
            base = self._sheet.find(id)
            if not held or not base or self.cooled(id) >= 0:
                return False
            now = time.monotonic()
            if self.probed(id):
                return False
            self._sheet.times[base + LEASE] = now + min(seconds, FARTHEST / 2)
            return True

    def probed(self, id: str) -> float:
        base = self._sheet.find(id)
        left = self._sheet.times[base + LEASE] - time.monotonic() if base else 0.0
        return left if 0 < left < FARTHEST else 0.0

    def unprobe(self, id: str) -> None:
        if base := self._sheet.find(id):
            self._sheet.times[base + LEASE] = 0.0

    def recovered(self, id: str) -> None:
        with self._sheet:
            base = self._sheet.place(id)
            for word in (UNTIL, LENGTH, LEASE, LATENCY, *range(FAILURES, END)):
                self._sheet.words[base + word] = 0

    def observe(self, id: str, seconds: float) -> None:
        sheet = self._sheet
        if not (base := sheet.find(id)):
            with sheet:
                base = sheet.place(id)
        mean = self._mean(base)
        sheet.times[base + LATENCY] = seconds if mean is None else mean + SHARE * (seconds - mean)

    def latency(self, id: str) -> float | None:
        base = self._sheet.find(id)
        return self._mean(base) if base else None

    def close(self) -> None:
        self._sheet.close()

    def _mean(self, base: int) -> float | None:
        mean = self._sheet.times[base + LATENCY]
        return mean if 0 < mean < FARTHEST else None

    def _wait(
        self, base: int, now: float, requests: int | None, tokens: int | None, parallel: int | None, size: int
    ) -> float:
        wait = 0.0
        if parallel is not None and self._sheet.busy(base) >= parallel:
            wait = PLACE
        if requests is not None:
            wait = max(wait, self._room(base + REQUESTS, base, now, requests, 1))
        if tokens is not None:
            wait = max(wait, self._room(base + TOKENS, base, now, tokens, size))
        return wait

    def _room(self, ring: int, base: int, now: float, limit: int, size: int) -> float:
        """Seconds until `size` more fit within `limit`; a whole window's where they never do."""
        if limit <= 0:
            return float(WINDOW)
        # one that is larger than the limit has the window to itself; one of unknown size needs room for something
        over = self._sum(ring, base, now) + max(min(size, limit), 1) - limit
        if over <= 0:
            return 0.0
        for bucket, count in self._window(ring, base, now):
            over -= count
            if over <= 0:
                return float((bucket + BUCKETS) * STEP - now)
        return float(WINDOW)

    def _sum(self, ring: int, base: int, now: float) -> int:
        if self._sheet.words[base + STAMP] == now // STEP:
            # all that is over was emptied when the bucket began
            return sum(self._sheet.words[ring : ring + BUCKETS])
        return sum(count for _, count in self._window(ring, base, now))

    def _window(self, ring: int, base: int, now: float) -> list[tuple[int, int]]:
        """The buckets of a ring that are not over, each with its count, oldest first."""
        words, bucket = self._sheet.words, int(now // STEP)
        last, oldest = words[base + STAMP], bucket - BUCKETS + 1
        if not oldest <= last <= bucket + 1:
            return []
        return [(one, words[ring + one % BUCKETS]) for one in range(max(oldest, last - BUCKETS + 1), last + 1)]

    def _advance(self, base: int, now: float) -> int:
        """Empty the buckets that are over; returns the one of now. Needs the lock."""
        words, bucket = self._sheet.words, int(now // STEP)
        last = words[base + STAMP]
        if bucket <= last <= bucket + 1:
            # the next one, where somebody who could not have the lock was quicker
            return last
        if bucket - BUCKETS < last < bucket:
            for passed in range(last + 1, bucket + 1):
                for ring in (REQUESTS, TOKENS, FAILURES):
                    words[base + ring + passed % BUCKETS] = 0
        else:
            words[base + REQUESTS : base + END] = memoryview(bytes(8 * (END - REQUESTS))).cast("q")
        words[base + STAMP] = bucket
        return bucket

    def _count(self, ring: int, bucket: int, count: int) -> None:
        at = ring + bucket % BUCKETS
        self._sheet.words[at] = min(max(self._sheet.words[at] + count, 0), GREATEST)
