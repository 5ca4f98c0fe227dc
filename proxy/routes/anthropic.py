"""`POST /v1/messages/count_tokens`: how long a prompt may be.

Nobody is asked: the answer is the gateway's own estimate, and says so with `estimated`.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from proxy.dialects.anthropic.messages import messages, tools
from proxy.dialects.anthropic.schema import CountTokens
from proxy.estimate import expected
from proxy.routes.strict import StrictRoute


class MessageTokensCount(BaseModel):
    input_tokens: int
    estimated: bool = True


def router() -> APIRouter:
    """The route under `/v1/messages`."""
    routes = APIRouter(tags=["completions"], route_class=StrictRoute)

    @routes.post("/count_tokens", response_model=MessageTokensCount, summary="An estimate of a prompt's tokens")
    async def count_tokens(asked: CountTokens) -> MessageTokensCount:
        params = {"tools": tools(asked.tools)} if asked.tools else {}
        return MessageTokensCount(input_tokens=expected(messages(asked.system, asked.messages), params))

    return routes
