from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import load
from proxy.config.include import read_file, text_of
from proxy.errors import ConfigError
from tests.config.litellm_router import merged


@pytest.fixture(scope="module", autouse=True)
def _no_price_list_from_elsewhere() -> Iterator[None]:
    """LiteLLM asks the internet for one while it is imported, unless it is told not to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        yield


ECHO = "{model_name: %s, litellm_params: {model: echo/echo}}"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The first of the files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder / next(iter(files))


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return caught.value.message.replace(f"{path.parent}/", "")


def test_a_file_by_its_name_alone(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.yaml": "include: b.yaml", "b.yaml": f"model_list: [{ECHO % 'm'}]"})
    config = load(path, {})
    assert list(config.models) == ["m"]
    assert config.files == (path, tmp_path / "b.yaml", tmp_path / "deployments")


def test_lists_go_on_and_mappings_keep_what_the_included_file_has_not(tmp_path: Path) -> None:
    files = {
        "a.yaml": f"include: [b.yaml]\nmodel_list: [{ECHO % 'x'}]\nlog: {{omit: all, sample_rate: 0.5}}\n"
        "general_settings: {master_key: k}",
        "b.yaml": f"model_list: [{ECHO % 'y'}]\nlog: {{omit: inputs}}\ngeneral_settings: {{alerting: [slack]}}",
    }
    config = load(write(tmp_path, files), {})
    assert list(config.models) == ["x", "y"]
    assert (config.log.omit, config.log.sample_rate) == ("inputs", 0.5)
    assert config.master_key is not None


def test_what_two_files_include_is_read_once_and_after_all_others(tmp_path: Path) -> None:
    files = {
        "a.yaml": f"include: [b.yaml, c.yaml]\nmodel_list: [{ECHO % 'a'}]",
        "b.yaml": f"include: [d/d.yaml]\nmodel_list: [{ECHO % 'b'}]",
        "c.yaml": f"include: [d/d.yaml]\nmodel_list: [{ECHO % 'c'}]",
        "d/d.yaml": f"model_list: [{ECHO % 'd'}]",
    }
    config = load(write(tmp_path, files), {})
    assert list(config.models) == ["a", "b", "c", "d"]
    assert [path.name for path in config.files] == ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "deployments"]


def test_a_file_that_is_not_beside_its_including_one_may_be_beside_the_main_one(tmp_path: Path) -> None:
    files = {
        "a.yaml": "include: [d/b.yaml]",
        "d/b.yaml": "include: [c.yaml]",
        "c.yaml": f"model_list: [{ECHO % 'c'}]",
    }
    assert list(load(write(tmp_path, files), {}).models) == ["c"]


def test_variables_of_an_included_file_hold_for_all(tmp_path: Path) -> None:
    files = {
        "a.yaml": "include: [b.yaml]\nmodel_list: [{model_name: m, litellm_params: {model: 'openai/${MODEL}'}}]",
        "b.yaml": "environment_variables: {MODEL: gpt-x, OPENAI_API_KEY: os.environ/TEAM_KEY}",
    }
    path = write(tmp_path, files)
    target = load(path, {"TEAM_KEY": "k", "OPENAI_API_KEY": "other"}).models["m"][0]
    assert (target.model, target.api_key and target.api_key.get_secret_value()) == ("gpt-x", "k")


def test_problems_and_warnings_tell_the_file_and_the_line(tmp_path: Path) -> None:
    files = {
        "a.yaml": f"include: [b.yaml]\nlog: {{omit: al}}\nmodel_list: [{ECHO % 'm'}]",
        "b.yaml": "\nmodel_list:\n  - {model_name: n, litellm_params: {model: echo/echo, api_kye: hunter2}}\n"
        "cache: {ttl: 1d, ttl: 2d}",
    }
    path = write(tmp_path, files)
    assert refusal(path) == (
        "a.yaml: 3 problems\n"
        "  line 2: log.omit: should be 'none', 'inputs', 'outputs' or 'all'; did you mean \"all\"?\n"
        '  b.yaml, line 3: model_list[1].litellm_params.api_kye: unknown key; did you mean "api_key"?\n'
        "  b.yaml, line 4: cache.ttl: stands twice; the first is on line 4"
    )
    path = write(
        tmp_path,
        {
            "a.yaml": "include: [b.yaml]",
            "b.yaml": "\nguardrails: []\nmodel_list: [{model_name: n, litellm_params: {model: groq/x}}]",
        },
    )
    told = [(Path(one.file).name, one.line, one.key) for one in load(path, {}).warnings]
    assert told == [("b.yaml", 2, "guardrails"), ("b.yaml", 3, "model_list[0]")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.yaml": "\ninclude: [b.yaml]"},
         "a.yaml: 1 problem\n  line 2: include: b.yaml cannot be read: No such file or directory"),
        ({"a.yaml": "include: [b.yaml]", "b.yaml": "- x"},
         "a.yaml: 1 problem\n  line 1: include: b.yaml should hold a mapping (key: value)"),
        ({"a.yaml": "include: [b.yaml]", "b.yaml": "include: [a.yaml]"},
         "a.yaml: 1 problem\n  b.yaml, line 1: include: a.yaml includes itself"),
        ({"a.yaml": "include: [a.yaml]"}, "a.yaml: 1 problem\n  line 1: include: a.yaml includes itself"),
        ({"a.yaml": "include: [b.yaml]", "b.yaml": "x: ["},
         "b.yaml: 1 problem\n  line 1: no valid YAML: expected the node content, but found '<stream end>'"),
        ({"a.yaml": "include: {b.yaml: 1}"},
         "a.yaml: 1 problem\n  line 1: include: should be text; put it in quotes or should be a valid list"),
    ],
)  # fmt: skip
def test_what_cannot_be_included(tmp_path: Path, files: dict[str, str], message: str) -> None:
    assert refusal(write(tmp_path, files)) == message


def test_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    files = {"a.yaml": f"include: [b.yaml]\nmodel_list: [{ECHO % 'm'}]", "b.yaml": "# nothing\n"}
    assert list(load(write(tmp_path, files), {}).models) == ["m"]


KEYS = st.sampled_from(["model_list", "guardrails", "log", "cache"])
LISTS = st.lists(st.integers(0, 9), max_size=3)
SCALARS = st.integers(0, 9)
NAMES = ("a.yaml", "b.yaml", "c.yaml", "d.yaml")


@st.composite
def trees(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Files that include each other without a circle: each only those behind it."""
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(NAMES):
        found[name] = draw(st.dictionaries(KEYS, LISTS | SCALARS, max_size=3))
        if behind := NAMES[i + 1 :]:
            found[name]["include"] = draw(st.lists(st.sampled_from(behind), max_size=3))
    return found


@settings(max_examples=150, deadline=None)
@given(trees())
def test_files_are_merged_as_litellm_merges_them(files: dict[str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder, {file: json.dumps(content) for file, content in files.items()})
        document, read = read_file(path, {}, text_of)
        assert (document.data or {}) == asyncio.run(merged(path))
        assert len(read) == len(set(read))


BLOCKS = st.dictionaries(st.sampled_from("abcdef"), SCALARS, max_size=4)


@settings(max_examples=100, deadline=None)
@given(BLOCKS, BLOCKS)
def test_no_key_of_a_mapping_is_lost_and_the_included_file_s_win(main: dict[str, int], other: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = {"a.yaml": json.dumps({"include": ["b.yaml"], "log": main}), "b.yaml": json.dumps({"log": other})}
        document, _ = read_file(write(Path(name), files), {}, text_of)
        assert document.data["log"] == main | other
