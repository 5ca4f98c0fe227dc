from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from proxy.config.foreign import KEYS, known

ROOT = Path(__file__).parents[2]


def test_the_keys_are_those_of_the_installed_litellm() -> None:
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [sys.executable, "-m", "tests.config.litellm_keys"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=50, check=True)
    assert json.loads(KEYS.read_text("utf-8")) == json.loads(done.stdout), "make keys writes them anew"


def test_the_keys_of_a_usual_config_are_among_them() -> None:
    assert {"fallbacks", "routing_strategy", "redis_host"} <= known()["router_settings"]
    assert {"database_url", "alerting", "store_model_in_db"} <= known()["general_settings"]
    assert {"callbacks", "cache_params", "set_verbose", "modify_params"} <= known()["litellm_settings"]
    assert {"rpm", "tpm", "max_retries", "extra_headers", "extra_body", "aws_role_name"} <= known()["litellm_params"]
    assert {"id", "mode", "max_tokens", "supports_vision"} <= known()["model_info"]
