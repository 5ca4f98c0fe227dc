"""Further rows of what each vendor must be sent: what only some of them have, and what Claude alone has."""

from __future__ import annotations

from typing import Any

from tests.providers.golden import Bodies, Row, same
from tests.upstreams.fleet import MODELS

Json = Any

OPENAIS = "openai azure anyscale openrouter litellm"
OTHERS = " ".join(name for name in MODELS if name not in OPENAIS.split())

PREDICTION = {"type": "content", "content": "Hello there"}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
MARK = {"type": "ephemeral"}
MARKED: list[Json] = [{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": MARK}]}]
UNMARKED: list[Json] = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
BLOCK = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
THOUGHT: list[Json] = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi.", "thinking_blocks": [BLOCK]},
    {"role": "user", "content": "Go on."},
]
UNTHOUGHT: list[Json] = [THOUGHT[0], {"role": "assistant", "content": "Hi."}, THOUGHT[2]]


def blocks(kind: str, *texts: str) -> list[Json]:
    return [{"type": kind, "text": text} if kind else {"text": text} for text in texts]


TURNS: Bodies = {
    "chat": {"messages": UNTHOUGHT},
    "cohere": {"messages": UNTHOUGHT},
    "anthropic": {
        "messages": [
            {"role": "user", "content": blocks("text", "Hello")},
            {"role": "assistant", "content": [BLOCK, *blocks("text", "Hi.")]},
            {"role": "user", "content": blocks("text", "Go on.")},
        ]
    },
    "vertexai": {
        "contents": [
            {"role": "user", "parts": blocks("", "Hello")},
            {"role": "model", "parts": blocks("", "Hi.")},
            {"role": "user", "parts": blocks("", "Go on.")},
        ]
    },
    "aws_bedrock": {
        "messages": [
            {"role": "user", "content": blocks("", "Hello")},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                    *blocks("", "Hi."),
                ],
            },
            {"role": "user", "content": blocks("", "Go on.")},
        ]
    },
}

WARM: dict[str, Json] = {"temperature": 0.5}
THINKING: Bodies = {
    # what is thought counts to the limit; a temperature is for the others
    "anthropic": {"thinking": BUDGET, "max_tokens": 4096 + 1024},
    "aws_bedrock": {
        "inferenceConfig": {"maxTokens": 4096 + 1024},
        "additionalModelRequestFields": {"thinking": BUDGET},
        "additionalModelResponseFieldPaths": ["/usage/output_tokens_details"],
    },
    "vertexai": {
        "generationConfig": {
            "temperature": 0.5,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
        }
    },
    "litellm": {"thinking": BUDGET, "temperature": 0.5},
    **same("openai azure anyscale openrouter mistral groq fireworks cohere", WARM),
}

FEATURES: tuple[Row, ...] = (
    Row(
        "logprobs",
        params={"logprobs": True, "top_logprobs": 2},
        body=same(f"{OPENAIS} fireworks", {"logprobs": True, "top_logprobs": 2})
        | {"vertexai": {"generationConfig": {"responseLogprobs": True, "logprobs": 2}}},
        dropped=same("anthropic aws_bedrock mistral groq cohere", {"logprobs", "top_logprobs"}),
    ),
    Row(
        "prediction",
        params={"prediction": PREDICTION, "modalities": ["text"]},
        body=same(OPENAIS, {"prediction": PREDICTION, "modalities": ["text"]}),
        dropped=same(OTHERS, {"prediction", "modalities"}),
    ),
    Row(
        "service_tier",
        params={"service_tier": "auto"},
        body=same(f"{OPENAIS} groq anthropic", {"service_tier": "auto"})
        | {"aws_bedrock": {"serviceTier": {"type": "default"}}},
        dropped=same("vertexai mistral fireworks cohere", {"service_tier"}),
    ),
    Row(
        "thinking",
        params={"thinking": BUDGET, "temperature": 0.5},
        body=THINKING,
        dropped=same("openai azure anyscale openrouter mistral groq fireworks cohere", {"thinking"})
        | same("anthropic aws_bedrock", {"temperature"}),
    ),
    Row(
        "text_only",
        params={"suffix": ".", "echo": True, "best_of": 2},
        dropped=dict.fromkeys(MODELS, {"suffix", "echo", "best_of"}),
    ),
    Row(
        "cache_control",
        messages=MARKED,
        body=same("openai azure anyscale openrouter groq fireworks cohere", {"messages": UNMARKED})
        | {
            "litellm": {"messages": MARKED},
            "mistral": {},
            "anthropic": {"messages": MARKED},
            "vertexai": {"contents": [{"role": "user", "parts": blocks("", "Hello")}]},
            "aws_bedrock": {
                "messages": [
                    {"role": "user", "content": [*blocks("", "Hello"), {"cachePoint": {"type": "default"}}]},
                ]
            },
        },
    ),
    Row("thinking_blocks", messages=THOUGHT, body=TURNS),
)

ADDED: dict[str, dict[str, Json]] = {
    "openai": {"store": False},
    "azure": {"store": False},
    "anyscale": {"store": False},
    "openrouter": {"provider": {"order": ["OpenAI"]}},
    "mistral": {"prompt_mode": "reasoning"},
    "litellm": {"store": False},
    "groq": {"reasoning_format": "parsed"},
    "fireworks": {"min_p": 0.5},
    "cohere": {"priority": 1},
    "vertexai": {"labels": {"team": "a"}},
    "anthropic": {"container": "c1"},
    "aws_bedrock": {"requestMetadata": {"team": "a"}},
}
"""A field of each vendor's body that is no parameter of the gateway's."""
