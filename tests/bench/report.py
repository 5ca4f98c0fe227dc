"""Everything one run has measured, as it is written to JSON and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.failover import Failover
from tests.bench.growth import Growth
from tests.bench.instructions import Instructions
from tests.bench.log import Log, Question
from tests.bench.measure import Figure
from tests.bench.retention import Retention, Waited
from tests.bench.scale import Scale
from tests.bench.start import Start

UPSTREAM, ECHO, NGINX = "upstream", "uvicorn echo", "nginx"
GATEWAY, OPENAI, WORKERS = "gateway", "gateway, OpenAI", "gateway, 2 workers"
OURS = (GATEWAY, OPENAI)
"""This gateway with one worker, asked by Parea's client and in OpenAI's words: every target holds for both."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MB once ready and after all the load, and how many completions that was."""

    ready: float
    loaded: float
    completions: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `versions` are those of the subjects, `about` says how each is run; `skipped` why one is missing."""

    made: str
    """The day, in UTC."""
    machine: str
    rounds: int
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    starts: Mapping[str, Start] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    growth: Growth | None = None
    scale: Sequence[Scale] = ()
    log: Log | None = None
    failover: Sequence[Failover] = ()
    counted: Instructions | None = None
    kept: Instructions | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def figure(self, case: str, connections: int, subject: str) -> Figure | None:
        for figure in self.figures:
            if (figure.case, figure.connections, figure.subject) == (case, connections, subject):
                return figure
        return None

    def of(self, case: str, subject: str) -> list[Figure]:
        """The figures of a case, by concurrency."""
        return [figure for figure in self.figures if (figure.case, figure.subject) == (case, subject)]

    def subjects(self, case: str) -> list[str]:
        return list(dict.fromkeys(figure.subject for figure in self.figures if figure.case == case))


def write(path: Path, report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(asdict(report)), indent=1) + "\n")


def read(path: Path) -> Report:
    """The report that `write` has written there."""
    value = json.loads(path.read_text())
    growth = value.pop("growth")
    return Report(
        figures=[Figure(**one) for one in value.pop("figures")],
        starts={name: Start(**one) for name, one in value.pop("starts").items()},
        memory={name: Memory(**one) for name, one in value.pop("memory").items()},
        growth=growth and Growth(growth["ready"], tuple((count, size) for count, size in growth["after"])),
        scale=[Scale(**one) for one in value.pop("scale")],
        log=_log(value.pop("log", None)),
        failover=[Failover(**one) for one in value.pop("failover", ())],
        counted=_instructions(value.pop("counted")),
        kept=_instructions(value.pop("kept")),
        **value,
    )


def _log(value: dict[str, Any] | None) -> Log | None:
    if not value:
        return None
    value["sizes"] = [(turns, size) for turns, size in value["sizes"]]
    value["questions"] = [Question(**one) for one in value["questions"]]
    if kept := value.pop("retention", None):
        value["retention"] = Retention(kept["removed"], [Waited(**one) for one in kept["waited"]])
    return Log(**value)


def _instructions(value: dict[str, Any] | None) -> Instructions | None:
    return Instructions(**value) if value else None


def _rounded(value: Any) -> Any:
    """Six significant digits: more than any of it is exact to."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value
