"""Omission: what must not be written down is taken out of a record before anything else sees it.

Omitting inputs takes `inputs` and, of the configuration, messages, functions and model parameters; omitting outputs
takes the answer. An error's text can quote either, so only the word for the failure stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.models import Call, Json, LogPolicy
from proxy.protocols import Step
from proxy.record import Record

HARMLESS = frozenset(
    {
        *("children", "depth", "execution_order", "evaluation_metric_names", "apply_eval_frac", "organization_id"),
        *("reference_id", "parent_reference_id", "session_reference_id", "source_datapoint_id", "model_config_id"),
        *("environment", "save", "trial_id", "provider_latency", "prompt_cost", "output_cost"),
    }
)
"""What a client logs besides, and quotes neither inputs nor outputs."""

INPUT_KEYS = frozenset({"messages", "functions", "function_call", "model_params"})

INPUT_NOTES = frozenset({"unfilled"})
"""What the gateway remarks in the words of a message."""


def omit(record: Record) -> Record:
    """The record without what its policy forbids."""
    policy = record.policy
    if not policy.omits:
        return record
    notes = {**record.notes, "omitted": [name for name in ("inputs", "outputs") if not getattr(policy, name)]}
    extra = {key: value for key, value in record.extra.items() if key in HARMLESS}
    kept = replace(record, notes=notes, extra=extra)
    if not policy.inputs:
        kept.notes = {name: value for name, value in notes.items() if name not in INPUT_NOTES}
        kept.inputs = None
        kept.configuration = {
            key: value for key, value in (record.configuration or {}).items() if key not in INPUT_KEYS
        } or None
    if not policy.outputs:
        kept.output = None
    if kept.error is not None:
        kept.error = f"{kept.notes.get('failure', 'error')} (message withheld: the log of this call is omitted)"
    return kept


def restrict(policy: LogPolicy) -> Step:
    """A step that holds every call to the configured policy, so that the cache obeys it as the log does."""

    def step(call: Call) -> None:
        call.request.policy = call.request.policy.narrowed(policy)

    return step


def omit_fields(fields: Mapping[str, Json], policy: LogPolicy) -> dict[str, Json]:
    """The fields of an edit to a record, without what `policy` forbids."""
    forbidden = {"error", "extra"} if policy.omits else set()
    forbidden |= set() if policy.inputs else {"inputs", "configuration"}
    forbidden |= set() if policy.outputs else {"output"}
    return {name: value for name, value in fields.items() if name not in forbidden}
