"""Where a client may want the gateway to connect: forbidden hosts in every spelling, and every place to write one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

METADATA = "169.254.169.254"
"""Where clouds keep a machine's credentials."""

PUBLIC = "93.184.216.34"
VENDORS = "203.0.113.9"
"""Where every vendor's own name leads, inside the enclosure."""

NAMES: dict[str, list[str]] = {
    "linklocal.test": [METADATA],
    "metadata.google.internal": [METADATA],
    "private.test": ["10.0.0.7"],
    "both.test": [PUBLIC, METADATA],
    # leads elsewhere whenever it is asked
    "rebound.test": [],
    "public.test": [PUBLIC],
}

SPELLINGS = [
    "http://127.0.0.1:8080/",
    "http://127.1:8080/",
    "http://127.0.1:8080/",
    "http://0x7f.1:8080/",
    "http://0x7f000001:8080/",
    "http://0177.0.0.1:8080/",
    "http://2130706433:8080/",
    "http://0:8080/",
    "http://0.0.0.0:8080/",
    "http://[::]:8080/",
    "http://[::1]:8080/",
    "http://[::ffff:127.0.0.1]:8080/",
    "http://[::ffff:7f00:1]:8080/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:8080/",
    "http://localhost:8080/",
    "http://LOCALHOST.:8080/",
    "http://①②⑦.⓪.⓪.①:8080/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://10.0.0.7/",
    "http://192.168.0.1/",
    "http://172.16.0.1/",
    "https://169.254.169.254/",
    "http://93.184.216.34@169.254.169.254/",
    "http://169.254.169.254#@93.184.216.34/",
    "http://93.184.216.34\\@169.254.169.254/",
    *(f"http://{name}/" for name in NAMES if name != "public.test"),
    "https://rebound.test/",
    "http://public.test/redirected",
    "//169.254.169.254/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:8080/_x",
    "ftp://169.254.169.254/",
]

FIELDS = (
    *("api_base", "base_url", "apiBase", "api_url", "url", "endpoint", "host", "server", "target", "provider"),
    *("custom_llm_provider", "azure_endpoint", "organization", "api_version", "proxy", "http_proxy", "proxies"),
    *("openai_api_base", "anthropic_api_url", "vertex_credentials", "vertex_project", "vertex_location"),
    *("aws_bedrock_runtime_endpoint", "aws_sts_endpoint", "aws_region_name", "aws_web_identity_token"),
    *("callbacks", "success_callback", "webhook_url", "mock_response", "client", "model_info", "metadata_url"),
)
"""Fields that some gateway takes, or took, an address from."""

HEADERS = (
    *("x-api-base", "x-base-url", "x-portkey-custom-host", "x-custom-host", "x-target-url", "x-upstream", "x-llm-host"),
    *("x-forwarded-host", "x-forwarded-for", "x-original-url", "x-rewrite-url", "forwarded", "x-litellm-api-base"),
    *("openai-organization", "helicone-openai-api-base", "x-openai-api-base", "referer", "x-http-method-override"),
)

WITHIN = (
    *("metadata", "llm_configuration", "model_config", "extra_body", "extra_headers", "headers", "litellm_params"),
    *("inference_extra_params", "inference_extra_headers", "provider_api_keys", "user_config", "model_params"),
    *("litellm_metadata", "router_settings", "default_litellm_params", "config", "override_params"),
)
"""Objects that a field may be put into."""

MODELS = (
    *(
        "{url}",
        "openai/{url}",
        "azure/{url}",
        "huggingface/{url}",
        "triton/{url}",
        "oobabooga/{url}",
        "openai_like/{url}",
    ),
    *("ollama/x", "ollama_chat/x", "vllm/x", "hosted_vllm/x", "lm_studio/x", "llamafile/x", "xinference/x", "petals/x"),
    *("custom_openai/x", "litellm_proxy/x", "docker_model_runner/x", "sagemaker/x", "databricks/x", "watsonx/x"),
    *("vertexai/projects/p/locations/{host}/endpoints/1", "vertexai/../../{host}", "vertexai/gemini@{host}/x"),
    *("aws_bedrock/arn:aws:bedrock:{host}:123456789012:inference-profile/x", "aws_bedrock/{host}/anthropic.claude-v2"),
    *("aws_bedrock/arn:aws:bedrock:x.{host}#:123456789012:imported-model/x", "azure/@{host}/x", "cohere/@{host}"),
)


def single(example: Body, name: str, url: str) -> Body:
    """A good body with one field more, at its top and in every object that it has or could have."""
    body = dict(example)
    for each in WITHIN:
        inner = body.get(each)
        body[each] = {**(inner if isinstance(inner, dict) else {}), name: url}
    return {**body, name: url} if name not in example else body


def alone(example: Body, name: str, url: str) -> Body:
    """A good body with one field more, and nothing else that could have it refused."""
    return example if name in example else {**example, name: url}


def lists(example: Body, url: str) -> Iterator[Body]:
    """Models of the client's own, as LiteLLM's proxy knows them."""
    own = [{"model_name": "echo", "litellm_params": {"model": "openai/x", "api_base": url, "api_key": "x"}}]
    yield example | {"user_config": {"model_list": own}}
    yield example | {"model_list": own, "fallbacks": [{"model": "openai/x", "api_base": url}]}
    yield example | {"fallbacks": [own[0]["litellm_params"]], "context_window_fallbacks": own}


def keys(url: str, account: Body) -> Iterator[tuple[str, str]]:
    """Vendors, and keys for them that name an address."""
    host = url.partition("://")[2].strip("/")
    yield "vertexai", json.dumps(account | {"token_uri": url})
    yield "vertexai", json.dumps(account | {"universe_domain": host})
    yield "vertexai", json.dumps(account | {"project_id": f"@{host}/"})
    source = {"credential_source": {"url": url}, "token_url": url, "service_account_impersonation_url": url}
    yield "vertexai", json.dumps({"type": "external_account", "audience": "x", "subject_token_type": "x", **source})
    yield "vertexai", json.dumps({"type": "authorized_user", "token_uri": url, "client_id": "x", "refresh_token": "x"})
    yield "vertexai", url
    pair = {"aws_access_key_id": "AKIATESTTESTTESTTEST", "aws_secret_access_key": "x" * 40}
    for region in (host, f"x@{host}/", f"{host}/#", f"x.{host}#", f"{host}?", f"\\{host}\\"):
        yield "aws_bedrock", json.dumps(pair | {"aws_region_name": region})
    for name in ("aws_bedrock_runtime_endpoint", "aws_sts_endpoint", "aws_web_identity_token", "aws_profile_name"):
        yield "aws_bedrock", json.dumps(pair | {name: url})
    yield "aws_bedrock", url


def contents(url: str) -> Iterator[list[Body]]:
    """Messages whose content lies at an address."""
    parts: list[Body] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "image_url", "image_url": {"url": url, "format": "image/png"}},
        {"type": "file", "file": {"file_id": url, "format": "application/pdf"}},
        {"type": "file", "file": {"file_data": url, "filename": "x.pdf"}},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "audio_url", "audio_url": {"url": url}},
        {"type": "document", "source": {"type": "url", "url": url}},
        {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
    ]
    for part in parts:
        yield [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, part]}]
