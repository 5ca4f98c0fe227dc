"""What LiteLLM's keys ask for that is not here: said with the warning of each, and listed in docs/routing.md.

The first topic whose pattern is found in a key is its. A key that is of none is told without a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Topic:
    """Something that LiteLLM has and this gateway has not: its name, the keys that ask for it, and what is here."""

    name: str
    pattern: re.Pattern[str]
    instead: str


def _topic(name: str, pattern: str, instead: str) -> Topic:
    return Topic(name, re.compile(pattern), instead)


TOPICS = (
    _topic(
        "caching by other stores",
        r"^cache_params\.",
        "answers are kept on disk or in memory, for all calls that ask for it",
    ),
    _topic("Redis", r"redis|valkey", "no Redis: what is known is shared by the workers of one machine"),
    _topic("retries of refusals", r"^retry_policy\.", "such a failure is never tried again"),
    _topic("pass-through", r"pass_?through", "nothing is passed through: every API that is served is translated"),
    _topic(
        "guardrails",
        r"guardrail|presidio|moderation|llm_guard|llamaguard|banned_keywords|blocked_user|_pii|content_safety"
        r"|prompt_injection|(pre|post)_call_rules|policies|policy_attachments",
        "no guardrails",
    ),
    _topic(
        "callbacks and other logs",
        r"callback|prometheus|langfuse|datadog|langsmith|otel|argilla|newrelic|arize|logger|logging|sentry|spend_log"
        r"|^litellm_settings\.(service|s3|gcs|zerobus|pointfive)|audit_log|tracing",
        "no callbacks: every call is in the trace log",
    ),
    _topic("alerts", r"alert|email|slack|spend_report", "no alerts"),
    _topic(
        "tags",
        r"\.tags$|tag_(filtering|routing|regex)|_tag_|_tags$(?<!session_tags)(?<!bedrock_tags)",
        "no routing by tags",
    ),
    _topic(
        "budgets",
        r"budget|spend|priority_reservation|key_generat|custom_key|duration$",
        "keys and budgets are in `keys`",
    ),
    _topic(
        "a database",
        r"database|prisma|_db$|store_model_in_db|supported_db_objects|proxy_batch|model_info\.db_model",
        "no database server: the file decides, and the log is SQLite",
    ),
    _topic(
        "users, teams and sign-on",
        r"sso|jwt|oauth|rbac|role_permissions|scim|(^|[._])ui_|login|password_policy|custom_auth|public_routes|admin_only"
        r"|allowed_routes|team|internal_user|end_user|user_header|enforce|access_group|allow_user_auth|allowed_ips",
        "no users, teams or sign-on: who may ask for what is in `keys`",
    ),
    _topic(
        "limits for all calls",
        r"^general_settings\.(global_)?max_(parallel|in_flight|queued)|token_rate_limit_type|default_api_key",
        "limits are of a target (rpm, tpm, max_parallel_requests) or of a key",
    ),
    _topic(
        "key management systems",
        r"key_management|secret_manager|key_vault|google_kms|hashicorp",
        "keys are in the environment or in the file",
    ),
    _topic("MCP, agents and tools", r"mcp|agent|vector_store|search_tool|sandbox|skill|websearch", "no tools"),
    _topic("health checks", r"health_check|healthy", "targets are not probed: their calls tell how they are"),
    _topic(
        "checks before a call",
        r"pre_call_check|model_group_affinity|deployment_affinity|session_affinity",
        "no checks before a call: what a provider refuses as too long goes to context_window_fallbacks",
    ),
    _topic(
        "finer routing",
        r"routing_strategy_args|routing_groups|^router_settings\.(weights|plugins)|auto_router|adaptive_router"
        r"|enable_weighted_failover|priority|polling_interval|complexity",
        "the strategies have no options; one for a single name is in `groups`",
    ),
    _topic("cool-downs by kind", r"allowed_fails_policy|litellm_params\.cooldown_time", "every failure counts alike"),
    _topic("regions", r"(^|\.|_)region(_name)?$|allowed_model_region", "no routing by region"),
    _topic("test answers", r"mock_", "the provider echo answers offline"),
    _topic(
        "AWS's other credentials",
        r"aws_(role|session_name|profile|web_identity|sts|external|batch|bedrock)",
        "Bedrock is called with a key and its secret, or with a bearer key",
    ),
    _topic(
        "Azure's other credentials",
        r"params\.(tenant_id|client_id|client_secret)|azure_(username|password|scope|ad_token_provider)|enable_azure_ad_token",
        "Azure is called with an api_key or an azure_ad_token",
    ),
    _topic(
        "other prices",
        r"cost|pricing",
        "a price is input_cost_per_token and output_cost_per_token; others are LiteLLM's list's",
    ),
    _topic(
        "a request's other fields",
        r"extra_headers|extra_body|keep_alive|num_ctx|safety_settings|dimensions|input_type|repeat_penalty|^litellm_params\.(headers|metadata|extra|default_|drop_params|additional_drop)"
        r"|default_litellm_params|forward_|additional_drop_params|allowed_openai_params",
        "a target has default parameters and no further fields or headers",
    ),
    _topic(
        "retries by the provider's client",
        r"(max|num)_retries|num_retries_per_request|\.retry$",
        "retries are the gateway's: router_settings.num_retries, or that of a name in `groups`",
    ),
    _topic("what models can do", r"^model_info\.", "nothing here depends on it"),
    _topic("verbosity", r"set_verbose|json_logs|debug|suppress", "`serve --log-level` says how much is told"),
    _topic(
        "connections",
        r"ssl_|aiohttp|http2|force_ipv4|client_session|client_ttl|proxy_auth|keepalive",
        "connections are the gateway's own",
    ),
)


def instead(block: str, key: str) -> str:
    """What is here instead of what a key asks for, as the end of a sentence; nothing if it is of no topic."""
    topic = topic_of(block, key)
    return f": {topic.instead}" if topic else ""


def topic_of(block: str, key: str) -> Topic | None:
    return next((topic for topic in TOPICS if topic.pattern.search(f"{block}.{key}")), None)
