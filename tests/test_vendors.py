from __future__ import annotations

import pytest

from proxy.vendors import PREFIXES, UNREACHED, named


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("azure/chat-deployment", ("azure", "chat-deployment")),
        ("azure/gpt-4o/chat-deployment", ("azure", "chat-deployment")),
        ("azure/o_series/chat-deployment", ("azure", "o_series/chat-deployment")),
        ("azure/../../chat-deployment", ("azure", "../../chat-deployment")),
        ("groq/openai/gpt-oss-20b", ("groq", "openai/gpt-oss-20b")),
        ("gpt-4o", None),
        ("xai/grok", None),
        ("openai/", None),
    ],
)
def test_a_model_is_written_behind_its_provider(written: str, meant: tuple[str, str] | None) -> None:
    assert named(written) == meant


def test_no_provider_has_the_name_of_a_vendor_that_is_not_reached() -> None:
    assert UNREACHED.isdisjoint(PREFIXES)
