"""The fleet as others start it: through a config, and from the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import yaml

from proxy.config import load
from tests.upstreams.fleet import MODELS, Fleet


def test_the_config_makes_the_same_targets(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"providers": fleet.providers}))
    config = load(path, {})
    assert config.warnings == ()
    for name in MODELS:
        assert replace(config.providers[name], model=MODELS[name]) == fleet.target(name)


def test_by_hand() -> None:
    """`python -m tests.upstreams` prints a config, serves until it is told to stop, and plays scenarios by name."""
    command = [sys.executable, "-m", "tests.upstreams"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "cohere" in line:
                    break
            lines += [process.stdout.readline() for _ in range(2)]
            groq = yaml.safe_load("".join(lines))["providers"]["groq"]
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            head = {"authorization": f"Bearer {groq['api_key']}"}
            url = f"{groq['api_base']}/chat/completions"
            good = httpx.post(url, json={"model": "openai/gpt-oss-20b", **body}, headers=head)
            assert good.json()["choices"][0]["message"]["content"] == "Hello from groq"
            bad = httpx.post(url, json={"model": "openai/gpt-oss-20b~e503", **body}, headers=head)
            assert bad.status_code == 503
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
