"""`make bench`: starts everything, measures, prints one table, writes JSON, and leaves nothing running."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import peer, start, subject
from tests.bench.measure import Figure, Measurement, say
from tests.bench.process import resident
from tests.bench.server import ROOT, BenchError, Server, interruptible
from tests.bench.subject import CASES
from tests.bench.table import OURS, THEIRS, Memory, Report

FOLDER = ROOT / ".bench"
START = "start"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what is measured, how often, and the folder of its configs, logs and data."""

    folder: Path
    rounds: int
    seconds: float
    cases: Sequence[str]
    peer: Path | None
    """The `bin` folder of LiteLLM's environment; None without it."""

    def report(self, remarks: list[str]) -> Report:
        figures: list[Figure] = []
        memory: dict[str, Memory] = {}
        starts: dict[str, start.Start] = {}
        with subject.upstream(self.folder) as upstream:
            upstream.wait(10)
            if START in self.cases:
                starts = self._starts(upstream)
            cases = [case for case in CASES if case in self.cases]
            if cases:
                figures, memory = self._load(upstream, cases, remarks)
        return Report(figures, starts, memory, remarks)

    def _load(self, upstream: Server, cases: list[str], remarks: list[str]) -> tuple[list[Figure], dict[str, Memory]]:
        with ExitStack() as stack:
            gateway = stack.enter_context(subject.gateway_server(self.folder, upstream.port))
            subjects = [subject.direct(upstream), subject.gateway(gateway)]
            if self.peer:
                litellm = stack.enter_context(subject.litellm_server(self.folder, upstream.port, self.peer))
                subjects.append(subject.litellm(litellm))
            ready = {one.name: resident(one.server.wait().pid) / 1e6 for one in subjects}
            measurement = Measurement(upstream, subjects, seconds=self.seconds)
            hits = ", ".join(f"{one.name} {one.distinct}" for one in subjects[1:])
            remarks.append(f"Distinct bodies of the hits: {hits}.")
            for number in range(self.rounds):
                say(f"round {number + 1} of {self.rounds}")
                measurement.round(cases)
            memory = {
                one.name: Memory(ready[one.name], resident(one.server.pid) / 1e6, measurement.answered[one.name])
                for one in subjects
            }
        rows, answered = _rows(self.folder / "data/traces.db"), measurement.answered[OURS]
        if rows != answered:
            raise gateway.broken(f"has {rows} rows in its log for {answered} completions")
        remarks.append(f"The gateway's log: {rows:,} rows for {answered:,} completions, committed before the answers.")
        return measurement.figures(), memory

    def _starts(self, upstream: Server) -> dict[str, start.Start]:
        folder = self.folder / "start"
        folder.mkdir()
        say("starts")
        times = max(1, self.rounds)
        starts = {OURS: start.loading(lambda: subject.gateway_server(folder, upstream.port), subject.gateway, times)}
        if self.peer:
            bin = self.peer
            starts[THEIRS] = start.plain(lambda: subject.litellm_server(folder, upstream.port, bin), min(2, times))
        return starts


def _rows(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])


def _install(remarks: list[str]) -> Path | None:
    FOLDER.mkdir(exist_ok=True)
    say("LiteLLM's environment (made once, in .bench/litellm)")
    try:
        bin, version = peer.install(FOLDER / "litellm")
    except peer.Unavailable as error:
        remarks.append(f"Without the LiteLLM proxy: {error}")
        return None
    remarks.append(f"LiteLLM proxy {version}, one worker, its cache in memory, no database, no logging.")
    return bin


def _machine() -> str:
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    litellm, load = importlib.metadata.version("litellm"), os.getloadavg()[0]
    python = platform.python_version()
    return f"{os.cpu_count()} x {cpu}, load {load:.1f} before; Python {python}; the gateway calls LiteLLM {litellm}."


def _write(path: Path, report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = asdict(report) | {"targets": [asdict(target) for target in report.targets()]}
    path.write_text(json.dumps(value, indent=1) + "\n")


def _cases(text: str) -> list[str]:
    known = (*CASES, START)
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    return names


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: is everything in order?")
    parser.add_argument("--only", type=_cases, default=[*CASES, START], help="of hit,miss,stream,start; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of which the medians are taken")
    parser.add_argument("--seconds", type=float, default=1.5, help="of load for each figure and round")
    parser.add_argument("--json", type=Path, default=FOLDER / "latest.json", help="where the figures are written")
    parser.add_argument("--without-litellm", action="store_true", help="this gateway alone")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    interruptible()
    remarks = [_machine()]
    folder: Path | None = None
    try:
        bin = None if arguments.without_litellm else _install(remarks)
        FOLDER.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER))
        rounds, seconds = (1, 0.5) if arguments.quick else (arguments.rounds, arguments.seconds)
        report = Run(folder, rounds, seconds, arguments.only, bin).report(remarks)
    except BenchError as error:
        say(f"nothing was measured: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    _write(arguments.json, report)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
