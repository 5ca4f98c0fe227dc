"""One value of a YAML file, set without touching anything else: comments, order, quotes and line ends stay as they are.

A round-trip library writes the whole file anew, and with it the layout of places that nobody meant to change. Here the
parser says where the value stands, only those characters are replaced, and the new text is read again to prove it.
What must stay true: all other values are what they were, or the file is left alone.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from proxy.config.document import Place, compose, dotted, read
from proxy.errors import ConfigError

Value = str | Mapping[str, float]
"""What is set: a word, or words with numbers."""

STEP = "  "


def splice(text: str, name: str, place: Place, value: Value) -> str:
    """`text` with `value` at `place`, whose mappings are made where they lack. Raises `ConfigError` if it cannot be."""
    bom, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    before = read(body, name, {})
    if any(at[: len(place)] == place for at in before.variables):
        raise _refusal(name, place, "it comes from the environment")
    try:
        spliced = _spliced(body, compose(body, name), place, value)
        after = read(spliced, name, {}).data
    except (_Unclear, ConfigError):
        raise _refusal(name, place, "it is written in a way that is not understood here") from None
    if after != _expected(before.data, place, value):
        raise _refusal(name, place, "other values are tied to it, by an alias or a merge")
    return bom + spliced


class _Unclear(Exception):
    """The place cannot be told from the text."""


def _refusal(name: str, place: Place, why: str) -> ConfigError:
    return ConfigError(f"{name}: {dotted(place)} cannot be set: {why}; change it by hand")


def _expected(data: Any, place: Place, value: Value) -> Any:
    whole = copy.deepcopy(data) or {}
    inner = whole
    for key in place[:-1]:
        if not isinstance(inner.get(key), dict):
            inner[key] = {}
        inner = inner[key]
    inner[place[-1]] = value if isinstance(value, str) else dict(value)
    return whole


def _spliced(text: str, node: yaml.Node | None, place: Place, value: Value) -> str:
    if node is None or _is_null(node):
        end = "" if not text or text.endswith("\n") else _newline(text)
        return text + end + _newline(text).join(_lines(place, value, "")) + _newline(text)
    for depth, key in enumerate(place):
        if not isinstance(node, yaml.MappingNode):
            raise _Unclear
        pair = next((pair for pair in node.value if pair[0].value == key), None)
        if pair is None:
            return _added(text, node, place[depth:], value)
        key_node, node = pair
        if _is_alias(key_node, node):
            raise _Unclear
        if depth == len(place) - 1 or _is_null(node):
            return _replaced(text, key_node, node, _flow(place[depth + 1 :], value))
    raise _Unclear


def _replaced(text: str, key: yaml.Node, node: yaml.Node, written: str) -> str:
    """`text` with another value behind a key."""
    if _is_null(node) or _in_block(node):
        # what stands behind the colon is a comment at most; the lines of the old value go
        colon = text.index(":", key.end_mark.index)
        line = _line_end(text, colon)
        end = line if _is_null(node) else _line_end(text, _end(text, node))
        return f"{text[: colon + 1]} {written}{text[colon + 1 : line]}{text[end:]}"
    start, end = node.start_mark.index, node.end_mark.index
    if (comment := re.compile("( +)#").match(text, end)) is not None:
        # it stays in its column, if it can
        end = comment.end(1)
        written += " " * max(1, end - start - len(written))
    return text[:start] + written + text[end:]


def _added(text: str, node: yaml.MappingNode, place: Place, value: Value) -> str:
    """`text` with another key at the end of a mapping."""
    if node.flow_style:
        written = f"{_key(place[0])}: {_flow(place[1:], value)}"
        if not node.value:
            return text[: node.start_mark.index + 1] + written + text[node.start_mark.index + 1 :]
        last = _end(text, node.value[-1][1]) if not _is_alias(*node.value[-1]) else None
        if last is None:
            raise _Unclear
        return f"{text[:last]}, {written}{text[last:]}"
    key, last_node = node.value[-1]
    end = _line_end(text, key.end_mark.index if _is_alias(key, last_node) else _end(text, last_node))
    first = node.value[0][0].start_mark
    indent = text[first.index - first.column : first.index]
    if indent.strip():
        raise _Unclear
    added = "".join(_newline(text) + line for line in _lines(place, value, indent))
    return text[:end] + added + text[end:]


def _lines(place: Place, value: Value, indent: str) -> list[str]:
    """A key in block style, and those below it."""
    if len(place) == 1:
        return [f"{indent}{_key(place[0])}: {_flow((), value)}"]
    return [f"{indent}{_key(place[0])}:", *_lines(place[1:], value, indent + STEP)]


def _flow(place: Place, value: Value) -> str:
    if place:
        return f"{{{_key(place[0])}: {_flow(place[1:], value)}}}"
    if isinstance(value, str):
        return value
    return "{" + ", ".join(f"{key}: {number:.12g}" for key, number in value.items()) + "}"


def _key(word: str | int) -> str:
    """A key as YAML wants it: in quotes where it would be read as something else."""
    text = str(word)
    try:
        node = compose(f"{{{text}: x}}", "")
    except yaml.YAMLError:
        node = None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    plain = len(pairs) == 1 and pairs[0][0].value == text and pairs[0][0].tag == "tag:yaml.org,2002:str"
    return text if plain else json.dumps(text, ensure_ascii=False)


def _is_null(node: yaml.Node) -> bool:
    """Nothing at all, as behind a key that stands alone."""
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _is_alias(key: yaml.Node, node: yaml.Node) -> bool:
    """A node that stands elsewhere: the parser gives it where its anchor is."""
    return bool(node.start_mark.index < key.end_mark.index)


def _in_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode | yaml.SequenceNode) and not node.flow_style


def _end(text: str, node: yaml.Node) -> int:
    """Where the last character of a node is; of a block the parser says only where the next thing begins."""
    while _in_block(node) and node.value:
        last = node.value[-1]
        key, node = last if isinstance(last, tuple) else (last, last)
        if _is_alias(key, node) and key is not node:
            return _line_end(text, key.end_mark.index)
    return len(text[: node.end_mark.index].rstrip())


def _line_end(text: str, index: int) -> int:
    """Where the line ends, its line feed and what goes before that left out."""
    end = text.find("\n", index)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
