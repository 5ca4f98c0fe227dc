"""One deployed prompt as a file of its own: YAML, front matter before a text, or Humanloop's `.prompt` format.

Facts of that format, from Humanloop's documentation (humanloop.com/docs/reference/prompt-file-format, docs/v4 and v5,
docs/v5/reference/serialized-files, read in stored copies) and from `PromptKernelRequest` of its Python client:

* A YAML header between two `---`, then a template "inspired by MDX". The header has `model`, `provider`, `endpoint`
  (`chat` or `complete`), `temperature`, `max_tokens` (-1: as many as there is room for), `top_p`, `stop`,
  `presence_penalty`, `frequency_penalty`, `seed`, `response_format`, `reasoning_effort`, `other` (further parameters),
  `tools` (a JSON list of function schemas), `linked_tools` (ids of tools kept at Humanloop), `attributes` (remarks).
* The template of a chat is a list of `<system>`, `<user>`, `<assistant>` and `<tool>` elements, that of a completion
  is text. Inputs are `{{name}}`. The text of an element is indented, which is no part of it.
* In `<user>`, `<image url="https://..." />` is an image, and text beside one stands in `<text>`.
* In `<assistant>`, `<tool name="..." id="...">` is a tool call, its text the arguments as JSON; a `<tool>` element
  after it is the answer to the call with the same id.

What must stay true: the body is text, in which nothing is filled from the environment, and whatever is not understood
is told with its line and not sent as something else.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.document import Document, Place, Problem, read
from proxy.config.hint import nearest
from proxy.config.prompt import Params
from proxy.vendors import VENDORS

FRONT = re.compile(r"---[ \t]*\r?\n(?P<front>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)

PROVIDERS = {
    "openai_azure": "azure",
    "bedrock": "aws_bedrock",
    "google": "vertexai",
    "mock": "echo",
    **{name: name for name in VENDORS},
}
"""Humanloop's words for providers; those that it lacks go by the gateway's own names."""

_ATTRIBUTES = r"(?P<attributes>(?:\s+[\w-]+\s*=\s*\"[^\"]*\")*)\s*"
_ELEMENT = re.compile(
    rf"<(?P<tag>system|developer|user|assistant|tool){_ATTRIBUTES}>(?P<text>.*?)</(?P=tag)>", re.DOTALL
)
_PART = re.compile(rf"<text>(?P<text>.*?)</text>|<image{_ATTRIBUTES}(?:/>|>\s*</image>)", re.DOTALL)
_CALL = re.compile(rf"<tool{_ATTRIBUTES}>(?P<text>.*?)</tool>", re.DOTALL)
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*\"([^\"]*)\"")
_TAGS = "<system>, <user>, <assistant> or <tool>"

_PARAMS = frozenset(Params.model_fields)
_REMARKS = frozenset({"attributes", "template_language"})
_KEYS = frozenset({"model", "provider", "endpoint", "tools", "linked_tools", "other", *_PARAMS, *_REMARKS})


def read_prompt(text: str, name: str, suffix: str, environ: Mapping[str, str]) -> Document:
    """The document in a file's text, its data being a deployment's keys. Raises `ConfigError` if it is no YAML."""
    text = text.removeprefix("\ufeff")
    front = FRONT.match(text)
    if suffix == ".yaml" and front is None:
        return read(text, name, environ)
    if front is None:
        document = Document(name, {}, lines={(): 1})
        document.problem((), "should begin with front matter: the deployment's keys between two lines of ---")
        return document
    # the line of the first --- is kept, so that every line keeps its number
    document = read("\n" + front["front"], name, environ)
    if document.data is None:
        document.data = {}
    if not isinstance(document.data, dict):
        return document
    endpoint = document.data.get("endpoint")
    if suffix == ".prompt":
        _translate(document)
    _Body(document, text, front.end(), endpoint if suffix == ".prompt" else None).add()
    return document


def _translate(document: Document) -> None:
    """Turn the keys of Humanloop's header into those of a deployment; what is meant for Humanloop alone is left out."""
    given = {key: value for key, value in document.data.items() if value is not None}
    data: dict[str, Any] = {}
    for key in given.keys() - _KEYS:
        document.problem((key,), f"unknown key{nearest(key, _KEYS)}")
    if given.get("endpoint", "chat") not in ("chat", "complete"):
        document.problem(("endpoint",), "should be chat or complete")
    if given.get("template_language", "default") != "default":
        document.problem(("template_language",), "is not filled in here: only {{name}} is; write the template so")
    if given.get("linked_tools"):
        document.problem(("linked_tools",), "are kept at Humanloop: write their schemas under tools")
    if "model" in given:
        data["model"] = given["model"]
    if "provider" in given:
        word = given["provider"]
        data["provider"] = PROVIDERS.get(word, word) if isinstance(word, str) else word
    if given.get("tools"):
        data["functions"] = given["tools"]
        _move(document, ("tools",), ("functions",))
    params = {name: given[name] for name in given if name in _PARAMS}
    for name in params:
        _move(document, (name,), ("params", name))
    other = given.get("other", {})
    if isinstance(other, dict):
        params |= other
        _move(document, ("other",), ("params",))
    else:
        document.problem(("other",), "should be a mapping (key: value)")
    if params.get("max_tokens") == -1:
        del params["max_tokens"]
    if params := {name: value for name, value in params.items() if value not in (None, [])}:
        data["params"] = params
    document.data = data


def _move(document: Document, old: Place, new: Place) -> None:
    """Let what stood at `old` be told at its line under the key that it has become."""
    for place, line in list(document.lines.items()):
        if place[: len(old)] == old:
            document.lines[(*new, *place[len(old) :])] = line


class _Body:
    """What stands behind the front matter: a text, or messages. Adds it to the document's data."""

    def __init__(self, document: Document, text: str, start: int, endpoint: object) -> None:
        self._document = document
        self._text = text
        self._start = start
        self._endpoint = endpoint

    def add(self) -> None:
        body = self._text[self._start :].strip()
        if not body:
            return
        key = "messages" if self._endpoint == "chat" or (self._endpoint is None and _ELEMENT.match(body)) else "prompt"
        for taken in {"messages", "prompt"} & self._document.data.keys():
            self._document.problem((taken,), "stands beside a text behind the front matter: one or the other")
            return
        if key == "prompt":
            self._note((key,), self._start)
            self._document.data[key] = _plain(self._text[self._start :])
        else:
            self._document.data[key] = list(self._messages())

    def _messages(self) -> Iterator[dict[str, Any]]:
        place = self._start
        for index, element in enumerate(_ELEMENT.finditer(self._text, self._start)):
            self._between(place, element.start())
            place = element.end()
            self._note(("messages", index), element.start())
            yield self._message(element["tag"], _attributes(element), element["text"], element.start("text"))
        self._between(place, len(self._text))

    def _between(self, start: int, end: int) -> None:
        if (stray := self._text[start:end]).strip():
            self._problem(
                start + len(stray) - len(stray.lstrip()), f"text of a chat stands in {_TAGS}, which is closed"
            )

    def _message(self, tag: str, attributes: dict[str, str], text: str, start: int) -> dict[str, Any]:
        if tag == "tool":
            if "id" not in attributes:
                self._problem(start, '<tool> needs the id of the call that it answers: <tool name="..." id="...">')
            return {"role": "tool", "tool_call_id": attributes.get("id", "-"), "content": _plain(text)}
        if tag == "assistant" and (calls := list(_CALL.finditer(text))) and not text[calls[-1].end() :].strip():
            message: dict[str, Any] = {"role": tag, "tool_calls": [self._call(one, start) for one in calls]}
            said = _plain(text[: calls[0].start()])
            return {**message, "content": said} if said else message
        if tag == "user" and "<image" in text:
            return {"role": tag, "content": self._parts(text, start)}
        only = _PART.fullmatch(text.strip()) if tag == "user" else None
        return {"role": tag, "content": _plain(only["text"] if only else text)}

    def _parts(self, text: str, start: int) -> list[dict[str, Any]]:
        """A message with images, whose text stands in `<text>`."""
        parts: list[dict[str, Any]] = []
        place = 0
        for part in _PART.finditer(text):
            if text[place : part.start()].strip():
                break
            place = part.end()
            if part["text"] is not None:
                parts.append({"type": "text", "text": _plain(part["text"])})
                continue
            image = {name: value for name, value in _attributes(part).items() if name in ("url", "detail")}
            if "url" not in image:
                self._problem(start + part.start(), '<image> needs a url: <image url="https://..." />')
            parts.append({"type": "image_url", "image_url": image})
        if (rest := text[place:]).strip():
            self._problem(start + place + len(rest) - len(rest.lstrip()), "text beside an <image> stands in <text>")
        return parts

    def _call(self, call: re.Match[str], start: int) -> dict[str, Any]:
        attributes, arguments = _attributes(call), _plain(call["text"])
        if not {"name", "id"} <= attributes.keys():
            self._problem(start + call.start(), '<tool> needs a name and an id: <tool name="..." id="...">')
        try:
            json.loads(arguments)
        except ValueError:
            self._problem(start + call.start("text"), "the arguments of a <tool> should be JSON")
        function = {"name": attributes.get("name", ""), "arguments": arguments}
        return {"id": attributes.get("id", ""), "type": "function", "function": function}

    def _problem(self, index: int, message: str) -> None:
        self._document.problems.append(Problem((), self._line(index), message))

    def _note(self, place: Place, index: int) -> None:
        self._document.lines[place] = self._line(index)

    def _line(self, index: int) -> int:
        return self._text.count("\n", 0, index) + 1


def _attributes(element: re.Match[str]) -> dict[str, str]:
    return dict(_ATTRIBUTE.findall(element["attributes"]))


def _plain(text: str) -> str:
    """Text without its indentation and the lines around it, and with line feeds alone, as YAML reads it."""
    return textwrap.dedent(text.replace("\r\n", "\n")).strip()
