"""From a completion to what Humanloop's clients read, whole or in pieces.

Facts of its clients that must stay true (`humanloop` 0.7.35 from PyPI, 0.5.36 from npm, observed):

* Every sample has an id of its own, the same in each of its events; the first one's is the call's trace id.
* Of an event only the first entry of `data` is read: so each event tells one piece of one sample. `output` is what the
  sample gained; `finish_reason` is there in its last event only, and with it the tool calls, whole.
* A line of 128 KiB ends the stream of a client with an older aiohttp: so pieces are small, and `inputs` are left out
  where they would not fit. Events are ASCII, because the other client decodes each read by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import zip_longest

from proxy.dialects.humanloop.schema import PARAMETERS
from proxy.ids import derived_id, sample_id
from proxy.models import Call, Choice, Chunk, Completion, Json, ToolCall
from proxy.vendors import asked

PIECE = 2000
"""Characters in one event, which tells them two or three times; at most 12 bytes each as escapes."""

TOKENS = 20
"""Tokens whose log probabilities go into one event; each may bring 20 others along."""

LARGEST_INPUTS = 32 * 1024
"""Bytes of inputs, as JSON, that the last event of a sample may carry."""

TELLABLE = PARAMETERS - {"n", "best_of"}
"""The parameters that a provider is sent as they are; how many samples at a time is the gateway's decision."""

REASONS = {"tool_calls": "tool_call", "function_call": "tool_call"}
"""Humanloop's words for why a sample ended; the others are OpenAI's."""


def whole(call: Call, completion: Completion, *, chat: bool) -> bytes:
    """The body of a whole answer."""
    request = call.request
    body = {
        "data": [_sample(call, choice, chat=chat) for choice in completion.choices],
        "provider_responses": [_provider_response(call, completion)],
        "project_id": _project_id(call),
        "num_samples": request.params.get("n") or 1,
        "logprobs": call.told["logprobs"],
        "suffix": request.params.get("suffix"),
        "user": request.trace.end_user,
        "usage": _usage(completion),
        "metadata": request.trace.metadata,
        "provider_request": _provider_request(call),
        "session_id": request.trace.session_id,
    }
    if chat:
        body["tool_choice"] = request.params.get("tool_choice")
    return _json(body)


def pieces(call: Call, chunk: Chunk, *, chat: bool) -> Iterator[bytes]:
    """The events that tell what a sample gained. Tool calls wait for its end: a part of one is of no use."""
    texts = [chunk.text[at : at + PIECE] for at in range(0, len(chunk.text), PIECE)]
    for text, logprobs in zip_longest(texts, _in_parts(chunk.logprobs)):
        text = text or ""
        sample = _fields(call, chunk.index) | {"output": text, "raw_output": text, "inputs": {}, "finish_reason": None}
        if chat:
            sample["output_message"] = {"role": "assistant", "content": text}
        found = [{"choices": [{"index": chunk.index, "logprobs": logprobs}]}] if logprobs else []
        yield _event(call, sample, **({"provider_responses": found} if found else {}))


def endings(call: Call, completion: Completion, *, chat: bool) -> Iterator[bytes]:
    """The last event of each sample; that of the last sample also tells the usage."""
    inputs = _inputs(call)
    if len(_json(inputs)) > LARGEST_INPUTS:
        inputs = {}
    for choice in completion.choices:
        sample = _fields(call, choice.index) | {"output": "", "raw_output": "", "inputs": inputs}
        sample |= {"finish_reason": _reason(choice)} | _tool_calls(choice)
        if chat:
            sample["output_message"] = _message(choice.tool_calls, "")
        last = choice is completion.choices[-1]
        yield _event(call, sample, **({"usage": _usage(completion)} if last else {}))


def _in_parts(logprobs: Json) -> Iterator[Json]:
    """Log probabilities of a few tokens at a time: all their lists run over the same tokens."""
    lists = {name: value for name, value in (logprobs or {}).items() if isinstance(value, list)}
    for at in range(0, max(map(len, lists.values()), default=0), TOKENS):
        yield {**logprobs, **{name: value[at : at + TOKENS] for name, value in lists.items()}}


def _event(call: Call, sample: Json, **more: Json) -> bytes:
    return b"data: %b\n\n" % _json({"data": [sample], "project_id": _project_id(call), **more})


def _sample(call: Call, choice: Choice, *, chat: bool) -> dict[str, Json]:
    sample = _fields(call, choice.index) | {
        "output": choice.text.strip(),
        "raw_output": choice.text,
        "inputs": _inputs(call),
        "finish_reason": _reason(choice),
        **_tool_calls(choice),
    }
    if chat:
        sample["output_message"] = _message(choice.tool_calls, choice.text)
        sample["messages"] = [*call.request.history, *(call.request.messages or ())]
    return sample


def _fields(call: Call, index: int) -> dict[str, Json]:
    """What all events of one sample have in common."""
    request = call.request
    trace_id = request.trace.trace_id
    if call.config_id is None:
        call.config_id = derived_id("config", request.deployment_id or "", call.deployment_version or "")
    return {
        "id": sample_id(trace_id, index) if index else trace_id,
        "index": index,
        "model_config_id": call.config_id,
        "tool_results": [],
    }


def _message(calls: list[ToolCall], text: str) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": text or (None if calls else "")}
    return message | ({"tool_calls": _as_tool_calls(calls)} if calls else {})


def _tool_calls(choice: Choice) -> dict[str, Json]:
    """The calls, and the first of them by the older name."""
    if not choice.tool_calls:
        return {}
    calls = _as_tool_calls(choice.tool_calls)
    return {"tool_calls": calls, "tool_call": calls[0]["function"]}


def _as_tool_calls(calls: list[ToolCall]) -> list[Json]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]


def _reason(choice: Choice) -> str:
    return REASONS.get(choice.finish_reason, choice.finish_reason)


def _inputs(call: Call) -> dict[str, Json]:
    return call.request.inputs if call.told["inputs"] else {}


def _project_id(call: Call) -> str | None:
    trace = call.request.trace
    return trace.project_uuid or (derived_id("pr", trace.project_name) if trace.project_name else None)


def _usage(completion: Completion) -> dict[str, int]:
    usage = completion.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "generation_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _as_text(call: Call) -> bool:
    """Whether the provider was asked to complete a text, and not to go on with a conversation."""
    return call.target is not None and asked(call.target, call.request.kind) == "text"


def _provider_request(call: Call) -> dict[str, Json]:
    """What the provider was asked, in OpenAI's words; never an address, a header or a key, nor a field that nobody here
    knows.
    """
    request = call.request
    messages = [*request.history, *(request.messages or ())]
    sent = {name: value for name, value in request.params.items() if name in TELLABLE and name not in call.dropped}
    prompt = {"prompt": messages[-1]["content"]} if _as_text(call) and messages else {"messages": messages}
    model = call.target.model if call.target else request.model
    return {"model": model, **prompt, **sent}


def _provider_response(call: Call, completion: Completion) -> dict[str, Json]:
    """The answer in OpenAI's shape, whichever provider gave it."""
    text = _as_text(call)
    usage = completion.usage
    return {
        "id": call.request.trace.trace_id,
        "object": "text_completion" if text else "chat.completion",
        "created": int(call.started_at),
        "model": completion.model,
        "choices": [
            {
                "index": choice.index,
                **({"text": choice.text} if text else {"message": _provider_message(choice)}),
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish_reason,
            }
            for choice in completion.choices
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def _provider_message(choice: Choice) -> dict[str, Json]:
    reasoning = {"reasoning_content": choice.reasoning} if choice.reasoning else {}
    return {**_message(choice.tool_calls, choice.text), **reasoning, **choice.extra}


def _json(value: Json) -> bytes:
    """ASCII, which also carries half a surrogate pair; a logarithm of nothing, which JSON has no word for, is null."""
    try:
        written = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        written = json.dumps(_finite(value), separators=(",", ":"))
    return written.encode("ascii")


def _finite(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
