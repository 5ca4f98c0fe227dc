"""A YAML file with its lines: every value, where it stands, and which environment variables it came from.

`environment_variables` of the file come before the environment itself, as they do in LiteLLM, for the references of the
file and for whoever reads on in `Document.environ`; the process's own environment is left as it is.
What must stay true: values are YAML 1.2's (dates and `yes` stay text), a key that stands twice is a problem, and no
message built here repeats a value of the file or of the environment, since any of them may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from proxy.errors import ConfigError

Place = tuple[str | int, ...]
"""Where a value stands: the keys and list positions that lead to it."""

_REFERENCE = re.compile(r"\$(?P<escape>\$)?\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>[^}]*))?\}")
_LITELLM_REFERENCE = re.compile(r"os\.environ/(?P<name>.+)")
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_QUOTED_WORD = re.compile(r"'(?!<)[^']{2,}'|\"[^\"]{2,}\"")
_MERGE = "tag:yaml.org,2002:merge"
_ENVIRONMENT = "environment_variables"


class _Loader(yaml.SafeLoader):
    """Composes nodes whose scalars are resolved by YAML 1.2's core schema, and merge keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("bool", r"(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"[-+]?[0-9]+$", "-+0123456789"),
    (
        "float",
        r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$",
        "-+.0123456789",
    ),
    ("null", r"(~|null|Null|NULL|)$", "~nN"),
    ("merge", r"<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [*_first, ""])


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": _boolean,
    "int": int,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


@dataclass(slots=True, frozen=True)
class Problem:
    """Something wrong at one place of the file, or of the one that it includes which `file` names."""

    place: Place
    line: int
    message: str
    file: str = ""


@dataclass(slots=True)
class Document:
    """What a file says. `lines` and `variables` are by place; `variables` has the names that a value was taken from.

    `files` has the places that come from another file than `name`. `environ` is what references are taken from.
    `unset` has the places of references to nothing that leave a target out, where any other is a problem.
    """

    name: str
    data: Any = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    lines: dict[Place, int] = field(default_factory=dict)
    files: dict[Place, str] = field(default_factory=dict)
    variables: dict[Place, tuple[str, ...]] = field(default_factory=dict)
    unset: set[Place] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def nearest(self, place: Place) -> Place:
        """The longest beginning of `place` that stands in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def line(self, place: Place) -> int:
        return self.lines.get(self.nearest(place), 1)

    def file(self, place: Place) -> str:
        """The file that `place` stands in, where it is an included one."""
        return self.files.get(self.nearest(place), "")

    def problem(self, place: Place, message: str) -> None:
        self.problems.append(Problem(place, self.line(place), message, self.file(place)))

    def error(self) -> ConfigError:
        """All problems as one message, in the order of the file, and after it of those that it includes."""
        problems = dict.fromkeys(self.problems)
        found = sorted(problems, key=lambda problem: (problem.file, problem.line, dotted(problem.place)))
        lines = [f"  {p.file}{', ' * bool(p.file)}line {p.line}: {dotted(p.place)}: {p.message}" for p in found]
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        return ConfigError("\n".join([f"{self.name}: {count}", *lines]))


def dotted(place: Place) -> str:
    """`("model_list", 0, "model_name")` as `model_list[0].model_name`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def read(text: str, name: str, environ: Mapping[str, str]) -> Document:
    """The document in `text`, with references to the environment filled in.

    Raises `ConfigError` when the text is no YAML; whatever else is wrong is gathered in `problems`.
    """
    return built(composed(text, name), name, environ)


def composed(text: str, name: str) -> yaml.Node | None:
    """The nodes of `text`, which know the file's name. Raises `ConfigError` when it is no YAML."""
    try:
        return compose(text, name)
    except RecursionError:
        raise _too_deep(name) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{name}: 1 problem\n  {where}no valid YAML: {_describe(error)}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{name}: 1 problem\n  no valid YAML: it holds characters that YAML does not allow") from None


def built(node: yaml.Node | None, name: str, environ: Mapping[str, str]) -> Document:
    """The document of `node`, whose parts may come from other files than `name`."""
    document = Document(name, environ=environ)
    try:
        if node is not None:
            document.environ = {**environ, **_environment(node, name, environ)}
            document.data = _Reader(document, document.environ).value(node, (), ())
    except RecursionError:
        raise _too_deep(name) from None
    return document


def _too_deep(name: str) -> ConfigError:
    return ConfigError(f"{name}: 1 problem\n  no valid YAML: it is nested too deeply")


def _environment(node: yaml.Node, name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The file's own environment variables. One that is to be another's value is not there where that is not set."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    block = next((value for key, value in pairs if key.value == _ENVIRONMENT), None)
    if not isinstance(block, yaml.MappingNode):
        return {}
    apart = Document(name)
    found = _Reader(apart, environ).value(block, (_ENVIRONMENT,), ())
    return {
        key: str(value)
        for key, value in found.items()
        if isinstance(value, str | int | float) and (value != "" or (_ENVIRONMENT, key) not in apart.variables)
    }


def compose(text: str, name: str) -> yaml.Node | None:
    """The nodes of `text`, which know where they begin and end. Raises `yaml.YAMLError` and `RecursionError`."""
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _describe(error: yaml.MarkedYAMLError) -> str:
    """The parser's words without the words of the file."""
    if isinstance(error, yaml.composer.ComposerError):
        return "an alias (*name) without its anchor (&name); put a value that begins with * or & in quotes"
    return _QUOTED_WORD.sub("'...'", error.problem or "cannot be parsed")


class _Reader:
    """Builds plain values out of nodes and notes in the document where each came from."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ

    def value(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> Any:
        self._document.lines[place] = node.start_mark.line + 1
        if node.start_mark.name != self._document.name:
            self._document.files[place] = node.start_mark.name
        if any(node is one for one in above):
            self._document.problem(place, "an alias that contains itself")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, i), (*above, node)) for i, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                merged = self._merged(value_node, place, above) | merged
            elif not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, place, "a key must be text; put {{name}} in quotes")
            elif key_node.value in first:
                here = (*place, key_node.value)
                self._add(key_node, here, f"stands twice; the first is on line {first[key_node.value]}")
            else:
                first[key_node.value] = line
                found[key_node.value] = self.value(value_node, (*place, key_node.value), above)
                self._document.lines[(*place, key_node.value)] = line
        return merged | found

    def _add(self, node: yaml.Node, place: Place, message: str) -> None:
        """A problem on the line of `node`."""
        mark = node.start_mark
        file = mark.name if mark.name != self._document.name else ""
        self._document.problems.append(Problem(place, mark.line + 1, message, file))

    def _merged(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        """What `<<` brings in: one mapping, or a list of which the earlier ones win."""
        line = self._document.lines[place]
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for part in parts:
            value = self.value(part, place, above)
            if isinstance(value, dict):
                result = value | result
            else:
                self._document.problem((*place, "<<"), "should be a mapping or a list of mappings")
        self._document.lines[place] = line
        return result

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        if tag == "str":
            return self._filled(node.value, place)
        if tag not in _SCALARS:
            self._document.problem(place, "has a YAML tag; put a value that begins with ! in quotes")
            return None
        try:
            return _SCALARS[tag](node.value)
        except ValueError:
            self._document.problem(place, f"is marked as !!{tag} but is none")
            return None

    def _filled(self, text: str, place: Place) -> str:
        """`text` with its references replaced; notes the variables used."""
        names: list[str] = []
        whole = _LITELLM_REFERENCE.fullmatch(text)
        if whole:
            names.append(whole["name"])
            filled = self._variable(whole["name"], None, place)
        else:

            def replace(match: re.Match[str]) -> str:
                if match["escape"]:
                    return match[0][1:]
                names.append(match["name"])
                return self._variable(match["name"], match["default"] if match["fallback"] else None, place)

            filled = _REFERENCE.sub(replace, text)
        if names:
            self._document.variables[place] = tuple(names)
        return filled

    def _variable(self, name: str, default: str | None, place: Place) -> str:
        value = self._environ.get(name, "")
        if value:
            return value
        if default is not None or place[0] == _ENVIRONMENT:
            return default or ""
        state = "is empty" if name in self._environ else "is not set"
        # a reference may hold a key that somebody pasted into it: only what looks like a variable's name is repeated
        if not VARIABLE.fullmatch(name):
            self._document.problem(place, f"the environment variable named here {state}")
        else:
            fix = f"export {name}=..., or write ${{{name}:-}} to do without it"
            self._document.problem(place, f"the environment variable {name} {state}: {fix}")
        return ""
