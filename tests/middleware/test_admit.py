"""What a call may come to, before it is let through with a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.caller import NANO, Budget, Caller
from proxy.config import Config
from proxy.config.router import RouterSettings
from proxy.errors import Forbidden
from proxy.middleware.admit import Admission
from proxy.middleware.names import Names
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.shared.board import Board
from proxy.target import Target
from tests.middleware.calls import make_call

PRICED = Target("openai", "mine", input_cost_per_token=0.001)
FREE = Target("openai", "nobody-knows")
ROUTERS = {
    "fallbacks": RouterSettings(fallbacks={"a": ("b",)}),
    "context_window": RouterSettings(context_window_fallbacks={"a": ("b",)}),
    "content_policy": RouterSettings(content_policy_fallbacks={"a": ("b",)}),
    "every": RouterSettings(fallbacks={"*": ("b",)}),
    "further": RouterSettings(fallbacks={"a": ("c",)}, content_policy_fallbacks={"c": ("b",)}),
}


@pytest.mark.parametrize("kind", ROUTERS)
async def test_a_budget_buys_nothing_that_may_fall_back_to_what_has_no_price(tmp_path: Path, kind: str) -> None:
    caller = Caller(name="k", budget=Budget(NANO, "total"))
    models: dict[str, tuple[Target, ...]] = {"a": (PRICED,), "b": (FREE,), "c": (PRICED,)}
    log, board = SQLiteLog(tmp_path / "traces.db"), Board()
    for router, refused in ((RouterSettings(), False), (ROUTERS[kind], True)):
        config = Config(models=models, router=router, keys={b"k": caller})
        names = Names(config)
        call = make_call(caller=caller, groups=(names.group("a"),), targets=(PRICED,))
        call.request = replace(call.request, model="a")
        admission = Admission(config, names, log, board)
        if refused:
            with pytest.raises(Forbidden, match="what openai/nobody-knows costs is not known"):
                admission.check(call)
        else:
            admission.check(call)
    board.close()
    await log.close()
