from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.config import Config, load
from proxy.errors import ConfigError

HELLO: dict[str, Any] = {
    "model": "gpt-4o",
    "provider": "azure",
    "messages": [
        {"role": "system", "content": "You are terse.\nReally."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is in {{place}}?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        ]},
        {"role": "assistant", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "A cat."},
    ],
    "params": {"temperature": 0.7, "stop": ["."], "top_k": 3},
    "functions": [{"name": "look", "description": "Looks", "parameters": {"type": "object"}}],
}  # fmt: skip

BODY = """<system>
  You are terse.
  Really.
</system>

<user>
  <text>
    What is in {{place}}?
  </text>
  <image url="https://example.com/a.png" detail="low" />
</user>
<assistant>
  <tool name="look" id="call_1">
    {"at": "it"}
  </tool>
</assistant>
<tool name="look" id="call_1">
  A cat.
</tool>
"""

PROMPT = f"""---
model: gpt-4o
provider: openai_azure
endpoint: chat
temperature: 0.7
max_tokens: -1
top_p: null
stop: ["."]
other: {{top_k: 3}}
attributes: {{made: by hand}}
tools: [
  {{
    "name": "look",
    "description": "Looks",
    "parameters": {{"type": "object"}}
  }}
]
---
{BODY}"""


def front(**keys: Any) -> str:
    return f"---\n{yaml.safe_dump(keys, sort_keys=False)}---\n"


HEADER = {name: value for name, value in HELLO.items() if name != "messages"}
FORMS = {
    "hello.yaml": yaml.safe_dump(HELLO),
    "hello.yml": "---\n" + yaml.safe_dump(HELLO),
    "hello.md": front(**HEADER) + BODY,
    "hello.prompt": PROMPT,
}
FRONTED_YAML = front(**HEADER) + BODY


def loaded(folder: Path, files: dict[str, str], text: str = "") -> Config:
    for name, written in files.items():
        path = folder / "deployments" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written.encode())
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", {})


def refusal(folder: Path, files: dict[str, str], text: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, files, text)
    return [line.strip() for line in caught.value.message.replace(f"{folder}/", "").split("\n")]


@pytest.mark.parametrize(
    ("name", "text"),
    [*FORMS.items(), ("hello.yaml", FRONTED_YAML), ("hello.prompt", "\ufeff" + PROMPT.replace("\n", "\r\n"))],
    ids=[*FORMS, "front matter", "as Windows writes it"],
)
def test_every_form_is_the_same_version(tmp_path: Path, name: str, text: str) -> None:
    found = loaded(tmp_path, {name: text}).deployments["hello"]
    (tmp_path / "block.yaml").write_text(yaml.safe_dump({"deployments": {"hello": HELLO}, "deployments_folder": ""}))
    block = load(tmp_path / "block.yaml", {}).deployments["hello"]
    assert found == block
    assert found.messages == HELLO["messages"]


@pytest.mark.parametrize("name", ["p.md", "p.yaml", "p.prompt"])
@pytest.mark.parametrize("body", ["Weather in\n  {{city}}?", "Put <b>it</b> into <text> tags: {{it}} ${NOT_SET}"])
def test_a_body_without_tags_is_a_prompt(tmp_path: Path, name: str, body: str) -> None:
    keys = {"model": "gpt-4o"} | ({"endpoint": "complete"} if name == "p.prompt" else {})
    assert loaded(tmp_path, {name: front(**keys) + f"\n{body}\n\n"}).deployments["p"].prompt == body


def test_a_path_is_a_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"team/weather.yaml": "prompt: a", "b.yaml": "prompt: b"}, "deployments: {c: {prompt: c}}")
    assert list(found.deployments) == ["c", "b", "team/weather"]
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == [
        "config.yaml",
        "deployments",
        "deployments/team",
        "deployments/b.yaml",
        "deployments/team/weather.yaml",
    ]


def test_a_folder_that_is_not_there_is_looked_for(tmp_path: Path) -> None:
    assert loaded(tmp_path, {}).files == (tmp_path / "config.yaml", tmp_path / "deployments")
    assert loaded(tmp_path, {}, "deployments_folder: ''").files == (tmp_path / "config.yaml",)


def test_versions_are_files_of_one_folder(tmp_path: Path) -> None:
    versions = {"p/v1.md": front(model="gpt-4o") + "one", "p/v2.yaml": "{model: gpt-4o, prompt: two}"}
    assert loaded(tmp_path, versions).versions["p"].main.prompt == "two"
    settings = {"p/deployment.yaml": "current: v1\nenvironments: {live: {v1: 9, v2: 1}}\nprevious: {live: v1}"}
    found = loaded(tmp_path, settings).versions["p"]
    assert found.main.prompt == "one"
    assert [variant.weight for variant in found.environments["live"].variants] == [9, 1]
    block = "{current: v1, versions: {v1: {model: gpt-4o, prompt: one}, v2: {model: gpt-4o, prompt: two}}}"
    (tmp_path / "block.yaml").write_text(f"deployments_folder: ''\ndeployments: {{p: {block}}}")
    assert load(tmp_path / "block.yaml", {}).versions["p"].versions == found.versions


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"a.yaml": "model: gpt-4o\nparams:\n  temperature: 3\n"},
         ["line 3: params.temperature: should be less than or equal to 2"]),
        ({"a.yaml": "modle: gpt-4o\n"}, ['line 1: modle: unknown key; did you mean "model"?']),
        ({"a.yaml": "- 1\n"}, ["line 1: the file: should be a mapping (key: value)"]),
        ({"a.md": "---\nprovider: opnai\n---\nHi"}, ['line 2: provider: unknown provider; did you mean "openai"?']),
        ({"a.md": "---\nprompt: Hi\n---\nHi"},
         ["line 2: prompt: stands beside a text behind the front matter: one or the other"]),
        ({"a.prompt": "<user>Hi</user>"},
         ["line 1: the file: should begin with front matter: the deployment's keys between two lines of ---"]),
        ({"a.prompt": "---\nendpoint: chat\n---\n<user>a</user>\n\n<usr>b</usr>"},
         ["line 6: the file: text of a chat stands in <system>, <user>, <assistant> or <tool>, which is closed"]),
        ({"a.prompt": "---\nendpoint: edit\ntemprature: 1\nlinked_tools: [x]\ntemplate_language: jinja\n---\n"},
         ["line 2: endpoint: should be chat or complete",
          'line 3: temprature: unknown key; did you mean "temperature"?',
          "line 4: linked_tools: are kept at Humanloop: write their schemas under tools",
          "line 5: template_language: is not filled in here: only {{name}} is; write the template so"]),
        ({"a.prompt": "---\nprovider: replicate\nmodel: x\n---\n"}, ["line 2: provider: unknown provider"]),
        ({"a.prompt": "---\nmodel: gpt-4o\ntemperature: 3\nother: {top_q: 1}\ntools: [{name: 3}]\n---\n"},
         ["line 3: params.temperature: should be less than or equal to 2",
          'line 4: params.top_q: unknown key; did you mean "top_p"?',
          "line 5: functions[0].name: should be text; put it in quotes"]),
        ({"a.prompt": '---\nmodel: gpt-4o\n---\n<user>\n see <image url="https://a" />\n</user>'},
         ["line 5: the file: text beside an <image> stands in <text>"]),
        ({"a.prompt": '---\nmodel: gpt-4o\n---\n<user>\n<image src="https://a" />\n</user>'},
         ['line 5: the file: <image> needs a url: <image url="https://..." />']),
        ({"a.prompt": '---\nmodel: gpt-4o\n---\n<assistant>\n<tool name="f">\n{</tool></assistant><tool>x</tool>'},
         ['line 5: the file: <tool> needs a name and an id: <tool name="..." id="...">',
          "line 5: the file: the arguments of a <tool> should be JSON",
          'line 6: the file: <tool> needs the id of the call that it answers: <tool name="..." id="...">']),
        ({"a.yaml": "{}", "a.md": "---\n---\nHi"},
         ["line 1: the file: is deployment 'a', which stands in deployments/a.md, too"]),
        ({"a/v1.yaml": "prompt: a", "a/v1.md": "---\n---\nb"},
         ["line 1: the file: is version v1, which stands in deployments/a/v1.md, too"]),
        ({"a/v1.yaml": "prompt: a", "a/v2.md": "---\n---\na"},
         ["line 1: the file: has the content of v1, and so is that version: name v1 instead"]),
        ({"a/v1.yaml": "prompt: a", "a.yaml": "prompt: b"},
         ["line 1: the file: is deployment 'a', which stands in deployments/a.yaml, too"]),
        ({"a/v1.yaml": "prompt: a", "a/deployment.yaml": "\nenvironments:\n  live: v2\n"},
         ["line 3: environments.live: no such version (there are: v1)"]),
        ({"a/deployment.yaml": "current: v1"},
         ["line 1: the file: stands beside no version: v1.yaml, v1.md or v1.prompt"]),
        ({"v1.yaml": "prompt: a"},
         ["line 1: the file: stands in no folder of its own, whose name would be the deployment's"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, files: dict[str, str], lines: list[str]) -> None:
    head, *told = refusal(tmp_path, files)
    assert head.startswith(f"deployments/{next(iter(files)).partition('/')[0].partition('.')[0]}")
    assert told == lines


def test_a_name_stands_in_one_place(tmp_path: Path) -> None:
    told = refusal(tmp_path, {"p.yaml": "prompt: a"}, "\ndeployments: {p: {prompt: a}}")
    assert told == ["config.yaml: 1 problem", "line 2: deployments.p: stands in deployments/p.yaml, too"]


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    files = {"README.md": "Our prompts", "p.promt": "x", ".hidden.yaml": "x: [", "p.yaml~": "x", ".git/a.yaml": "x: ["}
    found = loaded(tmp_path, {**files, "p.yaml": "prompt: a"})
    assert list(found.deployments) == ["p"]
    told = [(Path(one.key).name, one.message) for one in found.warnings]
    assert told == [
        ("README.md", "is not read: it has no front matter, the deployment's keys between two lines of ---"),
        ("p.promt", "is not read: the name should end with .yaml, .md or .prompt"),
    ]


def test_links_are_followed_and_not_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "p.yaml").write_text("prompt: a")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "team").symlink_to(tmp_path / "elsewhere")
    assert list(loaded(tmp_path, {}).deployments) == ["team/p"]


def test_another_folder_and_none(tmp_path: Path) -> None:
    loaded(tmp_path, {"p.yaml": "prompt: a"})
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "q.yaml").write_text("prompt: a")
    assert list(loaded(tmp_path, {}, "deployments_folder: prompts").deployments) == ["q"]
    assert loaded(tmp_path, {}, "deployments_folder: ''").deployments == {}
    (told,) = refusal(tmp_path, {}, "\ndeployments_folder: promts")[1:]
    assert told.startswith("line 2: deployments_folder: no such folder")


def test_variables_are_filled_in_front_matter_and_not_in_a_body(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "p.md").write_text("---\nmodel: ${MODEL}\n---\nSay ${MODEL}")
    (tmp_path / "config.yaml").write_text("")
    found = load(tmp_path / "config.yaml", {"MODEL": "gpt-4o"}).deployments["p"]
    assert (found.model, found.prompt) == ("gpt-4o", "Say ${MODEL}")
