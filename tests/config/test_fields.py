from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from proxy.config.fields import Bytes, Host, Integer, Number, Plugin, Price, Seconds, Secret, Text, Url


class Sample(BaseModel):
    seconds: Seconds = 1
    size: Bytes = 1
    integer: Integer = 1
    number: Number = 1
    price: Price = 1
    url: Url = None
    text: Text = None
    secret: Secret = None
    plugin: Plugin = "x"
    host: Host = "x"


def value(field: str, given: object) -> Any:
    return getattr(Sample.model_validate({field: given}), field)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(5, 5), (0.5, 0.5), ("90", 90), ("90s", 90), ("1.5h", 5400), ("30d", 2592000), ("2w", 1209600), ("1h30m", 5400),
     ("250ms", 0.25), (" 5 m ", 300)],
)  # fmt: skip
def test_durations(given: object, seconds: float) -> None:
    assert value("seconds", given) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (5, 5),
        ("5", 5),
        ("2GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("500 MB", 500 * 10**6),
        ("1.5KiB", 1536),
        ("1T", 10**12),
    ],
)
def test_sizes(given: object, size: int) -> None:
    assert value("size", given) == size


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("seconds", 0),
        ("seconds", -1),
        ("seconds", True),
        ("seconds", "30x"),
        ("seconds", "d"),
        ("seconds", "-5s"),
        ("seconds", None),
        ("size", 0),
        ("size", True),
        ("size", "2XB"),
        ("size", "GB"),
        ("size", 1.5),
        ("integer", True),
        ("integer", 1.5),
        ("number", False),
        ("price", -1),
        ("url", "example.com"),
        ("url", "file:///etc/passwd"),
        ("url", "https://"),
        ("text", 5),
        ("secret", 5),
        ("plugin", "../x"),
        ("plugin", "a.b"),
        ("host", "*"),
        ("host", "*.example.com"),
        ("host", "http://example.com"),
        ("host", "example.com:80"),
        ("host", ""),
    ],
)
def test_what_is_refused(field: str, given: object) -> None:
    with pytest.raises(ValidationError):
        value(field, given)


@pytest.mark.parametrize("field", ["url", "text", "secret"])
def test_an_empty_text_is_no_value(field: str) -> None:
    assert value(field, "") is None


@pytest.mark.parametrize("name", ["diskcache", "package.module:Store", "module:make.it"])
def test_plugins(name: str) -> None:
    assert value("plugin", name) == name


@pytest.mark.parametrize("name", ["llm.example.com", "gateway_1", "192.168.1.2", "fe80::1"])
def test_hosts(name: str) -> None:
    assert value("host", name) == name


def test_a_pattern_for_hosts_is_told_how_to_do_without() -> None:
    with pytest.raises(ValidationError, match="name each host, or listen on a network with a master_key"):
        value("host", "*")
