"""pytest's side of the catalogue: the mark `fault`, the fixture `figure`, and the results of a whole run.

What must stay true: a mark names an entry of the catalogue, every test of this folder has one, and only a run with
`FAULTS=full` (which `make faults` is) or `FAULTS=short` touches docs/reliability.json, and there only the entries all
of whose tests it ran: a part of an entry's tests says nothing of the entry.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults import document
from tests.faults.catalogue import CATALOGUE

FORM = os.environ.get("FAULTS", "")
"""Which forms are kept for the page: `full`, the long ones, or `short`."""

FULL = FORM == "full"

Figure = Callable[[str, str], None]

found = pytest.StashKey[defaultdict[str, dict[str, Any]]]()
apart = pytest.StashKey[set[str]]()
"""The entries of which some tests are not run."""


@pytest.fixture
def full() -> bool:
    """Whether this is the long form of a test: more rounds, larger bombs, longer waits."""
    return FULL


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Notes for the page what was measured: `figure("acknowledged rows lost", "0 of 20,118")`."""

    def note(what: str, measured: str) -> None:
        request.node.user_properties.append(("figure", (what, measured)))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault", action="append", default=[], metavar="ID", help="only the tests of this entry")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(*ids): covers these entries of tests/faults/catalogue.py")
    config.stash[found] = defaultdict(lambda: {"passed": 0, "failed": 0, "skipped": 0, "figures": {}, "reasons": []})
    config.stash[apart] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        ids = _marked(item)
        if unknown := [one for one in ids if one not in CATALOGUE]:
            raise pytest.UsageError(f"{item.nodeid}: {unknown} is not in the catalogue of faults")
        if not ids and item.path.parent.name == "faults" and item.path.name != "test_document.py":
            raise pytest.UsageError(f"{item.nodeid}: say which fault it is, with pytest.mark.fault")
        item.user_properties.append(("faults", tuple(dict.fromkeys(ids))))
    if asked := set(config.getoption("--fault")):
        if unknown := sorted(asked - CATALOGUE.keys()):
            raise pytest.UsageError(f"--fault: {unknown} is not in the catalogue of faults")
        others = [item for item in items if asked.isdisjoint(_marked(item))]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if not asked.isdisjoint(_marked(item))]


def _marked(item: pytest.Item) -> list[str]:
    return [one for mark in item.iter_markers("fault") for one in mark.args]


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[apart].update(_marked(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report: pytest.TestReport = yield
    properties = item.user_properties
    for one in [one for name, ids in properties if name == "faults" and isinstance(ids, tuple) for one in ids]:
        entry = item.config.stash[found][one]
        if report.when == "call" or report.outcome != "passed":
            entry[report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            entry["reasons"] = sorted({*entry["reasons"], reason})
        if report.when == "call":
            entry["figures"].update(value for name, value in properties if name == "figure")
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    results, part = session.config.stash[found], session.config.stash[apart]
    if session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS or session.shouldstop or session.shouldfail:
        part.update(results)
    if FORM and (whole := {one: result for one, result in results.items() if one not in part}):
        document.keep(FORM, whole)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results, part = config.stash[found], config.stash[apart]
    if FORM and (part := results.keys() & part):
        terminalreporter.write_line(f"not on the page, since only a part of their tests ran: {', '.join(sorted(part))}")
