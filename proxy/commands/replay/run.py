"""The calls of a run: each is carried out by the gateway's own pipeline, in this process, and leaves its own row.

What must stay true: no more are under way at a time than was said; what is compared and told of an answer is what the
log has kept of it, so nothing that may not be written down gets out here; Ctrl-C ends the calls under way as a client
that leaves does, and what was done before stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Self

from proxy.app import Gateway
from proxy.commands.replay.difference import answers
from proxy.commands.replay.outcome import Figures, Outcome, Run, Verdict, figures
from proxy.commands.replay.request import Unfit, Wanted, call_of
from proxy.config import Config
from proxy.config.deployment import Versions
from proxy.config.prices import price
from proxy.errors import GatewayError, UpstreamError, shown
from proxy.middleware.route.series import OF_THE_REQUEST
from proxy.models import Call, Completion
from proxy.patience import Patience
from proxy.record import Record
from proxy.target import Target

GONE = "it is not in the log any more"
UNLOGGED = "it was answered, but its row could not be written"

HOPELESS = frozenset({"authentication", "payment_required", "permission", "model_not_found"})
"""Failures of a target for which no waiting helps."""


@dataclass(slots=True, frozen=True)
class Job:
    """One call to be made: of which row, and the how manieth of it."""

    original: str
    number: int


@dataclass(slots=True)
class Plan:
    """What a run would do: the rows that can be called again, why not the others, whom it would ask, and about what it
    would cost, as far as anybody knows the price: as many tokens as before.
    """

    rows: list[str]
    skipped: list[tuple[str, str]]
    targets: list[str]
    cost: float | None

    def reasons(self) -> Counter[str]:
        return Counter(reason for _, reason in self.skipped)


def kept(config: Config) -> Config:
    """The configuration of a run. A row that is there has won the draw of its trace, and its children share that: to
    draw once more, at a rate that is another by now, could only lose the trace, and take what is there with it.
    """
    return replace(config, log=config.log.model_copy(update={"sample_rate": 1.0}))


def planned(gateway: Gateway, records: Iterable[Record], wanted: Wanted, known: Mapping[str, Versions]) -> Plan:
    """Take each row through the steps of a call, as far as nobody is asked."""
    plan = Plan([], [], [], 0.0)
    for record in records:
        try:
            call = _stepped(gateway, record, wanted, known)
        except Unfit as unfit:
            plan.skipped.append((record.trace_id, unfit.reason))
            continue
        except GatewayError as error:
            plan.skipped.append((record.trace_id, error.message))
            continue
        plan.rows.append(record.trace_id)
        target = call.targets[0]
        if target.label not in plan.targets:
            plan.targets.append(target.label)
        cost = _expected(record, target)
        plan.cost = None if cost is None or plan.cost is None else plan.cost + cost
    return plan


def _expected(record: Record, target: Target) -> float | None:
    """What as many tokens as before would cost at `target`."""
    paid = price(target)
    if paid is None or record.input_tokens is None:
        return None
    return record.input_tokens * paid[0] + (record.output_tokens or 0) * paid[1]


def _stepped(gateway: Gateway, record: Record, wanted: Wanted, known: Mapping[str, Versions]) -> Call:
    """The call that would repeat a row, as whoever asks a model gets it. Raises `Unfit` and `GatewayError`."""
    call = call_of(record, wanted, known, "", 1)
    for step in gateway.explainer.steps:
        step(call)
    return call


async def warmed(gateway: Gateway, plan: Plan, wanted: Wanted, known: Mapping[str, Versions]) -> None:
    """Load what the calls need, and find out how those of each kind are written: the first one of a kind would tell the
    time of that as its model's.
    """
    for row in plan.rows:
        record = await gateway.log.get(row)
        if record is None:
            continue
        # the calls themselves will tell what is wrong with them
        with contextlib.suppress(Exception):
            call = _stepped(gateway, record, wanted, known)
            for target in call.targets:
                provider = gateway.providers.get(target.provider) or gateway.providers[""]
                await provider.warm(replace(call, dropped={}, remarks=dict(call.remarks)), target)


async def carried_out(
    gateway: Gateway,
    run: Run,
    jobs: Sequence[Job],
    wanted: Wanted,
    known: Mapping[str, Versions],
    width: int,
    patience: Patience,
    done: Callable[[int], None],
) -> None:
    """Make the calls, at most `width` at a time, and note in `run` what comes of them; `done` is told how many are. One
    that waits for a target, with all the `patience` there is, is under way. Once a row cannot be stored none is begun:
    it would be paid for nothing.
    """
    left = iter(enumerate(jobs))
    found: dict[int, Outcome] = {}

    async def work() -> None:
        for place, job in left:
            if run.unstored:
                return
            try:
                made = await _made(gateway, job, wanted, known, run.id, patience)
            except Unfit as unfit:
                run.skipped[unfit.reason] += 1
                continue
            found[place] = made
            run.unstored |= not made.stored
            done(len(found))

    tasks = [asyncio.create_task(work()) for _ in range(min(width, len(jobs)))]
    try:
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        run.outcomes = [found[place] for place in sorted(found)]
    for one in ended:
        if isinstance(one, Exception):
            raise one


class Interrupts:
    """Ctrl-C, which from `heed` on ends the work of a run and nothing else: what is done is told and closed, however
    often it is pressed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._run: Run | None = None
        self._work: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._run is not None:
            self._loop.remove_signal_handler(signal.SIGINT)
            if self._run.interrupted:  # the process ends by it, and is not to be killed on its last steps
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def heed(self, run: Run) -> None:
        """From now on, where signals can be had; only the main thread of a process gets them."""
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            self._loop.add_signal_handler(signal.SIGINT, self._stop)
            self._run = run

    def _stop(self) -> None:
        assert self._run is not None
        if not self._run.interrupted and self._work is not None:
            self._work.cancel()
        self._run.interrupted = True

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out a work of the run, unless or until it is interrupted."""
        if self._run is not None and self._run.interrupted:
            work.close()
            return
        task = self._work = asyncio.create_task(work)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._work = None
        if not task.cancelled():
            task.result()


async def _made(
    gateway: Gateway, job: Job, wanted: Wanted, known: Mapping[str, Versions], run: str, patience: Patience
) -> Outcome:
    """Make one call. Raises `Unfit` where its row has changed or gone meanwhile."""
    record = await gateway.log.get(job.original)
    if record is None:
        raise Unfit(GONE)
    call = call_of(record, wanted, known, run, job.number)
    trace_id, before = call.request.trace.trace_id, figures(record)
    completion: Completion | None = None
    call.patience = patience
    try:
        async with aclosing(gateway.handler(call)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    completion = event
    except Exception as error:
        _judge(patience, call, error)
        row = await gateway.log.get(trace_id) if call.logged else None
        told = (row.error if row is not None else None) or shown(error).message
        after = _figures(call, None) if row is None else figures(row)
        return Outcome(job.original, trace_id, job.number, "failed", before, after, told, call.logged is not False)
    patience.answered(call.groups[0].name)
    row = await gateway.log.get(trace_id) if call.logged else None
    if row is None:
        after = _figures(call, completion)
        return Outcome(job.original, trace_id, job.number, "failed", before, after, UNLOGGED, stored=False)
    return Outcome(job.original, trace_id, job.number, verdict(record, row), before, figures(row))


def _judge(patience: Patience, call: Call, error: Exception) -> None:
    """What a failure says of whoever was asked: whether it is there, or whether it is worth waiting for."""
    code = error.code if isinstance(error, UpstreamError) else None
    if code in OF_THE_REQUEST and call.groups:
        patience.answered(call.groups[0].name)
    elif code in HOPELESS and call.groups:
        patience.lost(call.groups[0].name)


def verdict(before: Record, after: Record) -> Verdict:
    """Whether two rows have the same answers, as far as both are in the log."""
    old, new = answers(before), answers(after)
    omitted = before.notes.get("omitted") or after.notes.get("omitted")
    if new is None or (old is None and omitted):
        return "not compared"
    return "same" if old == new else "different"


def _figures(call: Call, completion: Completion | None) -> Figures:
    model = call.target.model if call.target else call.request.model
    if completion is None:
        return Figures(model, latency=call.elapsed())
    usage = completion.usage
    return Figures(model, completion.cost, call.elapsed(), usage.prompt_tokens, usage.completion_tokens)
