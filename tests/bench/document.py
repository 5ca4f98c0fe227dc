from __future__ import annotations
from tests.bench.report import Report


def write(report: Report) -> None: ...
