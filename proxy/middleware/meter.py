"""The meter: counts each finished call once, from the record that is on its way to the log.

What must stay true: labels are words of the configuration or of this program, and everything else is `other`, so a
client cannot make series. Nothing raises and nothing waits; a cached answer pays for a look-up and some additions.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from proxy.config import Config
from proxy.errors import GatewayError, UpstreamError
from proxy.models import Call, Completion
from proxy.record import Record
from proxy.tally import (
    BOUNDS,
    CACHED,
    COMPLETION,
    COST,
    FIRST,
    FIRST_SECONDS,
    LATENCY,
    OTHER,
    PROMPT,
    SAVED,
    SECONDS,
    Tally,
)
from proxy.target import PASSED_OVER
from proxy.vendors import VENDORS

LONGEST = 80
"""Characters of a name that is a label."""

ENDINGS = PASSED_OVER | UpstreamError.STATUS.keys() | {"success", "cancelled"}
"""How an attempt ends; everything else is a refusal of the request itself."""


def _codes(error: type[GatewayError]) -> set[str]:
    return {error.code}.union(*map(_codes, error.__subclasses__()))


PROVIDERS = frozenset({*VENDORS, "echo"})
CODES = _codes(GatewayError) | UpstreamError.STATUS.keys()


class Meter:
    """Counts the calls of one configuration in `tally`. `busy` are those under way: who begins one adds it."""

    def __init__(self, config: Config, tally: Tally) -> None:
        self.busy = 0
        self._cells = tally.cells
        self._tally = tally
        names = {*config.models, *config.router.aliases}
        self._models = {name for name in names if len(name) <= LONGEST}
        self._patterns = [
            (each.pattern, re.compile(".*".join(map(re.escape, each.pattern.split("*"))), re.DOTALL))
            for each in config.wildcards
            if len(each.pattern) <= LONGEST
        ]
        self._targets = {target.label for targets in config.models.values() for target in targets}
        self._projects = {name for name in config.projects if len(name) <= LONGEST}
        self._rows: dict[tuple[str | None, ...], int] = {}

    def count(self, call: Call, record: Record, completion: Completion | None) -> None:
        """A call has ended, in whichever way."""
        self.busy -= 1
        cells = self._cells
        groups, status = call.groups, record.status
        key = (
            groups[0].name if groups else call.request.model,
            record.provider,
            call.request.dialect,
            status,
            call.cache_status,
        )
        row = self._rows.get(key)
        if row is None:
            row = self._row(*key)
        _add(cells, row, record, completion)
        if status == "success":
            latency = record.latency or 0.0
            cells[row + SECONDS] += latency
            cells[row + LATENCY + bisect_left(BOUNDS, latency)] += 1
        if (first := record.time_to_first_token) is not None:
            cells[row + FIRST_SECONDS] += first
            cells[row + FIRST + bisect_left(BOUNDS, first)] += 1
        if record.key is not None:
            _add(cells, self._tally.place("key", record.key, status or ""), record, completion)
        if (project := record.project_name) in self._projects and project is not None:
            _add(cells, self._tally.place("project", project, status or ""), record, completion)
        if status != "success" or call.attempts:
            self._trouble(call, record)

    def _row(self, name: str | None, provider: str | None, dialect: str, status: str | None, cache: str) -> int:
        """The row of a kind of call; it is remembered where nobody can make up more of its kind."""
        model = name if name in self._models and name is not None else self._pattern(name)
        vendor = provider if provider in PROVIDERS and provider is not None else OTHER
        row = self._tally.place("call", model, vendor, dialect, status or "", cache)
        if (model, vendor) == (name, provider):
            self._rows[name, provider, dialect, status, cache] = row
        return row

    def _trouble(self, call: Call, record: Record) -> None:
        """The attempts, which a shared call leaves to the one that paid for it, and why a call failed."""
        tally, cells = self._tally, self._cells
        for attempt in call.attempts if call.cache_status != "shared" else ():
            target = attempt.target if attempt.target in self._targets else OTHER
            ended = attempt.ended or "cancelled"
            cells[tally.place("attempt", target, ended if ended in ENDINGS else "refused")] += 1
        if record.status == "error":
            code = record.notes.get("failure")
            cells[tally.place("failure", code if code in CODES else GatewayError.code)] += 1

    def _pattern(self, name: str | None) -> str:
        """The configured pattern that a name fits, which was looked for in the same order when it was called."""
        if name is not None and len(name) <= 512:
            for pattern, fits in self._patterns:
                if fits.fullmatch(name):
                    return pattern
        return OTHER


def _add(cells: memoryview[float], row: int, record: Record, completion: Completion | None) -> None:
    """Add what a call took to a row, or what it would have."""
    cells[row] += 1
    if completion is not None:
        if completion.cache_hit:
            row += SAVED
        usage = completion.usage
        cells[row + PROMPT] += usage.prompt_tokens
        cells[row + COMPLETION] += usage.completion_tokens
        if usage.cached_tokens:
            cells[row + CACHED] += usage.cached_tokens
    if record.cost:
        cells[row + COST] += record.cost
