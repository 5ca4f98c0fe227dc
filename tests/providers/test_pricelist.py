from __future__ import annotations

import subprocess
import sys

import pytest

from proxy.providers import pricelist
from proxy.providers.pricelist import PriceList
from proxy.target import Target


@pytest.mark.parametrize(
    ("target", "price"),
    [
        (Target("openai", "gpt-4o-mini"), 7.5e-7),
        (Target("azure", "ours", settings={"base_model": "gpt-4o-mini"}), 7.5e-7),
        (Target("anthropic", "claude-haiku-4-5"), 6e-6),
        (Target("aws_bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0"), 6.6e-6),
        (Target("litellm", "deepseek/deepseek-chat", settings={"unchanged": True}), 7e-7),
        (Target("openai", "gpt-4o-mini", output_cost_per_token=2.0), 2.0),
        (Target("openai", "gpt-4o-mini", input_cost_per_token=1.0, output_cost_per_token=2.0), 3.0),
        (Target("anthropic", "gpt-4o-mini"), None),
        (Target("openai", "nobody's"), None),
        (Target("echo", "echo"), 0.0),
    ],
    ids=lambda value: value.label if isinstance(value, Target) else "",
)
def test_what_a_token_costs(target: Target, price: float | None) -> None:
    assert PriceList().price(target) == (price if price is None else pytest.approx(price))


def test_the_list_is_read_without_litellm() -> None:
    program = (
        "import sys; from proxy.providers.pricelist import PriceList; from proxy.target import Target; "
        "assert PriceList().price(Target('openai', 'gpt-4o-mini')); print('litellm' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


def test_without_a_list_there_are_no_prices(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(pricelist, "FILE", "nowhere.json")
    prices = PriceList()
    assert [prices.price(Target("openai", "gpt-4o-mini")) for _ in range(2)] == [None, None]
    assert len(caplog.messages) == 1
