from __future__ import annotations

import logging
from pathlib import Path

import pytest

from proxy.config.settings import CacheSettings
from proxy.errors import ConfigError
from proxy.plugins import load, make
from proxy.stores.cache.memory import cache_store


def test_a_short_name_is_a_module_of_the_room() -> None:
    assert load("stores.cache", "memory", "cache_store") is cache_store


def test_a_long_name_is_anything() -> None:
    assert load("stores.cache", "logging:Logger.warning", "cache_store") is logging.Logger.warning


def test_a_store_of_one_s_own_is_made(tmp_path: Path) -> None:
    made = make("stores.cache", "proxy.stores.cache.memory:cache_store", "cache_store", tmp_path, CacheSettings())
    assert type(made) is type(cache_store(tmp_path, CacheSettings()))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere", "no module 'proxy.stores.cache.nowhere'"),
        ("logging:nothing", "'logging' has no 'nothing'"),
        ("os:system", "'os:system' cannot be used: TypeError: "),
        ("os:environ", "'os:environ' cannot be used: TypeError: "),
        ("builtins:print", "what it makes has no get, set, clear, stats, close"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make("stores.cache", name, "cache_store", tmp_path, CacheSettings())
    assert told in caught.value.message
