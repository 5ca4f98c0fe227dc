"""Fixtures that more than one room uses, and the count of the provider matrix at the end of a run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.upstreams.fleet import MODELS, Fleet

# How long an example takes is the machine's: speed is measured, and never asserted.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def _fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


@pytest.fixture
def fleet(_fleet: Fleet) -> Fleet:
    """The twelve loopback vendors, with nothing received and nothing scripted."""
    _fleet.reset()
    return _fleet


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Cells are vendors times rows; a row is one situation, whole or streamed, and passes when all its vendors do."""
    rows: dict[str, list[bool]] = defaultdict(list)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            path, _, test = report.nodeid.partition("::")
            name, _, parameters = test.removesuffix("]").partition("[")
            vendor, _, row = parameters.partition("-")
            if path.endswith("providers/test_matrix.py") and vendor in MODELS and report.when == "call":
                rows[f"{name}[{row}]"].append(outcome == "passed")
    if rows:
        cells = [passed for row in rows.values() for passed in row]
        whole = sum(all(row) for row in rows.values())
        terminalreporter.write_line(
            f"provider matrix: {sum(cells)} of {len(cells)} cells pass ({len(MODELS)} vendors), "
            f"{whole} of {len(rows)} rows pass for every vendor"
        )


@pytest.fixture
def utc() -> Iterator[None]:
    """A machine that is in Greenwich: tables tell times of its own zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
