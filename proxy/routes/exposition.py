"""What the tally has, as Prometheus reads it: families of metrics from the series of all processes.

A series holds several numbers, of which each family takes its own; labels that a family does not have are summed over.
It is imported when it is first asked for: nobody else needs prometheus-client.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from proxy.protocols import Answer
from proxy.tally import (
    BOUNDS,
    CACHED,
    COMPLETION,
    COST,
    COUNT,
    FIRST,
    FIRST_SECONDS,
    LATENCY,
    PROMPT,
    SAVED,
    SECONDS,
    Series,
)

PREFIX: Final = "parea_proxy_"
CALL: Final = ("model", "provider", "dialect", "status", "cache")
UPPER: Final = [*map(floatToGoString, BOUNDS), "+Inf"]

EVENTS: Final = {
    "rows_dropped": ("log_rows_dropped", "Rows that the trace log could not write."),
    "reload": ("config_reloads", "Configurations that were taken, in each worker."),
    "span_sent": ("spans_sent", "Spans that the OpenTelemetry collector took."),
    "span_dropped": ("spans_dropped", "Spans that it did not take, or that waited too long."),
    "reload_refused": ("config_reloads_refused", "Times that the configuration's files could not be used."),
}
"""Of kind `event`: the counters."""

STATES: Final = {
    "busy": ("calls_in_flight", "Calls under way."),
    "rows_waiting": ("log_queue_rows", "Rows that wait to be written to the trace log."),
    "problem": ("config_unusable_workers", "Workers whose configuration's files cannot be used as they are."),
}
"""Of kind `now`: the gauges, summed over the workers that run."""

Sums = dict[tuple[str, ...], float]
"""One number by the labels."""

Health = Mapping[str, Mapping[str, Any]]
"""What is known of each target, by its id."""


def expose(series: Iterable[Series], health: Health, accept: str) -> Answer:
    """The text of all metrics, in the format that `accept` asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(list(series), health))
    encode, media_type = choose_encoder(accept)
    return Answer(200, encode(registry), {"cache-control": "no-store"}, media_type)


class _Page:
    """A collector of prometheus-client."""

    def __init__(self, series: Sequence[Series], health: Health) -> None:
        self._series = series
        self._health = health

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._calls()
        for kind in ("key", "project"):
            yield from self._spent(kind)
        yield self._counter("attempts", "Calls to targets.", "attempt", ("target", "ended"))
        yield self._counter("failures", "Calls that failed.", "failure", ("code",))
        for event, (name, told) in EVENTS.items():
            yield _family(CounterMetricFamily, name, told, (), self._sum("event", (), COUNT, only=event))
        for state, (name, told) in STATES.items():
            yield _family(GaugeMetricFamily, name, told, (), self._sum("now", (), COUNT, only=state))
        yield from self._targets()

    def _calls(self) -> Iterator[Metric]:
        place: Sequence[str] = ("model", "provider")
        yield self._counter("requests", "Completions that were asked for.", "call", CALL)
        tokens = CounterMetricFamily(
            f"{PREFIX}tokens", "Tokens of providers' answers; cached ones are in prompt, too.", labels=(*place, "type")
        )
        saved = CounterMetricFamily(
            f"{PREFIX}saved_tokens", "Tokens of answers from the gateway's cache.", labels=(*place, "type")
        )
        for family, numbers in (
            (tokens, {"prompt": PROMPT, "completion": COMPLETION, "cached": CACHED}),
            (saved, {"prompt": SAVED + PROMPT, "completion": SAVED + COMPLETION, "cached": SAVED + CACHED}),
        ):
            for kind, number in numbers.items():
                for labels, value in self._sum("call", place, number).items():
                    family.add_metric([*labels, kind], value)
            yield family
        yield self._counter("cost_usd", "What providers' answers cost.", "call", place, COST)
        yield self._counter("saved_usd", "What answers of the cache would have cost.", "call", place, SAVED + COST)
        place = ("model", "provider", "cache")
        yield self._histogram("latency_seconds", "Seconds of calls that succeeded.", place, SECONDS, LATENCY)
        told = "Seconds until the first token of calls that stream."
        yield self._histogram("time_to_first_token_seconds", told, place, FIRST_SECONDS, FIRST)

    def _spent(self, kind: str) -> Iterator[Metric]:
        yield self._counter(f"{kind}_requests", f"Completions by {kind}.", kind, (kind, "status"))
        yield self._counter(f"{kind}_cost_usd", f"Cost by {kind}.", kind, (kind,), COST)
        tokens = CounterMetricFamily(f"{PREFIX}{kind}_tokens", f"Tokens by {kind}.", labels=(kind, "type"))
        for word, number in (("prompt", PROMPT), ("completion", COMPLETION), ("cached", CACHED)):
            for labels, value in self._sum(kind, (kind,), number).items():
                tokens.add_metric([*labels, word], value)
        yield tokens

    def _targets(self) -> Iterator[Metric]:
        for name, told, field in (
            ("target_cooled_down_seconds", "Seconds for which a target is not asked; 0 if it is healthy.", "cooled"),
            ("target_calls_in_flight", "Calls to a target under way.", "busy"),
            ("target_failures_recent", "Failures of a target within the last minute.", "failures"),
        ):
            values: Sums = {(target,): float(state[field]) for target, state in self._health.items()}
            yield _family(GaugeMetricFamily, name, told, ("target",), values)

    def _counter(self, name: str, told: str, kind: str, labels: Sequence[str], number: int = COUNT) -> Metric:
        return _family(CounterMetricFamily, name, told, labels, self._sum(kind, labels, number))

    def _histogram(self, name: str, told: str, labels: Sequence[str], total: int, first: int) -> Metric:
        family = HistogramMetricFamily(f"{PREFIX}{name}", told, labels=labels)
        sums = self._sum("call", labels, total)
        buckets = [self._sum("call", labels, first + number) for number in range(len(UPPER))]
        for values, seconds in sums.items():
            so_far, cumulated = 0.0, []
            for upper, counts in zip(UPPER, buckets, strict=True):
                so_far += counts[values]
                cumulated.append((upper, so_far))
            if so_far:
                family.add_metric(values, cumulated, seconds)
        return family

    def _sum(
        self, kind: str, labels: Sequence[str], number: int, only: str | None = None
    ) -> dict[tuple[str, ...], float]:
        """One number of all series of a kind, by the labels that are asked for."""
        names = {"call": CALL, "key": ("key", "status"), "project": ("project", "status")}.get(kind, labels)
        sums: Sums = defaultdict(float)
        if only is not None:
            sums[()] = 0.0
        for series in self._series:
            if series.kind != kind or (only is not None and series.labels[:1] != (only,)):
                continue
            if (series.live or kind != "now") and (only is not None or len(series.labels) == len(names)):
                given = dict(zip(names, series.labels, strict=False))
                sums[tuple(given[label] for label in labels)] += series.values[number]
        return sums


def _family(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    told: str,
    labels: Sequence[str],
    values: Mapping[tuple[str, ...], float],
) -> Metric:
    family = kind(f"{PREFIX}{name}", told, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family
