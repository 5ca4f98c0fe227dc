from __future__ import annotations

from typing import Any

import pytest

from proxy.dialects.archives.langchain import to_records

ARRIVED = "2026-11-20T12:00:00.000000+00:00"

LLM: dict[str, Any] = {
    "id": "llm",
    "name": "ChatOpenAI",
    "run_type": "llm",
    "parent_run_id": "chain",
    "trace_id": "chain",
    "start_time": "2026-11-20T10:00:00.5",
    "end_time": "2026-11-20T10:00:02",
    "inputs": {
        "messages": [
            [
                {
                    "lc": 1,
                    "type": "constructor",
                    "id": ["SystemMessage"],
                    "kwargs": {"content": "Be brief", "type": "system"},
                },
                {"lc": 1, "type": "constructor", "id": ["HumanMessage"], "kwargs": {"content": "Hi", "type": "human"}},
                {"type": "ai", "content": [{"type": "text", "text": "x"}]},
            ]
        ]
    },
    "outputs": {
        "generations": [[{"text": "Hello", "message": {"lc": 1, "kwargs": {"content": "Hello"}}}]],
        "llm_output": {"token_usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    },
    "extra": {
        "invocation_params": {
            "model": "gpt-4o",
            "_type": "openai-chat",
            "temperature": 0.3,
            "max_tokens": 9,
            "top_p": None,
        },
        "metadata": {"ls_provider": "openai"},
    },
    "tags": ["seq:step:1"],
    "error": None,
    "child_runs": [],
}

CHAIN: dict[str, Any] = {
    "id": "chain",
    "name": "RunnableSequence",
    "run_type": "chain",
    "parent_run_id": None,
    "inputs": {"input": "Hi"},
    "outputs": {"output": "Hello"},
    "start_time": "2026-11-20T10:00:00",
    "end_time": "2026-11-20T10:00:03",
    "child_runs": [LLM, {"id": "tool", "run_type": "tool", "error": "boom", "inputs": {"q": 1}, "outputs": None}],
    "_parea_parent_trace_id": "function",
    "_parea_root_trace_id": "root",
    "_session_id": "s",
    "_tags": ["mine"],
    "_metadata": {"k": "v"},
    "_end_user_identifier": "u",
    "_deployment_id": "d",
    "_log_sample_rate": 0.5,
    "project_uuid": "p",
}


def test_a_chain_brings_the_runs_below_it() -> None:
    chain, llm, tool = to_records(CHAIN, ARRIVED)
    assert [(run.trace_id, run.parent_trace_id, run.root_trace_id) for run in (chain, llm, tool)] == [
        ("chain", "function", "root"),
        ("llm", "chain", "root"),
        ("tool", "chain", "root"),
    ]
    assert (chain.name, chain.output, chain.latency, chain.status) == ("RunnableSequence", "Hello", 3.0, "success")
    assert (tool.status, tool.error, tool.start_timestamp, tool.output) == ("error", "boom", ARRIVED, None)
    for run in (chain, llm, tool):
        assert (run.session_id, run.end_user, run.deployment_id) == ("s", "u", "d")
        assert (run.sample_rate, run.project_uuid) == (0.5, "p")
        assert run.tags[-1] == "mine"
    assert llm.metadata == {"ls_provider": "openai", "k": "v"}


def test_a_model_run_has_its_model_messages_and_usage() -> None:
    (llm,) = to_records(LLM, ARRIVED)
    assert llm.root_trace_id == "chain"
    assert llm.start_timestamp == "2026-11-20T10:00:00.500000+00:00"
    assert (llm.model, llm.provider, llm.output, llm.latency) == ("gpt-4o", "openai", "Hello", 1.5)
    assert (llm.input_tokens, llm.output_tokens, llm.total_tokens) == (5, 2, 7)
    assert llm.configuration is not None
    assert llm.configuration["model_params"] == {"temp": 0.3, "max_length": 9}
    assert llm.configuration["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": '[{"type": "text", "text": "x"}]'},
    ]


def test_a_completion_model_and_usage_on_the_message() -> None:
    message = {"kwargs": {"content": "", "usage_metadata": {"input_tokens": 1, "output_tokens": 2}}, "lc": 1}
    message["kwargs"] |= {"additional_kwargs": {"tool_calls": [{"id": "c"}]}}  # type: ignore[operator]
    run = {
        "id": "x",
        "run_type": "llm",
        "inputs": {"prompts": ["Hi"]},
        "outputs": {"generations": [[{"message": message}]]},
    }
    (llm,) = to_records(run, ARRIVED)
    assert (llm.input_tokens, llm.output_tokens, llm.output) == (1, 2, '[{"id": "c"}]')
    assert llm.configuration is not None
    assert llm.configuration["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "run",
    [
        {"id": "x"},
        {"id": "x", "parent_run_id": "x", "extra": None, "tags": None, "_tags": None, "_metadata": None},
        {
            "id": "x",
            "run_type": "llm",
            "inputs": [],
            "outputs": {"generations": []},
            "extra": {"invocation_params": []},
        },
        {"id": "x", "run_type": "llm", "outputs": {"generations": [[]], "llm_output": None}, "start_time": 5},
        {"id": "x", "child_runs": [None, {}, "text"], "_log_sample_rate": None, "project_uuid": ""},
    ],
)
def test_a_run_that_lacks_almost_everything(run: dict[str, Any]) -> None:
    (record,) = to_records(run, ARRIVED)
    assert (record.trace_id, record.root_trace_id, record.parent_trace_id) == ("x", "x", None)
    assert (record.start_timestamp, record.sample_rate, record.project_uuid) == (ARRIVED, 1.0, None)
