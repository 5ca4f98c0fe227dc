"""The folder of deployments: each file one, or one version of one, named by its path.

    weather.yaml, weather.md, weather.prompt    the deployment `weather`
    team/weather.prompt                         the deployment `team/weather`
    weather/v1.prompt, weather/v2.md            its versions
    weather/deployment.yaml                     which of them is used where

What must stay true: a name stands once, whichever of these says it, and a file that is not read is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.config.deployment import Kept, Settings, kind, problems
from proxy.config.document import Document, Place
from proxy.config.prompt import Prompt
from proxy.config.promptfile import FRONT, read_prompt
from proxy.config.settings import File
from proxy.config.validation import ConfigWarning, Model, checked
from proxy.errors import ConfigError

DEFAULT = "deployments"
"""The folder beside the config that is read if it is there."""

SETTINGS = "deployment.yaml"
SUFFIXES = {".yaml": ".yaml", ".yml": ".yaml", ".md": ".md", ".prompt": ".prompt"}
_NUMBER = re.compile(r"v[1-9][0-9]{0,5}")
Text = Callable[[Path], str]
"""How a file is read."""

Paths = tuple[Path, ...]
Environ = Mapping[str, str]


@dataclass(slots=True)
class Declared:
    """A deployment as it is written: what it says, the document and the place of it, and those of each version."""

    name: str
    entry: Prompt | Kept
    document: Document
    place: Place
    stands: dict[str, tuple[Document, Place]]
    path: Path | None = None

    @property
    def where(self) -> dict[str, str]:
        """The file of each version, for people."""
        return {number: document.file(place) or document.name for number, (document, place) in self.stands.items()}


@dataclass(slots=True)
class Folder:
    """What a folder holds. `files` are the folders and the files that were read or looked for, `documents` what the
    files say.
    """

    declared: list[Declared] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    warnings: list[ConfigWarning] = field(default_factory=list)


def gather(main: Document, file: File, path: Path | None, text: Text, more: Paths, environ: Environ) -> Folder:
    """Every deployment of the config at `path`, those of its block first, with what is wrong noted in the documents."""
    block = [
        declared(name, entry, main, ("deployments", name), _stands(main, name, path))
        for name, entry in file.deployments.items()
    ]
    folder = _folder(main, file.deployments_folder, path)
    if folder is not None and (folder.is_dir() or any(folder in one.parents for one in more)):
        found = read_folder(folder, more, text, environ)
    else:
        found = Folder(files=[folder] if folder is not None else [])  # it may come to be there
    for one in found.declared:
        if one.name in file.deployments:
            main.problem(("deployments", one.name), f"stands in {one.document.name}, too")
    found.declared = [*block, *found.declared]
    for one in found.declared:
        for place, message in problems(one.entry):
            if place[0] == "versions":
                document, where = one.stands[place[1]]
                document.problem((*where, *place[2:]), message)
            else:
                one.document.problem((*one.place, *place), message)
    return found


def _stands(main: Document, name: str, path: Path | None) -> Path | None:
    """The file that an entry of the block stands in: the config, or one that it includes."""
    included = main.file(("deployments", name))
    return Path(included) if included else path


def _folder(main: Document, given: str | None, path: Path | None) -> Path | None:
    """The folder to read, if it is there: the one that the config names, from where the config is, or the default."""
    if path is None or given == "":
        return None
    folder = path.parent / (given or DEFAULT)
    if given is not None and not folder.is_dir():
        main.problem(("deployments_folder",), "no such folder (it is looked for from where the config file is)")
    return folder


def declared(name: str, entry: Prompt | Kept, document: Document, place: Place, path: Path | None) -> Declared:
    """A deployment that stands in one place, with all its versions."""
    if isinstance(entry, Prompt):
        return Declared(name, entry, document, place, {"v1": (document, place)}, path)
    stands = {number: (document, (*place, "versions", number)) for number in entry.versions}
    return Declared(name, entry, document, place, stands, path)


def read_folder(folder: Path, more: Paths, text: Text, environ: Environ) -> Folder:
    """The deployments in `folder`, in the order of their names; `more` are files to read that may not be there yet.

    Raises `ConfigError` for a folder or a file that cannot be read; whatever else is wrong is noted in `documents`.
    """
    return _Reading(folder, text, environ).read(more)


class _Reading:
    def __init__(self, folder: Path, text: Text, environ: Environ) -> None:
        self._folder = folder
        self._text = text
        self._environ = environ
        self._found = Folder()
        self._versions: dict[str, dict[str, tuple[Prompt | None, Document]]] = {}
        self._settings: dict[str, tuple[Settings | None, Document, Path]] = {}
        self._names: dict[str, Document] = {}

    def read(self, more: Paths) -> Folder:
        listed = self._walk()
        for path in sorted({*listed, *(one for one in more if self._folder in one.parents)}):
            if path.suffix not in SUFFIXES:
                self._unread(path, "the name should end with .yaml, .md or .prompt")
            else:
                self._file(path)
        for name in sorted({*self._versions, *self._settings}):
            self._kept(name)
        self._found.declared.sort(key=lambda one: one.name)
        return self._found

    def _walk(self) -> list[Path]:
        """The files below the folder, links followed. What begins with a dot is nobody's deployment."""

        def fail(error: OSError) -> None:
            raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from None

        found: list[Path] = []
        seen: set[str] = set()
        if not self._folder.is_dir():
            return found  # what is to be in it may be asked for before it is made
        for folder, folders, files in os.walk(self._folder, onerror=fail, followlinks=True):
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()  # a link to where we have been
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            self._found.files.append(Path(folder))
            found += [Path(folder, name) for name in files if not name.startswith(".") and not name.endswith("~")]
        return found

    def _file(self, path: Path) -> None:
        text, suffix = self._text(path), SUFFIXES[path.suffix]
        if suffix == ".md" and not FRONT.match(text.removeprefix("\ufeff")):
            self._unread(path, "it has no front matter, the deployment's keys between two lines of ---")
            return
        document = read_prompt(text, str(path), suffix, self._environ)
        self._found.files.append(path)
        self._found.documents.append(document)
        if document.data is None:
            document.data = {}
        above = path.parent.relative_to(self._folder).as_posix()
        if path.name == SETTINGS:
            self._settings[above] = self._checked(document, Settings), document, path
        elif _NUMBER.fullmatch(path.stem):
            self._version(above, path.stem, document)
        else:
            name = path.relative_to(self._folder).with_suffix("").as_posix()
            self._name(name, document)
            kept = kind(document.data) == "Kept"
            entry = self._checked(document, Kept) if kept else self._checked(document, Prompt)
            if entry is not None:
                self._found.declared.append(declared(name, entry, document, (), path))

    def _checked(self, document: Document, block: type[Model]) -> Model | None:
        return None if document.problems else checked(document, block)

    def _version(self, name: str, number: str, document: Document) -> None:
        kept = self._versions.setdefault(name, {})
        if number in kept:
            document.problem((), f"is version {number}, which stands in {kept[number][1].name}, too")
        kept[number] = self._checked(document, Prompt), document

    def _name(self, name: str, document: Document) -> None:
        if name in self._names:
            document.problem((), f"is deployment {name!r}, which stands in {self._names[name].name}, too")
        self._names.setdefault(name, document)

    def _kept(self, name: str) -> None:
        """The deployment whose versions are files of one folder."""
        path = self._folder / name / SETTINGS
        settings, document, _ = self._settings.get(name) or (Settings(), Document(str(path), {}, lines={(): 1}), path)
        versions = self._versions.get(name)
        first = document if name in self._settings or not versions else next(iter(versions.values()))[1]
        if name == ".":
            first.problem((), "stands in no folder of its own, whose name would be the deployment's")
        elif not versions:
            first.problem((), "stands beside no version: v1.yaml, v1.md or v1.prompt")
        else:
            self._name(name, first)
        prompts = {number: prompt for number, (prompt, _) in (versions or {}).items() if prompt is not None}
        if settings is None or versions is None or len(prompts) < len(versions) or first.problems:
            return
        entry = Kept(versions=prompts, **{key: getattr(settings, key) for key in Settings.model_fields})
        stands: dict[str, tuple[Document, Place]] = {number: (one, ()) for number, (_, one) in versions.items()}
        if name not in self._settings:
            self._found.documents.append(document)
        self._found.declared.append(Declared(name, entry, document, (), stands, path))

    def _unread(self, path: Path, why: str) -> None:
        self._found.warnings.append(ConfigWarning(str(path), f"is not read: {why}", 1))
