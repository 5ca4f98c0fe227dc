"""Rows as Humanloop's datapoints, for an export: the same translation as the routes', with its projects by name."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import TYPE_CHECKING, cast

from proxy.config import load
from proxy.dialects.archive import completed
from proxy.routes.humanloop.archive import Archive
from proxy.routes.humanloop.directory import Directory
from proxy.routes.humanloop.log_response import to_log
from proxy.terminal import line

if TYPE_CHECKING:
    from proxy.commands.log.choice import Choice
    from proxy.protocols import ProjectUse, TraceLog
    from proxy.record import Record
    from proxy.stores.reader import Reader


class _Projects:
    """As much of a log as a directory asks."""

    def __init__(self, log: Reader) -> None:
        self._log = log

    async def projects(self) -> list[ProjectUse]:
        return self._log.projects()


class Datapoints:
    """Makes lines of rows; each waits for nothing but the log's own file."""

    def __init__(self, choice: Choice) -> None:
        self._config = load(choice.config, os.environ)
        self._directory = Directory(self._config, cast("TraceLog", _Projects(choice.reader())))
        self._runner = asyncio.Runner()

    def __enter__(self) -> Datapoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._runner.close()

    def line(self, record: Record) -> str:
        """A datapoint in one line."""
        shown = self._runner.run(to_log(record, self._config, self._directory))
        # An archive remembers what it has read.
        return line(completed(shown, record, Archive(self._config).records)) + "\n"
