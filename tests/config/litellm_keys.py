"""The keys that the installed LiteLLM knows in each block of its config, taken from its types and its source.

python -m tests.config.litellm_keys > proxy/config/litellm.keys.json
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

DOCUMENTED = {
    "model_list": {"rpm", "tpm"},
    "litellm_params": {"cache_control_injection_points", "extra_body"}
    | {"dimensions", "input_type", "keep_alive", "num_ctx", "project_id", "repeat_penalty", "safety_settings"}
    | {"s3_access_key_id", "s3_bucket_name", "s3_region_name", "s3_secret_access_key", "vertex_ai_project"},
    "litellm_settings": {"disable_stop_sequence_limit", "json_logs", "service_callbacks", "set_verbose", "telemetry"},
    "general_settings": {"disable_adding_master_key_hash_to_db", "disable_error_logs", "embedding_model"}
    | {"image_generation_model", "moderation_model", "use_client_credentials_pass_through_routes"},
    "router_settings": {"enable_pre_call_check"},
}
"""What LiteLLM's documentation tells of and none of its types has."""


def collected() -> dict[str, list[str]]:
    """LiteLLM's keys by block, sorted."""
    import litellm
    from litellm.caching.caching import Cache
    from litellm.constants import DEFAULT_CHAT_COMPLETION_PARAM_VALUES
    from litellm.proxy._types import ConfigGeneralSettings
    from litellm.types import router
    from litellm.types.utils import ModelInfo, ModelInfoBase, all_litellm_params

    folder = Path(litellm.__file__).parent
    found: dict[str, set[str]] = {
        "model_list": set(router.Deployment.model_fields),
        "litellm_params": {*router.LiteLLM_Params.model_fields, *DEFAULT_CHAT_COMPLETION_PARAM_VALUES}
        | {*inspect.signature(litellm.completion).parameters, *all_litellm_params},
        "model_info": {*router.ModelInfo.model_fields, *ModelInfo.__annotations__, *ModelInfoBase.__annotations__},
        "router_settings": {*inspect.signature(litellm.Router.__init__).parameters}
        | {*router.UpdateRouterConfig.model_fields, *router.RouterConfig.model_fields},
        "retry_policy": set(router.RetryPolicy.model_fields),
        "cache_params": {*inspect.signature(Cache.__init__).parameters},
        "general_settings": set(ConfigGeneralSettings.model_fields) | _asked_for(folder / "proxy", "general_settings"),
        "litellm_settings": _globals(folder / "__init__.py") | _asked_for(folder / "proxy", "litellm_settings"),
    }
    return {
        block: sorted(
            key for key in keys | DOCUMENTED.get(block, set()) if key[0] != "_" and key not in {"self", "kwargs"}
        )
        for block, keys in found.items()
    }


def _asked_for(folder: Path, block: str) -> set[str]:
    """The keys that LiteLLM's proxy takes out of a block."""
    pattern = re.compile(block + r"(?:\.get\(|\[)\s*[\"']([a-z][a-z0-9_]*)[\"']")
    return {key for path in folder.rglob("*.py") for key in pattern.findall(path.read_text("utf-8"))}


def _globals(path: Path) -> set[str]:
    """The settings of the module: its variables, but for its lists of models."""
    names: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if name.islower() and not name.endswith("_models")}


if __name__ == "__main__":
    print(json.dumps(collected(), indent=1))
