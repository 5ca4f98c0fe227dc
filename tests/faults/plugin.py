"""pytest's side of the catalogue: the mark `fault`, the fixture `figure`, and the results of a whole run.

What must stay true: a mark names an entry of the catalogue, every test of this folder has one, and only a run with
`FAULTS=full` (which `make faults` is) or `FAULTS=short` touches docs/reliability.json.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import document
from tests.faults.catalogue import CATALOGUE

FORM = os.environ.get("FAULTS", "")
"""Which forms are kept for the page: `full`, the long ones, or `short`."""

FULL = FORM == "full"

Figure = Callable[[str, str], None]

found = pytest.StashKey[defaultdict[str, dict[str, Any]]]()


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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(*ids): covers these entries of tests/faults/catalogue.py")
    config.stash[found] = defaultdict(lambda: {"passed": 0, "failed": 0, "skipped": 0, "figures": {}, "reasons": []})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        ids = [one for mark in item.iter_markers("fault") for one in mark.args]
        if unknown := [one for one in ids if one not in CATALOGUE]:
            raise pytest.UsageError(f"{item.nodeid}: {unknown} is not in the catalogue of faults")
        if not ids and item.path.parent.name == "faults" and item.path.name != "test_document.py":
            raise pytest.UsageError(f"{item.nodeid}: say which fault it is, with pytest.mark.fault")
        item.user_properties.append(("faults", tuple(dict.fromkeys(ids))))


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
    if FORM and session.config.stash[found]:
        document.keep(FORM, dict(session.config.stash[found].items()))
