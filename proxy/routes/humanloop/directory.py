"""The projects there are: those of the config, and every name or id that something was logged under.

A completion may name its project by an id alone, which it keeps. That id is then of the config's project, else of the
one that was logged to by a name, else it is all there is to call the project by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from proxy import timestamps
from proxy.config import Config
from proxy.config.project import Project
from proxy.errors import BadRequest, NotFound
from proxy.ids import derived_id
from proxy.protocols import ProjectUse, TraceLog
from proxy.record import Record

DEFAULT_PROJECT = "default"
"""The project of what names none."""


@dataclass(slots=True, frozen=True)
class Entry:
    """One project: what the config has deployed in it, if it is in the config, and what the log knows of it."""

    id: str
    name: str
    use: ProjectUse
    project: Project | None = None

    @property
    def updated_at(self) -> str:
        return self.use.last_used or self.use.created_at


class Directory:
    """Projects by id and by name. A project's id is the config's, else it follows from the name."""

    def __init__(self, config: Config, log: TraceLog) -> None:
        self._projects = config.projects
        self._log = log
        self._names = {project.id: name for name, project in config.projects.items()}
        self._nameless: set[str] = set()
        # What is only in the config has no time of its own; it has been there since it was read.
        read = timestamps.text(datetime.now(UTC))
        self._unused = {name: ProjectUse(name, read, None, 0) for name in config.projects}

    def id_of(self, name: str) -> str:
        """The id of the project called `name`."""
        project = self._projects.get(name)
        if project is not None:
            return project.id
        return name if name in self._nameless else derived_id("pr", name)

    async def of(self, record: Record) -> tuple[str, str]:
        """(name, id) of the project of a row."""
        if record.project_name:
            return record.project_name, self.id_of(record.project_name)
        if not record.project_uuid:
            return DEFAULT_PROJECT, self.id_of(DEFAULT_PROJECT)
        if record.project_uuid not in self._names:
            await self.entries()
        name = self._names.get(record.project_uuid, record.project_uuid)
        return name, self.id_of(name)

    async def entries(self) -> list[Entry]:
        """Every project, by name."""
        found = await self._log.projects()
        self._nameless = {use.name for use in found if use.uuid == use.name and use.name not in self._projects}
        named = [*self._projects, *(use.name for use in found if use.name not in self._nameless)]
        # An id that is some project's is no project of its own.
        names = {name: name for name in self._nameless} | {self.id_of(name): name for name in named}
        uses: dict[str, ProjectUse] = {}
        for use in found:
            name = names[self.id_of(use.name)]
            uses[name] = _together(uses[name], use) if name in uses else replace(use, name=name)
        uses = {**self._unused, **uses}
        self._names.update(names | {use.uuid: names[self.id_of(use.name)] for use in found if use.uuid})
        return [Entry(self.id_of(name), name, uses[name], self._projects.get(name)) for name in sorted(uses)]

    async def entry(self, project_id: str, param: str = "id") -> Entry:
        """The project with an id. Raises `NotFound` that names `param`."""
        for entry in await self.entries():
            if entry.id == project_id:
                return entry
        raise NotFound(f"{param}: no project has this id", param=param)

    async def configured(self, project_id: str) -> Entry:
        """The same without what the log knows, which takes it long to count, if the project is in the config."""
        name = self._names.get(project_id)
        if name is None or name not in self._projects:
            return await self.entry(project_id)
        return Entry(project_id, name, self._unused[name], self._projects[name])

    async def name_of(self, project_id: str) -> str:
        """The name of the project with an id. Raises `NotFound`."""
        known = self._names.get(project_id)
        # Somebody may have given the project a name meanwhile.
        if known is None or known in self._nameless:
            return (await self.entry(project_id, "project_id")).name
        return known

    async def named(self, name: str | None, project_id: str | None) -> tuple[str, str]:
        """(name, id) of the project that a log names by either; one that is new is made.

        Raises `NotFound` for an id that is no project's, and `BadRequest` for a name and an id that do not agree.
        """
        if not name:
            return await self.name_of(project_id or ""), project_id or ""
        found = self.id_of(name)
        if project_id and project_id != found:
            raise BadRequest("project: the name and the project_id are not of one project", param="project")
        if self._names.get(found) != name:
            await self._log.project(name)
            self._names[found] = name
        return name, found


def _together(one: ProjectUse, other: ProjectUse) -> ProjectUse:
    """The use of one project that goes by a name and by an id."""
    return replace(
        one,
        created_at=min(one.created_at, other.created_at),
        last_used=max(filter(None, (one.last_used, other.last_used)), default=None),
        calls=one.calls + other.calls,
    )
