"""The modules that LiteLLM imports with its first calls, by their names; a test finds those that are missing here."""

from __future__ import annotations

LATER = (
    "litellm.proxy._types",
    "litellm.proxy.spend_tracking.savings",
    "litellm.litellm_core_utils.logging_callback_manager",
    "litellm.llms.litellm_proxy.chat.transformation",
    "litellm.llms.openai_like.dynamic_config",
    "litellm.llms.fal_ai.cost_calculator",
    "litellm.llms.github_copilot.authenticator",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.github_copilot.per_user_auth",
    "litellm.llms.edenai.chat.transformation",
    "litellm.llms.opencode.transformation",
    "litellm.llms.openai.chat.gpt_audio_transformation",
    "litellm.proxy.openai_files_endpoints.common_utils",
    "litellm.types.litellm_core_utils.streaming_chunk_builder_utils",
    "litellm.llms.azure.chat.gpt_transformation",
    "litellm.llms.azure.chat.gpt_reasoning_transformation",
    "litellm.llms.azure.chat.o_series_transformation",
    "litellm.llms.anthropic.completion.transformation",
    "litellm.llms.vertex_ai.context_caching.vertex_ai_context_caching",
    "litellm.llms.vertex_ai.vertex_ai_partner_models.llama.transformation",
    "litellm.llms.vertex_ai.vertex_embeddings.bge",
    "litellm.llms.bedrock.chat.chat_completions.transformation",
    "litellm.llms.bedrock.chat.invoke_transformations.amazon_ai21_transformation",
    "litellm.llms.bedrock.chat.invoke_transformations.amazon_titan_transformation",
    "litellm.llms.bedrock.chat.invoke_transformations.anthropic_legacy_text_completions_transformation",
    "litellm.llms.mistral.chat.transformation",
    "litellm.llms.fireworks_ai.chat.transformation",
    "litellm.llms.cohere.chat.transformation",
    "openai.resources.chat.chat",
    "openai.resources.chat.completions.completions",
    "openai.resources.completions",
    "openai.lib.streaming.chat",
    "jiter",
    "_strptime",
    "anyio._backends._asyncio",
    "google.auth.transport.requests",
    "google.oauth2.service_account",
    "boto3",
)
"""Modules that LiteLLM imports with the first calls, loaded beforehand in slices: imported then, they would stall
requests.
"""
