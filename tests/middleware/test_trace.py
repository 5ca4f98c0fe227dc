from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import BadRequest, UpstreamError
from proxy.middleware.trace import trace
from proxy.models import (
    CacheStatus,
    Call,
    Choice,
    Chunk,
    Completion,
    CompletionRequest,
    Event,
    LogPolicy,
    ToolCall,
    TraceContext,
    Usage,
)
from proxy.protocols import Handler
from proxy.record import Record
from proxy.target import Attempt, Target

DONE = Completion([Choice(text="ab")], Usage(2, 1), model="gpt-4o", provider="openai", cost=0.25)


class Journal:
    """What was written down, and whether the disk took it. A row is settled one turn of the loop later."""

    def __init__(self, *, settled: bool = True) -> None:
        self.records: list[Record] = []
        self.settled = settled

    def __call__(self, record: Record) -> asyncio.Future[bool]:
        self.records.append(record)
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, self.settled)
        return future


def call(**changes: Any) -> Call:
    given: dict[str, Any] = {
        "model": "gpt-4o",
        "provider": "openai",
        "messages": [{"role": "user", "content": "hi"}],
        "params": {"temperature": 0.5, "max_tokens": 9, "tools": [{"type": "function", "function": {"name": "f"}}]},
        **changes,
    }
    request = CompletionRequest("parea", TraceContext("t", "r", "p"), **given)
    return Call(request, targets=(Target("openai", "gpt-4o"),))


def playing(*events: Event | Exception) -> Handler:
    async def handler(call: Call) -> AsyncGenerator[Event, None]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    return handler


async def test_an_answer_leaves_a_row_before_its_last_event() -> None:
    journal, asked = Journal(), call()
    async for event in trace(journal)(playing(Chunk("a"), Chunk("b"), DONE))(asked):
        if isinstance(event, Completion):
            assert len(journal.records) == 1
            assert asked.logged is True
    (row,) = journal.records
    assert (row.trace_id, row.root_trace_id, row.parent_trace_id) == ("t", "r", "p")
    assert (row.status, row.output, row.error) == ("success", "ab", None)
    assert (row.input_tokens, row.output_tokens, row.total_tokens, row.cost) == (2, 1, 3, 0.25)
    assert row.name == "llm-openai"
    assert row.latency is not None
    assert row.latency >= 0
    assert row.end_timestamp is not None
    assert row.end_timestamp >= row.start_timestamp


async def test_the_configuration_is_kept_in_pareas_words() -> None:
    journal = Journal()
    [event async for event in trace(journal)(playing(DONE))(call())]
    configuration = journal.records[0].configuration
    assert configuration is not None
    assert configuration["model_params"] == {"temp": 0.5, "max_length": 9}
    assert configuration["functions"] == [{"name": "f"}]
    assert configuration["messages"] == [{"role": "user", "content": "hi"}]


async def test_tool_calls_are_kept_in_the_output() -> None:
    journal = Journal()
    answered = Completion([Choice(tool_calls=[ToolCall("1", "f", "{}")])], Usage(), "m", "p")
    [event async for event in trace(journal)(playing(answered))(call())]
    assert '"name": "f"' in (journal.records[0].output or "")


async def test_a_row_of_several_samples_tells_which() -> None:
    several = replace(DONE, choices=[Choice(0, "a"), Choice(1, "b", finish_reason="length")])
    ended, broken = Journal(), Journal()
    async for _ in trace(ended)(playing(several))(call()):
        pass
    with pytest.raises(ValueError, match="broke"):
        async for _ in trace(broken)(playing(Chunk("b", index=1), ValueError("broke")))(call()):
            pass
    told = [{"index": 0, "finish_reason": "stop"}, {"index": 1, "finish_reason": "length"}]
    assert (ended.records[0].output, ended.records[0].notes["samples"]) == ('["a","b"]', told)
    assert (broken.records[0].output, broken.records[0].notes["samples"]) == ("b", [{"index": 1}])


async def test_a_row_that_the_disk_refused_is_told_and_breaks_nothing() -> None:
    asked = call()
    events = [event async for event in trace(Journal(settled=False))(playing(DONE))(asked)]
    assert events == [DONE]
    assert asked.logged is False


@pytest.mark.parametrize("error", [UpstreamError("busy", code="overloaded", provider="openai"), BadRequest("no model")])
async def test_a_failure_leaves_a_row_with_what_had_arrived(error: Exception) -> None:
    journal = Journal()
    with pytest.raises(type(error)):
        [event async for event in trace(journal)(playing(Chunk("par"), error))(call())]
    (row,) = journal.records
    assert (row.status, row.output) == ("error", "par")
    assert row.error == str(error)


async def test_a_bug_leaves_a_row_without_its_text() -> None:
    journal = Journal()
    with pytest.raises(KeyError):
        [event async for event in trace(journal)(playing(KeyError("secret")))(call())]
    assert journal.records[0].error == "internal error (KeyError)"


async def test_a_caller_that_leaves_is_a_cancelled_row() -> None:
    journal = Journal()
    running = trace(journal)(playing(Chunk("par"), Chunk("t"), DONE))(call(stream=True))
    await anext(running)
    await running.aclose()
    (row,) = journal.records
    assert (row.status, row.output) == ("cancelled", "par")
    assert row.time_to_first_token is not None


async def test_a_cancelled_task_is_a_cancelled_row() -> None:
    journal = Journal()

    async def stalling(call: Call) -> AsyncGenerator[Event, None]:
        yield Chunk("par")
        await asyncio.Event().wait()

    async def consume() -> None:
        async for _ in trace(journal)(stalling)(call()):
            pass

    task = asyncio.create_task(consume())
    while not task.done() and len(journal.records) == 0:
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.status for row in journal.records] == ["cancelled"]


async def test_a_providers_words_are_withheld_from_a_call_that_omits() -> None:
    error = UpstreamError("you said: secret", code="invalid_request", provider="openai", quoted=True)
    with pytest.raises(UpstreamError) as caught:
        [event async for event in trace(Journal())(playing(error))(call(policy=LogPolicy(inputs=False)))]
    assert "secret" not in str(caught.value)
    assert caught.value.code == "invalid_request"


async def test_the_gateways_own_words_are_told_to_a_call_that_omits() -> None:
    error = UpstreamError("openai has no api_key", code="authentication", provider="openai")
    with pytest.raises(UpstreamError, match="has no api_key"):
        [event async for event in trace(Journal())(playing(error))(call(policy=LogPolicy(inputs=False)))]


async def test_a_chunk_that_holds_no_text_is_an_error_with_a_row() -> None:
    journal, odd = Journal(), Chunk(text=["no text"])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        [event async for event in trace(journal)(playing(Chunk("par"), odd))(call())]
    assert (journal.records[0].status, journal.records[0].output) == ("error", "par")


async def test_notes_tell_what_was_dropped_and_left() -> None:
    journal, asked = Journal(), call()
    asked.dropped["seed"] = "anthropic has none"
    asked.unfilled.append("city")
    [event async for event in trace(journal)(playing(DONE))(asked)]
    notes = journal.records[0].notes
    assert notes["dropped"] == {"seed": "anthropic has none"}
    assert notes["unfilled"] == ["city"]
    assert notes["cache"] == "bypass"


async def noted(attempts: list[Attempt], cache: CacheStatus = "miss") -> dict[str, Any]:
    journal, asked = Journal(), call()
    asked.cache_status, asked.attempts, asked.current = cache, attempts, Target("azure", "gpt", id="second")
    [event async for event in trace(journal)(playing(DONE))(asked)]
    return journal.records[0].notes


async def test_notes_tell_the_target_and_why_the_others_did_not_answer() -> None:
    failed, answered = Attempt("first", "m", "timeout", None, 0.12345), Attempt("second", "m", "success", 200, 1.0)
    assert (await noted([failed, answered]))["attempts"] == [
        {"target": "first", "model": "m", "ended": "timeout", "status": None, "seconds": 0.123},
        {"target": "second", "model": "m", "ended": "success", "status": 200, "seconds": 1.0},
    ]
    assert (await noted([failed]))["attempts"][0]["ended"] == "timeout"
    assert (await noted([answered]))["target"] == "second"
    assert "attempts" not in await noted([answered])


async def test_who_shared_a_call_has_its_target_and_none_of_its_attempts() -> None:
    notes = await noted([Attempt("first", "m", "timeout"), Attempt("second", "m", "success")], "shared")
    assert (notes["target"], "attempts" in notes) == ("second", False)
    assert not {"target", "attempts"} & (await noted([], "hit")).keys()


async def test_an_attempt_under_way_when_the_caller_left_was_cancelled() -> None:
    notes = await noted([Attempt("first", "m", "timeout"), Attempt("second", "m")])
    assert [attempt["ended"] for attempt in notes["attempts"]] == ["timeout", "cancelled"]


async def test_a_row_tells_also_when_nobody_could_be_asked() -> None:
    assert (await noted([Attempt("first", "m", "limited")]))["attempts"][0]["ended"] == "limited"


async def test_the_row_is_of_the_target_that_failed_last() -> None:
    journal, asked = Journal(), call()
    asked.current = Target("azure", "gpt", id="second")
    error = UpstreamError("no", code="timeout", provider="azure")
    with pytest.raises(UpstreamError):
        [event async for event in trace(journal)(playing(error))(asked)]
    assert (journal.records[0].provider, journal.records[0].model) == ("azure", "gpt")
