"""`include`: the further files of a config file, merged with it as LiteLLM merges them.

A list goes on in the included file, and what is no list is the included file's own. Where both have a mapping, LiteLLM
forgets the including file's; here its keys stay, as far as the included file does not have them as well, so that no
`master_key` is lost. Files are read in the order in which they are named, those that an included file names after all
others, and none twice.
What must stay true: every value still knows the file and the line that it stands on, and no file includes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from proxy.config.document import Document, built, composed
from proxy.errors import ConfigError

_INCLUDE = "include"

Text = Callable[[Path], str]
"""How a file is read."""

_Above = tuple[Path, ...]
"""The files that led to one: the main file first."""


def read_file(path: Path, environ: Mapping[str, str], text: Text) -> tuple[Document, tuple[Path, ...]]:
    """The document in the file at `path` and all that it includes, and those files. Raises `ConfigError`."""
    node = composed(text(path), str(path))
    above: _Above = (path,)
    waiting = [(name, above) for name in _included(node)]
    files = {path.resolve(): path}
    while waiting:
        name, above = waiting.pop(0)
        found = _found(name, above)
        if found.resolve() in {one.resolve() for one in above}:
            raise _refused(name, above, "includes itself")
        if found.resolve() in files:
            continue
        files[found.resolve()] = found
        more = _composed(found, name, above, text)
        waiting += [(name, (*above, found)) for name in _included(more)]
        node = _merged(node, more)
    return built(_without(node), str(path), environ), tuple(files.values())


def text_of(path: Path) -> str:
    """The text of a file. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or 'no such file'}") from None


def _included(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    """The nodes that name files. What is no name is told when the whole file is read."""
    value = next((value for key, value in _pairs(node) if key.value == _INCLUDE), None)
    named = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return [one for one in named if isinstance(one, yaml.ScalarNode) and one.value]


def _found(name: yaml.ScalarNode, above: _Above) -> Path:
    """The file of that name: beside the one that names it, or else, as LiteLLM looks for it, beside the main file."""
    beside, main = (one.parent / str(name.value) for one in (above[-1], above[0]))
    return main if main.is_file() and not beside.is_file() else beside


def _composed(path: Path, name: yaml.ScalarNode, above: _Above, text: Text) -> yaml.Node | None:
    try:
        found = text(path)
    except ConfigError as error:
        raise _refused(name, above, error.message.removeprefix(f"{path}: ")) from None
    node = composed(found, str(path))
    if not isinstance(node, yaml.MappingNode | None):
        raise _refused(name, above, "should hold a mapping (key: value)")
    return node


def _refused(name: yaml.ScalarNode, above: _Above, message: str) -> ConfigError:
    where = "" if len(above) == 1 else f"{above[-1]}, "
    line = name.start_mark.line + 1
    return ConfigError(f"{above[0]}: 1 problem\n  {where}line {line}: {_INCLUDE}: {name.value} {message}")


def _merged(node: yaml.Node | None, more: yaml.Node | None) -> yaml.Node | None:
    """`node` with the blocks of `more`."""
    if not _pairs(node):
        return more if node is None or isinstance(node, yaml.MappingNode) else node
    theirs = [(key, value) for key, value in _pairs(more) if key.value != _INCLUDE]
    pairs = []
    for key, value in _pairs(node):
        same = next((pair for pair in theirs if pair[0].value == key.value), None)
        pairs.append((key, value if same is None else _joined(value, same[1])))
        theirs = [pair for pair in theirs if pair is not same]
    return _like(node, [*pairs, *theirs])


def _joined(value: yaml.Node, other: yaml.Node) -> yaml.Node:
    """One block of two files."""
    if isinstance(value, yaml.SequenceNode) and isinstance(other, yaml.SequenceNode):
        return _like(value, [*value.value, *other.value])
    if isinstance(value, yaml.MappingNode) and isinstance(other, yaml.MappingNode):
        said = [key.value for key, _ in other.value]
        return _like(value, [*((key, one) for key, one in value.value if key.value not in said), *other.value])
    return other


def _without(node: yaml.Node | None) -> yaml.Node | None:
    """`node` without the names of the files, all of which are read."""
    if not isinstance(node, yaml.MappingNode):
        return node
    return _like(node, [(key, value) for key, value in node.value if key.value != _INCLUDE or not _names(value)])


def _names(value: yaml.Node) -> bool:
    named = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return all(isinstance(one, yaml.ScalarNode) for one in named)


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _like(node: yaml.Node | None, value: list[object]) -> yaml.Node:
    assert isinstance(node, yaml.CollectionNode)
    return type(node)(node.tag, value, node.start_mark, node.end_mark)
