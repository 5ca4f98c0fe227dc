"""What each file of `litellm/` comes to: its targets by name, and whatever of it is not as it is by default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KEY = "a-secret-that-nothing-shows"


@dataclass(kw_only=True)
class Expected:
    """`targets` are those that can be called, `router` and `cache` the settings that are not the default ones,
    `retries` those of single names, `files` what was read besides the file itself, `warnings` the lines and keys.
    """

    targets: dict[str, list[str]]
    router: dict[str, Any] = field(default_factory=dict)
    retries: dict[str, int | None] = field(default_factory=dict)
    wildcards: list[str] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)


CASES: dict[str, Expected] = {
    "aliases": Expected(
        targets={"in-house": ["anthropic/claude-sonnet-4-5 by config"]},
        router={
            "fallbacks": {"in-house": ("openai/gpt-4o",)},
            "aliases": {"best": "in-house", "old-best": "in-house", "shown": "in-house"},
            "hidden": frozenset({"old-best"}),
        },
    ),
    "anchors": Expected(
        targets={
            "twin": [
                "azure/twin at https://left.example.com by AZURE_API_KEY weight=10 rpm=10",
                "azure/twin#2 at https://right.example.com by AZURE_API_KEY weight=10 rpm=10",
            ]
        },
        environ={"AZURE_API_KEY": KEY},
    ),
    "azure": Expected(
        targets={
            "az-4o": [
                "azure/prod-4o at https://az.example.com by AZURE_API_KEY api_version=2025-02-01-preview"
                " base_model=azure/gpt-4o timeout=90 mode=chat"
            ],
            "az-token": ["azure/prod-4o#2 at https://t.example.com by AD_TOKEN"],
        },
        warnings=[
            "15 model_list[2]",
            "19 model_list[2].litellm_params.tenant_id",
            "20 model_list[2].litellm_params.client_id",
            "21 model_list[2].litellm_params.client_secret",
        ],
        environ={"AZURE_API_KEY": KEY, "AZURE_API_BASE": "https://az.example.com", "AD_TOKEN": KEY, "SECRET": KEY},
    ),
    "bedrock": Expected(
        targets={
            "claude-on-bedrock": [
                "aws_bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0 by MY_AWS_ID aws_region_name=us-east-2"
            ],
            "nova-on-bedrock": ["aws_bedrock/amazon.nova-pro-v1:0 by BEARER aws_region_name=us-east-1"],
        },
        warnings=[
            "11 model_list[2]",
            "14 model_list[2].litellm_params.aws_role_name",
            "15 model_list[2].litellm_params.aws_session_name",
        ],
        environ={"MY_AWS_ID": KEY, "MY_AWS_SECRET": KEY, "BEARER": KEY},
    ),
    "both_blocks": Expected(
        targets={"a": ["cohere/command-r by config"], "b": ["cohere/command-r-plus by config"]},
        router={"num_retries": 1, "timeout": 20.0, "fallbacks": {"a": ("b",)}},
        warnings=[
            "10 litellm_settings.num_retries",
            "11 litellm_settings.request_timeout",
            "12 litellm_settings.fallbacks",
        ],
    ),
    "budgets": Expected(
        targets={"capped": ["openai/gpt-4o by config", "azure/gpt-4o at https://a.example.com by config"]},
        warnings=[
            "4 model_list[0].litellm_params.max_budget",
            "4 model_list[0].litellm_params.budget_duration",
            "8 router_settings.routing_strategy",
            "9 router_settings.provider_budget_config",
        ],
    ),
    "cache_disk": Expected(
        targets={"kept": ["openai/gpt-4o-mini by config"]},
        cache={"ttl": 600.0},
        warnings=["4 litellm_settings.cache", "5 litellm_settings.cache_params.disk_cache_dir"],
    ),
    "cache_local": Expected(
        targets={"kept": ["openai/gpt-4o-mini by config"]},
        cache={"store": "memory"},
        warnings=[
            "4 litellm_settings.set_verbose",
            "5 litellm_settings.cache",
            "8 litellm_settings.cache_params.mode",
            "9 litellm_settings.cache_params.supported_call_types",
        ],
    ),
    "cache_redis": Expected(
        targets={"kept": ["openai/gpt-4o-mini by config"]},
        cache={"ttl": 300.0},
        warnings=[
            "4 litellm_settings.cache",
            "6 litellm_settings.cache_params.type",
            "7 litellm_settings.cache_params.host",
            "8 litellm_settings.cache_params.port",
            "9 litellm_settings.cache_params.password",
            "10 litellm_settings.cache_params.namespace",
        ],
    ),
    "cooldowns": Expected(
        targets={"only": ["openai/gpt-4o by config"]},
        router={
            "allowed_fails": 0,
            "cooldown_time": 0.0,
            "fallbacks": {"*": ("anthropic/claude-haiku-4-5",)},
            "continue_streams": True,
        },
    ),
    "cost": Expected(
        targets={
            "cheap": [
                "openai/gpt-4o-mini by config input_cost_per_token=3e-05 output_cost_per_token=6e-05",
                "groq/llama-3.1-8b-instant by config input_cost_per_token=1e-08 output_cost_per_token=2e-08",
            ]
        },
        router={"strategy": "lowest-cost"},
        warnings=["11 model_list[1].model_info.input_cost_per_second"],
    ),
    "credentials": Expected(
        targets={
            "big": ["azure/big at https://team.azure.example.com by TEAM_AZURE_KEY api_version=2025-01-01-preview"],
            "big-west": ["azure/big#2 at https://west.example.com by TEAM_AZURE_KEY api_version=2025-01-01-preview"],
            "nova": ["aws_bedrock/amazon.nova-lite-v1:0 by config aws_region_name=eu-central-1"],
        },
        warnings=["10 credential_list[1].credential_values.aws_role_name"],
        environ={"TEAM_AZURE_KEY": KEY},
    ),
    "defaults_of_a_target": Expected(
        targets={
            "tuned": [
                "openai/gpt-4o by config params={'temperature': 0.2, 'max_tokens': 300, 'stop': ['END'], 'seed': 12}"
            ]
        },
        warnings=[
            "10 model_list[0].litellm_params.extra_headers",
            "11 model_list[0].litellm_params.extra_body",
            "12 model_list[0].litellm_params.additional_drop_params",
            "13 model_list[0].litellm_params.mock_response",
            "14 model_list[0].litellm_params.max_retries",
            "15 model_list[0].litellm_params.cooldown_time",
            "16 model_list[0].litellm_params.use_in_pass_through",
        ],
    ),
    "environment": Expected(
        targets={
            "plain": ["openai/gpt-4o by OPENAI_API_KEY"],
            "eu": ["openai/gpt-4o#2 at https://eu.example.com/v1 by OPENAI_API_KEY"],
            "claude": ["anthropic/claude-haiku-4-5 by ANTHROPIC_API_KEY"],
        },
        warnings=["13 model_list[3]"],
        environ={"TEAM_ANTHROPIC_KEY": KEY, "OPENAI_API_KEY": KEY},
    ),
    "everything": Expected(
        targets={"*": ["openai/* by OPENAI_API_KEY"]},
        wildcards=["*"],
        warnings=["3 model_list[0]"],
        environ={"OPENAI_API_KEY": KEY},
    ),
    "fallbacks": Expected(
        targets={
            "small": ["openai/gpt-4o-mini by config rpm=1"],
            "small-long": ["openai/gpt-4.1-mini by config"],
            "mild": ["anthropic/claude-haiku-4-5 by config"],
        },
        router={
            "num_retries": 2,
            "timeout": 45.0,
            "retry_after": 1.0,
            "allowed_fails": 1,
            "cooldown_time": 30.0,
            "fallbacks": {"small": ("mild", "small-long"), "mild": ("small",)},
            "context_window_fallbacks": {"small": ("small-long",)},
            "content_policy_fallbacks": {"small": ("mild",)},
            "max_fallbacks": 3,
        },
    ),
    "guardrails": Expected(
        targets={"guarded": ["openai/gpt-4o-mini by config"]},
        warnings=[
            "3 guardrails",
            "9 litellm_settings.callbacks",
            "10 litellm_settings.llamaguard_model_name",
            "11 litellm_settings.banned_keywords_list",
        ],
    ),
    "include": Expected(
        targets={
            "own": ["openai/gpt-4o by config", "openai/gpt-4o-mini by config"],
            "part": ["groq/part by config"],
            "claude": ["anthropic/claude-haiku-4-5 by config"],
        },
        router={"num_retries": 2, "timeout": 33.0, "fallbacks": {"own": ("part",)}},
        files=["parts/models.yaml", "parts/settings.yaml", "parts/more/claude.yaml"],
        warnings=["9 litellm_settings.callbacks", "models.yaml 4 model_list[2].litellm_params.tags"],
    ),
    "include_one": Expected(
        targets={"claude": ["anthropic/claude-haiku-4-5 by config"]},
        files=["parts/more/claude.yaml"],
    ),
    "latency": Expected(
        targets={"quick": ["groq/quick-8b by GROQ_API_KEY", "fireworks/quick-8b by FIREWORKS_API_KEY"]},
        router={"strategy": "lowest-latency"},
        warnings=[
            "9 router_settings.routing_strategy_args",
            "10 router_settings.redis_host",
            "11 router_settings.redis_port",
            "12 router_settings.redis_password",
        ],
        environ={"GROQ_API_KEY": KEY, "FIREWORKS_API_KEY": KEY, "REDIS_PASSWORD": KEY},
    ),
    "least_busy": Expected(
        targets={
            "zephyr": [
                "openrouter/hf/zephyr-beta by config",
                "openrouter/hf/zephyr-beta#2 by config",
                "openrouter/hf/zephyr-beta#3 by config",
            ]
        },
        router={"strategy": "least-busy", "num_retries": 3, "timeout": 25.0, "aliases": {"gpt-4": "zephyr"}},
    ),
    "limits": Expected(
        targets={
            "limited": ["mistral/mistral-small-latest by config weight=30 rpm=30 tpm=40000 max_parallel=4"],
            "limited-beside": ["mistral/mistral-large-latest by config weight=12 rpm=12 tpm=9000 max_parallel=20"],
        },
        warnings=["12 general_settings.max_parallel_requests", "13 general_settings.global_max_parallel_requests"],
    ),
    "logging": Expected(
        targets={"seen": ["openai/gpt-4o-mini by config"]},
        warnings=[
            "4 litellm_settings.success_callback",
            "5 litellm_settings.failure_callback",
            "6 litellm_settings.callbacks",
            "7 litellm_settings.service_callback",
            "8 litellm_settings.turn_off_message_logging",
            "9 litellm_settings.redact_user_api_key_info",
            "10 litellm_settings.langfuse_default_tags",
            "11 litellm_settings.s3_callback_params",
            "12 litellm_settings.json_logs",
            "13 callback_settings",
            "16 general_settings.store_prompts_in_spend_logs",
            "17 general_settings.maximum_spend_logs_retention_period",
        ],
    ),
    "modes": Expected(
        targets={
            "embed": [
                "openai/text-embedding-3-small by config mode=embedding input_cost_per_token=2e-08",
                "azure/embed at https://a.example.com by config base_model=azure/text-embedding-3-small mode=embedding",
            ],
            "complete": ["instruct by config mode=completion"],
            "whisper": ["openai/whisper-1 by config mode=audio_transcription"],
            "draw": ["openai/gpt-image-1 by config mode=image_generation"],
        },
        warnings=["6 model_list[4].model_info.supports_vision", "6 model_list[4].model_info.max_tokens"],
    ),
    "ollama": Expected(
        targets={
            "llama-local": ["litellm/ollama/llama3.2 at http://127.0.0.1:11434 by None unchanged=True"],
            "llama-chat": ["litellm/ollama_chat/llama3.2 at http://127.0.0.1:11434 by None unchanged=True"],
            "vllm": ["litellm/hosted_vllm/qwen at http://127.0.0.1:8000/v1 by None unchanged=True"],
            "studio": ["litellm/lm_studio/phi at http://127.0.0.1:1234/v1 by None unchanged=True"],
        },
        warnings=["6 model_list[1].litellm_params.keep_alive"],
    ),
    "openai_compatible": Expected(
        targets={
            "near": [
                "openai/mistral-7b at http://127.0.0.1:9001/v1 by config",
                "openai/mistral-7b#2 at http://127.0.0.1:9002/v1 by config",
            ]
        },
        warnings=["7 model_list[2]"],
    ),
    "order": Expected(
        targets={
            "gpt-ordered": [
                "azure/first at https://f.example.com by AZURE_API_KEY order=1",
                "azure/second at https://s.example.com by AZURE_API_KEY order=2",
                "azure/spare at https://x.example.com by AZURE_API_KEY order=3",
            ]
        },
        warnings=["10 router_settings.enable_pre_call_checks"],
        environ={"AZURE_API_KEY": KEY},
    ),
    "organizations": Expected(
        targets={
            "*": [
                "openai/* by OPENAI_API_KEY organization=org-a",
                "openai/*#2 by OPENAI_API_KEY organization=org-b",
                "openai/*#3 by OPENAI_API_KEY organization=org-c",
            ],
            "single": ["openai/gpt-4o by OPENAI_API_KEY organization=org-a"],
        },
        wildcards=["*"],
        environ={"OPENAI_API_KEY": KEY},
    ),
    "other_blocks": Expected(
        targets={"plain": ["openai/gpt-4o-mini by config"]},
        warnings=[
            "4 general_settings.pass_through_endpoints",
            "6 mcp_servers",
            "8 vector_store_registry",
            "11 search_tools",
            "13 files_settings",
            "15 finetune_settings",
            "17 prompts",
            "19 assistant_settings",
        ],
    ),
    "other_providers": Expected(
        targets={
            "deep": ["litellm/deepseek/deepseek-chat by DEEPSEEK_API_KEY unchanged=True"],
            "together": ["litellm/together_ai/meta/llama by TOGETHERAI_API_KEY unchanged=True"],
            "search": ["litellm/perplexity/sonar by PERPLEXITYAI_API_KEY unchanged=True"],
            "grok": ["litellm/xai/grok-4 by GROK_KEY unchanged=True"],
        },
        warnings=["7 model_list[4]"],
        environ={"GROK_KEY": KEY, "DEEPSEEK_API_KEY": KEY, "TOGETHERAI_API_KEY": KEY, "PERPLEXITYAI_API_KEY": KEY},
    ),
    "pre_call_checks": Expected(
        targets={
            "windowed": [
                "azure/small at https://a.example.com by config base_model=azure/gpt-4o-mini",
                "openai/gpt-4.1 by config",
            ],
            "windowed-long": ["openai/gpt-4.1#2 by config"],
        },
        router={"context_window_fallbacks": {"windowed": ("windowed-long",)}},
        warnings=[
            "2 model_list[0].litellm_params.region_name",
            "2 model_list[0].model_info.max_input_tokens",
            "6 router_settings.enable_pre_call_checks",
            "7 router_settings.optional_pre_call_checks",
        ],
    ),
    "production": Expected(
        targets={"main": ["azure/main at https://m.example.com by AZURE_API_KEY", "openai/gpt-4o by OPENAI_API_KEY"]},
        router={"num_retries": 1},
        warnings=[
            "6 general_settings.alerting",
            "7 general_settings.alerting_threshold",
            "8 general_settings.proxy_batch_write_at",
            "9 general_settings.database_connection_pool_limit",
            "10 general_settings.disable_spend_logs",
            "11 general_settings.disable_error_logs",
            "12 general_settings.allow_requests_on_db_unavailable",
            "13 general_settings.background_health_checks",
            "14 general_settings.health_check_interval",
            "15 general_settings.use_redis_transaction_buffer",
            "16 general_settings.ui_access_mode",
            "17 general_settings.enable_jwt_auth",
            "20 litellm_settings.set_verbose",
            "21 litellm_settings.json_logs",
            "22 litellm_settings.ssl_verify",
            "24 router_settings.redis_host",
        ],
        environ={"AZURE_API_KEY": KEY, "OPENAI_API_KEY": KEY, "LITELLM_MASTER_KEY": KEY, "REDIS_HOST": KEY},
    ),
    "quick_start": Expected(
        targets={
            "house-model": [
                "azure/house-north at https://north.azure.example.com/ by NORTH_KEY weight=6 rpm=6",
                "azure/house-south at https://south.azure.example.com/ by SOUTH_KEY weight=2 rpm=2",
            ],
            "self-hosted": ["openai/facebook/opt-30b at http://127.0.0.1:8100/v1 by config"],
        },
        warnings=[
            "15 model_list[2]",
            "25 model_list[3].model_info.version",
            "29 litellm_settings.success_callback",
            "33 general_settings.alerting",
        ],
        environ={"NORTH_KEY": KEY, "SOUTH_KEY": KEY},
    ),
    "reliability_in_litellm_settings": Expected(
        targets={"one": ["openai/gpt-4o-mini by config"], "two": ["openai/gpt-4o by config"]},
        router={
            "num_retries": 3,
            "timeout": 10.0,
            "allowed_fails": 5,
            "cooldown_time": 20.0,
            "fallbacks": {"one": ("two",), "*": ("two",)},
            "context_window_fallbacks": {"one": ("two",), "two": ("one",)},
            "content_policy_fallbacks": {"two": ("one",)},
        },
    ),
    "retry_policies": Expected(
        targets={"steady": ["openai/gpt-4o by config"], "shaky": ["openai/gpt-4o-mini by config"]},
        router={"num_retries": 3},
        retries={"shaky": 6},
        warnings=[
            "8 router_settings.retry_policy.AuthenticationErrorRetries",
            "14 router_settings.model_group_retry_policy.steady.BadRequestErrorRetries",
            "14 router_settings.model_group_retry_policy.steady",
            "16 router_settings.allowed_fails_policy",
        ],
    ),
    "rpm_as_share": Expected(
        targets={
            "chat": [
                "azure/chat-a at https://a.example.com by config weight=900 rpm=900 tpm=10",
                "azure/chat-b at https://b.example.com by config weight=100 rpm=100 tpm=90",
            ],
            "long": ["groq/long-1 by config weight=20000 tpm=20000", "groq/long-2 by config weight=60000 tpm=60000"],
        },
    ),
    "smallest": Expected(
        targets={"gpt-4o": ["openai/gpt-4o by OPENAI_API_KEY"]},
        environ={"OPENAI_API_KEY": KEY},
    ),
    "some_weights": Expected(
        targets={"m": ["anthropic/claude-a by config weight=2", "anthropic/claude-b by config weight=0 rpm=50"]},
    ),
    "tags": Expected(
        targets={"gpt-4": ["openai/gpt-4o-mini by config", "paid-4o by config"]},
        warnings=[
            "2 model_list[0].litellm_params.tags",
            "3 model_list[1].litellm_params.tags",
            "5 router_settings.enable_tag_filtering",
            "6 router_settings.tag_filtering_match_any",
            "8 litellm_settings.default_team_settings",
        ],
    ),
    "timeouts": Expected(
        targets={
            "slow": ["azure/slow at https://slow.example.com by config timeout=300 first_token_timeout=30"],
            "plain": ["azure/plain at https://slow.example.com by config"],
        },
        router={"timeout": 60.0, "first_token_timeout": 2.5},
        warnings=["4 model_list[0].litellm_params.max_retries"],
    ),
    "usage": Expected(
        targets={
            "shared": [
                "azure/shared-1 at https://one.example.com by config weight=10000 rpm=10000 tpm=100000",
                "azure/shared-2 at https://two.example.com by config weight=100 rpm=100 tpm=1000",
            ]
        },
        router={"num_retries": 2, "timeout": 30.0},
        warnings=["8 router_settings.routing_strategy", "9 router_settings.redis_url"],
    ),
    "vertex": Expected(
        targets={
            "gem": [
                "vertexai/gemini-2.5-flash by SERVICE_ACCOUNT vertex_project=p1 vertex_location=us-central1",
                "vertexai/gemini-2.5-flash#2 by SERVICE_ACCOUNT vertex_project=p1 vertex_location=europe-west4",
            ],
            "studio": ["litellm/gemini/gemini-2.5-flash by GEMINI_API_KEY unchanged=True"],
        },
        warnings=["9 default_vertex_config"],
        environ={"SERVICE_ACCOUNT": KEY, "GEMINI_API_KEY": KEY},
    ),
    "virtual_keys": Expected(
        targets={"gpt-4o": ["openai/gpt-4o by config"], "haiku": ["anthropic/claude-haiku-4-5 by config"]},
        warnings=[
            "5 model_list[0].model_info.access_groups",
            "5 model_list[0].model_info.team_id",
            "8 model_list[1].model_info.access_groups",
            "11 general_settings.database_url",
            "12 general_settings.store_model_in_db",
            "13 general_settings.custom_key_generate",
            "14 general_settings.allowed_routes",
            "16 litellm_settings.default_key_generate_params",
            "17 litellm_settings.upperbound_key_generate_params",
            "18 litellm_settings.max_budget",
            "19 litellm_settings.budget_duration",
            "20 litellm_settings.max_internal_user_budget",
        ],
        environ={"LITELLM_MASTER_KEY": KEY},
    ),
    "weights": Expected(
        targets={"o-model": ["openai/gpt-4o by FIRST_KEY weight=9", "openai/gpt-4o#2 by SECOND_KEY"]},
        environ={"FIRST_KEY": KEY, "SECOND_KEY": KEY},
    ),
    "wildcard_forms": Expected(
        targets={
            "shop::*::v::*": ["openai/shop::*::v::* by config"],
            "bedrock/anthropic.*": ["aws_bedrock/anthropic.* by config aws_region_name=eu-west-1"],
            "*-latest": ["mistral/mistral-small-latest by config"],
        },
        wildcards=["bedrock/anthropic.*", "shop::*::v::*", "*-latest"],
        warnings=["9 model_list[3]", "11 model_list[3].model_info.access_groups"],
    ),
    "wildcards": Expected(
        targets={
            "anthropic/*": ["anthropic/* by ANTHROPIC_API_KEY"],
            "openai/*": ["openai/* by OPENAI_API_KEY weight=3", "openai/*#2 by OTHER_OPENAI_KEY"],
            "openai/o1*": ["openai/o1* by OTHER_OPENAI_KEY"],
            "vertex/*": ["vertexai/gemini-* by config"],
        },
        router={"fallbacks": {"openai/gpt-4o": ("anthropic/claude-sonnet-4-5",)}},
        wildcards=["anthropic/*", "openai/o1*", "openai/*", "vertex/*"],
        warnings=["16 general_settings.return_wildcard_routes"],
        environ={"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY, "OTHER_OPENAI_KEY": KEY},
    ),
}
