"""Sampling: whether a record's whole trace is kept, decided by a hash of its root id.

Every process and every late child computes the same draw, so a trace stays or goes together without anybody
remembering. A record that loses keeps its ids and its counters, no content, so that totals of calls, tokens and cost
stay exact.
"""

from __future__ import annotations

from dataclasses import fields, replace
from hashlib import blake2b

from proxy.record import Record

COUNTED = frozenset(
    {
        "trace_id",
        "root_trace_id",
        "parent_trace_id",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cost",
        "latency",
        "start_timestamp",
        "end_timestamp",
        "status",
        "cache_hit",
        "sample_rate",
        "key",
        "spent",
    }
)
"""What is left of a record whose trace lost the draw."""


def draw(root_trace_id: str) -> float:
    """A number in [0, 1), uniform over root ids and the same everywhere."""
    return int.from_bytes(blake2b(root_trace_id.encode(), digest_size=7).digest()) / 2**56


def sample(record: Record) -> Record:
    """The record itself, or what is counted of it when its trace is not kept."""
    rate = min(record.sample_rate, record.policy.rate)
    if rate >= 1.0 or draw(record.root_trace_id) < rate:
        return record
    counted = {field.name: getattr(record, field.name) for field in fields(record) if field.name in COUNTED}
    return replace(Record(**counted), counted_only=True, stand_in=record.stand_in, sample_rate=rate)
