from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from proxy.config import STARTER, deployment, project, prompt, reliability, settings
from proxy.config.schema import schema
from proxy.config.settings import File, Providers
from proxy.vendors import VENDORS

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config.yaml"


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema())
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_shipped_schema_is_current() -> None:
    shipped = json.loads((ROOT / "proxy" / "config" / "schema.json").read_text("utf-8"))
    assert shipped == schema(), "make schema writes it anew"


@pytest.mark.parametrize("path", [SAMPLE, STARTER], ids=lambda path: path.name)
def test_the_shipped_files_fit_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert errors(path.read_text("utf-8")) == []


def test_the_sample_names_its_schema() -> None:
    first = SAMPLE.read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=proxy/config/schema.json"
    assert (ROOT / first.partition("=")[2]).is_file()


def test_the_sample_tells_every_key() -> None:
    """Also the ones in comments: the sample is the reference."""
    text = SAMPLE.read_text("utf-8")
    keys: set[str] = set()
    modules = (settings, reliability, prompt, project, deployment)
    for model in (value for module in modules for value in vars(module).values()):
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel:
            keys |= set(model.model_fields)
    keys -= {"echo"}
    assert {key for key in keys if key not in text} == set()


def test_the_sample_has_a_block_for_every_provider() -> None:
    assert set(yaml.safe_load(SAMPLE.read_text("utf-8"))["providers"]) == set(VENDORS) - {"echo"}


def test_the_defaults_in_the_sample_are_the_defaults() -> None:
    written = yaml.safe_load(SAMPLE.read_text("utf-8"))
    for name in ("cache", "log", "server"):
        block = getattr(File.model_validate({name: written[name]}), name)
        assert block == type(block)()
        assert set(written[name]) == set(type(block).model_fields)


def test_providers_are_those_of_the_table() -> None:
    assert list(Providers.model_fields) == list(VENDORS)


@pytest.mark.parametrize(
    "text",
    [
        "cache: {ttl: 12h, max_size: 500}",
        "cache: {ttl: '${TTL:-1d}', max_size: os.environ/SIZE}",
        "log: {sample_rate: '${RATE}', omit: '${OMIT:-none}'}",
        "litellm_settings: {drop_params: '${DROP}', callbacks: []}",
        "model_list: [{model_name: a, litellm_params: {model: openai/x, weight: 3, input_cost_per_token: 1.0e-6}}]",
        "deployments:",
        "environment_variables: {A: b}",
    ],
)
def test_the_schema_accepts(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    ["cache: {tll: 1}", "providers: {opnai: {}}", "log: {omit: some}", "server: {max_depth: deep}", "cach: {}"]
    + ["litellm_settings: {some_key: 1}", "deployments: {p: {messages: [{role: usr, content: x}]}}"],
)
def test_the_schema_refuses(text: str) -> None:
    assert len(errors(text)) == 1


def test_the_schema_holds_no_noise() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert "gt" not in node
            for value in node.values():
                walk(value)

    walk(schema()["$defs"])
