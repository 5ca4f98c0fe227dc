"""Rows as an application's are: questions, prompts with passages, loops of an agent; words as often as in a language.

A number makes the same row wherever and whenever it is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Any

from proxy import timestamps
from proxy.record import Record

BEGUN = datetime(2026, 6, 1, tzinfo=UTC)
LOOP = 8
"""Turns of an agent's loop."""

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "mistral-large")
BEGINS = (*"bdfgklmnprstvz", "br", "st", "tr")
SYLLABLES = [begin + end for begin in BEGINS for end in (*"aeiou", "an", "er", "in", "or", "us")]


@cache
def _vocabulary(size: int = 40_000) -> tuple[list[str], list[float]]:
    """Words, the commonest first, and how often they are said, by Zipf's law."""
    draw = random.Random(7)
    words = list(
        dict.fromkeys("".join(draw.choices(SYLLABLES, k=draw.choice((1, 2, 2, 3, 3, 4)))) for _ in range(3 * size))
    )
    words = sorted(words[:size], key=len)
    return words, list(accumulate(1 / (place + 3) for place in range(len(words))))


def _said(draw: random.Random, words: int) -> str:
    vocabulary, weights = _vocabulary()
    return " ".join(draw.choices(vocabulary, cum_weights=weights, k=words))


def record(number: int) -> Record:
    """The row of this number. Each says "always"; one of 1,000 says "seldom"; "common" and "usual" are each said by one
    of four, and together by one of 300,000.
    """
    draw = random.Random(number)
    start = BEGUN + timedelta(seconds=10 * number)
    name, latency = f"t-{number:08}", draw.lognormvariate(0, 0.6)
    fields: dict[str, Any] = {
        "start_timestamp": timestamps.text(start),
        "end_timestamp": timestamps.text(start + timedelta(seconds=latency)),
        "latency": latency,
        "model": draw.choice(MODELS),
        "provider": "openai",
        "name": "llm-openai",
        "status": "error" if draw.random() < 0.01 else "success",
        "cost": draw.random() / 100,
        "input_tokens": draw.randrange(100, 3000),
        "output_tokens": draw.randrange(10, 800),
        "end_user": f"user-{draw.randrange(5000)}",
        "project_name": f"project-{draw.randrange(5)}",
        "notes": {"dialect": "openai", "cache": "miss"},
    }
    fields["inputs"], messages, answer = _content(number, draw)
    marks = ["always"]
    if number % 1000 == 500:
        marks.append("seldom")
    if number % 12 in (0, 3, 6):
        marks.append("common")
    if number % 12 in (1, 4, 7) or number % 100_000 == 99_996:
        marks.append("usual")
    root = f"t-{number - number % LOOP:08}"
    return Record(
        name,
        root,
        None if root == name else root,
        configuration={"model": fields["model"], "messages": messages, "model_params": {"temp": 0.5}},
        output=f"{answer} {' '.join(marks)} unique{number}",
        **fields,
    )


def _content(number: int, draw: random.Random) -> tuple[dict[str, Any] | None, list[dict[str, Any]], str]:
    """Inputs, messages, answer: by eights a loop, or questions and prompts with passages."""
    loop, turn = divmod(number, LOOP)
    if loop % 3:
        return (
            {"question": _said(draw, 12)} if turn % 2 else None,
            [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": _said(draw, 120 if turn % 4 else 400)},
            ],
            _said(draw, 70),
        )
    told = random.Random(-loop)
    messages = [
        {"role": "system", "content": _said(random.Random(-1), 150)},
        {"role": "user", "content": _said(told, 60)},
    ]
    for _ in range(turn):
        messages.append({"role": "assistant", "content": _said(told, 40)})
        messages.append({"role": "tool", "content": _said(told, 60)})
    return None, messages, _said(told, 40)


def records(count: int, first: int = 0) -> Iterator[Record]:
    """So many rows, in their order."""
    return map(record, range(first, first + count))
