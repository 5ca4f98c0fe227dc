from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from proxy.config import Config
from proxy.config.router import GroupSettings, RouterSettings, Wildcard
from proxy.errors import BadRequest, NotFound
from proxy.middleware.names import LONGEST, REMEMBERED, Names, keyed
from proxy.target import Group, Target

A = Target("openai", "gpt-a", id="a")
B = Target("azure", "gpt-b", id="b", timeout=9.0)
C = Target("openai", "gpt-c", id="c")
CONFIG = Config(
    models={"fast": (A, B, C), "other": (B,), "replaced": (C,)},
    providers={"openai": Target("openai", "", SecretStr("o")), "anthropic": Target("anthropic", "", SecretStr("a"))},
    wildcards=(
        Wildcard("claude-*-latest", (Target("anthropic", "claude-*", id="w1"),)),
        Wildcard("*/x/*", (Target("openai", "*-of-*", id="w2"), Target("azure", "fixed", id="w3"))),
        Wildcard("claude-*", (Target("anthropic", "claude-*", id="w4"),)),
        Wildcard("groq/*", (Target("groq", "*", id="w5"),)),
    ),
    router=RouterSettings(
        strategy="ordered",
        timeout=60,
        num_retries=1,
        first_token_timeout=5,
        aliases={"quick": "fast", "newest": "claude-9-latest", "replaced": "other", "odd": "nothing"},
    ),
    groups={"fast": GroupSettings(strategy="least-busy", timeout=7, idle_timeout=2, num_retries=0)},
)


def found(name: str | None, provider: str | None = None, **changes: Any) -> list[str]:
    group = Names(replace(CONFIG, **changes)).group(name, provider)
    return [target.id or f"{target.provider}/{target.model}" for target in group.targets]


@pytest.mark.parametrize(
    ("name", "provider", "expected"),
    [
        ("fast", None, ["a", "b", "c"]),
        ("fast", "openai", ["a", "c"]),
        ("fast", "anthropic", ["anthropic/fast"]),
        ("quick", None, ["a", "b", "c"]),
        ("quick", "openai", ["a", "c"]),
        ("replaced", None, ["b"]),
        ("newest", None, ["w1"]),
        ("claude-9-latest", None, ["w1"]),
        ("claude-9", None, ["w4"]),
        ("claude-9", "anthropic", ["w4"]),
        ("claude-9", "openai", ["openai/claude-9"]),
        ("one/x/two", None, ["w2", "w3"]),
        ("one/x/two", "azure", ["w3"]),
        ("groq/llama", None, ["w5"]),
        ("llama", "groq", ["w5"]),
        ("gpt-4o", None, ["openai/gpt-4o"]),
        ("azure/other", None, ["b"]),
    ],
)
def test_what_a_name_stands_for(name: str, provider: str | None, expected: list[str]) -> None:
    assert found(name, provider) == expected


def test_what_stands_for_the_star_is_called() -> None:
    names = Names(CONFIG)
    models = {name: [target.model for target in names.group(name).targets] for name in ("claude-9", "one/x/two")}
    assert models == {"claude-9": ["claude-9"], "one/x/two": ["one-of-two", "fixed"]}
    assert names.group("newest").targets[0].model == "claude-9"


def test_a_star_stands_for_every_name() -> None:
    everything = (Wildcard("*", (Target("openai", "*", id="all"),)),)
    assert found("whatever", wildcards=everything) == ["all"]
    assert found("line\nbreak", wildcards=everything) == ["all"]
    with pytest.raises(NotFound):
        found("x" * (LONGEST + 1), wildcards=everything)


def test_an_alias_keeps_its_name_and_has_the_settings_of_what_it_stands_for() -> None:
    names = Names(CONFIG)
    alias, real = names.group("quick"), names.group("fast")
    assert alias == replace(real, name="quick")


def test_what_a_name_says_for_itself_comes_before_what_holds_for_all() -> None:
    names = Names(CONFIG)
    fast = names.group("fast")
    assert (fast.strategy, fast.timeout, fast.first_token_timeout, fast.idle_timeout, fast.num_retries) == (
        "least-busy", 7, 5, 2, 0,
    )  # fmt: skip
    assert [target.timeout for target in fast.targets] == [7, 9, 7]
    assert names.group("other") == Group(
        name="other", targets=(B,), strategy="ordered", timeout=60, first_token_timeout=5, num_retries=1
    )


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_is_needed(name: str | None) -> None:
    with pytest.raises(BadRequest, match="no model is named"):
        Names(CONFIG).group(name)


def test_whoever_asks_for_what_is_nowhere_is_told_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"\*/x/\*, claude-\*, .*fast, .*quick"):
        Names(CONFIG).group("odd")


def test_equal_names_give_the_same_group_however_many_others_are_asked() -> None:
    names = Names(CONFIG)
    assert names.group("gpt-4o") is names.group("gpt-4o")
    assert names.group("gpt-4o") is not names.group("gpt-4o", "azure")
    for number in range(REMEMBERED + 5):
        names.group(f"gpt-{number}")
    assert len(names._found) <= REMEMBERED


def test_a_request_s_key_is_for_the_targets_of_its_provider_which_then_are_nobody_s() -> None:
    group = Names(CONFIG).group("fast")
    assert keyed(group, {}) is group
    mine = keyed(group, {"openai": SecretStr("mine")})
    assert [(target.id, target.api_key) for target in mine.targets] == [
        ("", SecretStr("mine")), ("b", None), ("", SecretStr("mine")),
    ]  # fmt: skip
