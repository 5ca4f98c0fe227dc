"""What a vendor answers, with canaries in every place of an answer."""

from __future__ import annotations

from tests.upstreams.scenario import Reply, Scenario, ToolUse
from tests.upstreams.server import Upstream, dump


def scripted(upstream: Upstream, scenario: str, prompt: str, answer: str) -> Scenario:
    reply = Reply((f"{answer} é ", answer, " end"))
    match scenario:
        case "answer":
            return Scenario(reply)
        case "tool":
            used = ToolUse("call00001", answer.replace("_", "-"), {"city": answer})
            return Scenario(Reply((answer,), (used,), finish="tool_calls"))
        case "refusal":
            refusal = upstream.refusal(400, message=f"cannot do: {prompt} é, nor {answer}")
            return Scenario(status=400, raw=dump(refusal.body), headers=refusal.headers)
        case "garbage":
            return Scenario(raw=f'{{"id": "{answer}", "choices": [{{"{prompt}'.encode())
        case "cut":
            return Scenario(reply, fault="fin")
        case "error":
            return Scenario(reply, fault="error")
        case _:
            return Scenario(reply, fault="stall")


ENDINGS = {"answer": "success", "tool": "success", "left": "cancelled"}
