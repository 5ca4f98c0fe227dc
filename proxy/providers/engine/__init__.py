"""LiteLLM itself: imported in slices beside the requests (`loader.py`), silenced, and corrected.

The only file that imports it. What must stay true: nothing waits for the import but who needs it; it is set up once in
a process, with no network, no `.env` files and no environment's say; its clients go through the guard.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from proxy.errors import NotReady
from proxy.loader import load
from proxy.providers.engine import bulk, clients, modules, silence
from proxy.providers.engine.capture import recorded

QUOTED = 10_000
"""Characters of LiteLLM's words for a failure in which it looks for secrets."""

ENVIRONMENT = {
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # the guard stands in the aiohttp transport
    "DISABLE_AIOHTTP_TRANSPORT": "False",
    "LITELLM_HTTP2": "False",
}
"""What LiteLLM reads while it is imported: no network, no `.env` files, no debug log."""


class Engine:
    """LiteLLM while it is loaded, and after."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[Any] | None = None

    def start(self) -> asyncio.Task[Any]:
        """Begin to load LiteLLM, if nobody has yet. The task's result is the module."""
        if self._loading is None:
            self._loading = asyncio.create_task(_import(), name="import litellm")
        return self._loading

    async def loaded(self) -> Any:
        """LiteLLM, once it is there. A caller that is cancelled leaves the load to the others. Raises `NotReady`."""
        loading = self.start()
        if not loading.done():
            await asyncio.wait({loading})
        reason = _failure(loading)
        if reason is not None:
            raise NotReady(reason)
        return loading.result()

    @property
    def module(self) -> Any:
        """LiteLLM, where it is known to be loaded."""
        return self.start().result()

    @property
    def started(self) -> bool:
        return self._loading is not None

    def reason(self) -> str | None:
        """Why calls cannot be made yet; None when they can."""
        if self._loading is None:
            return "LiteLLM is not loaded: nobody has started it"
        if not self._loading.done():
            return "LiteLLM is being loaded"
        return _failure(self._loading)

    def price(self, *, usage: Mapping[str, Any] | None, **named: Any) -> float:
        """What LiteLLM's list says of the cost in US dollars, searches included; `usage` is the provider's own. Raises
        for no price.
        """
        from litellm.litellm_core_utils.llm_cost_calc.tool_call_cost_tracking import StandardBuiltInToolCostTracking

        litellm = self.module
        counted = litellm.Usage(**usage) if usage is not None else None
        tokens = sum(litellm.cost_per_token(**named, usage_object=counted))
        listed = {name: named[name] for name in ("model", "custom_llm_provider")}
        tools = StandardBuiltInToolCostTracking.get_cost_for_built_in_tools(
            **listed, usage=counted, response_object=None
        )
        return float(tokens + tools)

    async def close(self) -> None:
        """Let go of every connection of LiteLLM's; a load that is under way ends."""
        if self._loading is None:
            return
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)
        if not self._loading.cancelled() and self._loading.exception() is None:
            await clients.close(self._loading.result())


_ready = False
"""Whether LiteLLM is set up in this process."""

_setting_up = threading.Lock()
"""Gateways of several threads of one process may load at the same time."""


async def _import() -> Any:
    """LiteLLM, ready for calls. What it is set up with belongs to the process: only the first import does it, or the
    first that is not given up.
    """
    os.environ.update(ENVIRONMENT)
    if _ready:
        return await load("litellm", *modules.LATER)
    with bulk.read():
        return await load("litellm", *modules.LATER, then=_set_up)


def _set_up(litellm: Any) -> None:
    """Silent, without counting tokens or logging by itself, behind the guard, with its readings corrected.

    What needs httpx is imported here: its package brings a terminal's whole toolbox, and every start would wait for it.
    Whatever may give the loop its turn stands before the changes: a load that is given up has made none of them.
    """
    global _ready
    import httpx
    from google.auth.transport.requests import Request as Google
    from litellm.litellm_core_utils import secret_redaction, url_utils
    from litellm.llms.cohere.common_utils import CohereV2ModelResponseIterator
    from litellm.llms.custom_httpx import aiohttp_transport
    from litellm.llms.custom_httpx.http_handler import get_ssl_configuration
    from litellm.llms.vertex_ai.gemini import transformation as contents
    from litellm.llms.vertex_ai.gemini import vertex_and_google_ai_studio_gemini as gemini
    from litellm.llms.vertex_ai.vertex_llm_base import VertexBase

    from proxy.providers import tokens
    from proxy.providers.engine import corrections
    from proxy.providers.engine.fetching import pinned
    from proxy.providers.engine.transport import SyncGuard, guarded

    sync = SyncGuard(verify=get_ssl_configuration())
    client = httpx.Client(transport=sync)
    with _setting_up:
        if _ready:  # by another gateway of this process, which began to load at the same time
            return
        silence.install()
        litellm.suppress_debug_info = True
        litellm.disable_hf_tokenizer_download = True
        litellm.sync_transport = sync
        litellm.module_level_client.client = client
        url_utils.validate_url = pinned(url_utils.validate_url, url_utils.SSRFError)
        transport = aiohttp_transport.LiteLLMAiohttpTransport
        transport.handle_async_request = guarded(transport.handle_async_request)
        Google.__call__ = tokens.bounded(Google.__call__)
        VertexBase.refresh_auth = tokens.refresh
        litellm.utils.get_token_counter_new = lambda: _no_count
        litellm.utils.dispatch_success_logging = litellm.utils.update_response_metadata = _nothing
        secret_redaction.python_redact_string = _short(secret_redaction.python_redact_string)
        litellm.encoding = _NoTokens()
        litellm.main._get_encoding = _NoTokens
        litellm.CohereV2ChatConfig = corrections.cohere(litellm.CohereV2ChatConfig, CohereV2ModelResponseIterator)
        for config in (
            litellm.AnthropicConfig,
            litellm.CohereV2ChatConfig,
            litellm.OpenAIGPTConfig,
            litellm.AzureOpenAIConfig,
            litellm.MistralConfig,
            litellm.GroqChatConfig,
            litellm.FireworksAIConfig,
            litellm.OpenrouterConfig,
        ):
            config.transform_request = recorded(config.transform_request)
        converse = litellm.AmazonConverseConfig
        converse._async_transform_request = recorded(converse._async_transform_request, converse._transform_request)
        contents.transform_request_body = recorded(contents.transform_request_body)
        corrections.in_parts(litellm.Message, litellm.CustomStreamWrapper)
        gemini.ModelResponseIterator = corrections.gemini(gemini.ModelResponseIterator)
        _ready = True


def _no_count(*_: Any, **__: Any) -> int:
    """In place of LiteLLM's token counter, whose tables take 110 MB and stall the loop to make up an unused usage."""
    return 0


class _NoTokens:
    """In place of LiteLLM's tokenizer, for the same reason: what it counts for vendors that count nothing is none."""

    def encode(self, *_: Any, **__: Any) -> tuple[int, ...]:
        return ()

    encode_ordinary = encode


def _short(redact: Callable[[str], str]) -> Callable[[str], str]:
    """LiteLLM's search for secrets in what it says of a failure, which may quote the whole of a large answer, in the
    beginning of it: it takes seconds for a megabyte. What is passed on is searched again (`wording.scrub`).
    """
    return lambda text: redact(text[:QUOTED])


def _nothing(*_: Any, **__: Any) -> None:
    """In place of LiteLLM's logging of a success to callbacks, of which there are none, and its own reckoning of the
    cost: a third of what a call costs the event loop's thread.
    """


def _failure(loading: asyncio.Task[Any]) -> str | None:
    """Why a finished load did not succeed."""
    if loading.cancelled():
        return "LiteLLM was not loaded: the gateway is shutting down"
    error = loading.exception()
    return None if error is None else f"LiteLLM cannot be imported: {type(error).__name__}: {error}"
