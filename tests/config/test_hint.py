from __future__ import annotations

from proxy.config.hint import closest, nearest


def test_nearest() -> None:
    assert nearest("modle", ["model", "models"]) == '; did you mean "model"?'
    assert nearest("temp", ["temperature"]) == '; did you mean "temperature"?'
    assert nearest("temp", ["model"]) == ""


def test_closest() -> None:
    assert closest("base_url", ["api_key", "api_base"]) == "api_base"
    assert closest("zzz", ["api_key"]) is None
