"""One run of the benchmark: starts everything, measures, and leaves nothing running."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from proxy import __version__
from tests.bench import failover, growth, instructions, log, native, scale, start, subject
from tests.bench.environment import Environment, Unavailable
from tests.bench.measure import CASES, Case, Figure, Measurement, say
from tests.bench.peer import Peer
from tests.bench.process import resident
from tests.bench.report import ECHO, GATEWAY, OPENAI, OURS, UPSTREAM, WORKERS, Memory, Report
from tests.bench.server import BenchError, Server
from tests.bench.subject import Subject

GROUPS = ("hit", "miss", "stream", "workers", "start", "scale", "log", "failover", "instructions")

STARTING = 60.0
"""Seconds in which a peer must be up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often, how long, and how much of it."""

    groups: Sequence[str]
    peers: Sequence[Peer]
    rounds: int = 3
    seconds: float = 1.5
    answers: int = 10_000
    """Distinct cached answers."""
    requests: int = 200_000
    """Over which the growth of memory is watched, for `patience` seconds at most."""
    patience: float = 90.0
    many: int = scale.MANY
    rows: int = scale.MANY
    """Of the log that is asked."""


@dataclass(slots=True)
class Run:
    """A plan under way, in a folder of its own for configs, logs and data."""

    plan: Plan
    folder: Path
    remarks: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    installed: list[tuple[Peer, Environment]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    starts: dict[str, start.Start] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)

    def report(self) -> Report:
        plan, wanted = self.plan, set(self.plan.groups)
        machine = describe()
        counted = self._count() if "instructions" in wanted else None
        if wanted & {"hit", "miss", "stream", "start", "failover"}:
            self._install(only="LiteLLM" if wanted <= {"failover", "scale", "log", "instructions"} else None)
        grown, scales, failovers = None, [], []
        logged = log.measure(self.folder / "log", plan.rows) if "log" in wanted else None
        if wanted == {"log"}:
            return Report(f"{datetime.now(UTC):%Y-%m-%d}", machine, 1, 0.0, versions=self._versions(), log=logged)
        with subject.upstream(self.folder) as upstream:
            upstream.wait(10)
            if native.compiled("upstream") is None or native.compiled("generator") is None:
                self.remarks.append(native.WITHOUT)
            if "start" in wanted:
                self._start(upstream)
            if cases := [case for case in CASES if self._wanted(case)]:
                self._load(upstream, cases)
            if "start" in wanted:
                grown = self._grow(upstream)
            if "scale" in wanted:
                say("scale")
                seconds = min(1.0, plan.seconds)
                scales = scale.measure(self.folder / "scale", upstream, plan.rounds, seconds, plan.many)
        if "failover" in wanted:
            say("failover")
            environment = next((env for peer, env in self.installed if peer.name == "LiteLLM"), None)
            failovers = failover.measure(self.folder / "failover", environment, 8 * plan.seconds)
        about = {peer.name: peer.remark for peer, _ in self.installed}
        return Report(
            made=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine, rounds=plan.rounds, seconds=plan.seconds,
            versions=self._versions(), about=about, figures=self.figures, starts=self.starts, memory=self.memory,
            growth=grown, scale=scales, log=logged, failover=failovers, counted=counted, kept=instructions.kept(),
            skipped=self.skipped, remarks=self.remarks,
        )  # fmt: skip

    def _wanted(self, case: Case) -> bool:
        groups = self.plan.groups
        return case.group in groups or ("workers" in groups and case.name in ("hit", "miss"))

    def _count(self) -> instructions.Instructions | None:
        say("instructions")
        try:
            return instructions.count()
        except instructions.Uncounted as error:
            self.skipped["instructions"] = str(error)
            return None

    def _install(self, only: str | None) -> None:
        for peer in (peer for peer in self.plan.peers if only in (None, peer.name)):
            say(f"{peer.name}: its environment, made once, in .bench")
            try:
                self.installed.append((peer, peer.install()))
            except Unavailable as error:
                self.skipped[peer.name] = str(error)

    def _versions(self) -> dict[str, str]:
        ours = {"gateway": __version__, "LiteLLM in the gateway": importlib.metadata.version("litellm")}
        echo = {ECHO: importlib.metadata.version("uvicorn")}
        return ours | echo | {peer.name: env.version for peer, env in self.installed}

    def _own(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, upstream: Server) -> None:
        say("starts")
        times, folder = self.plan.rounds, self._own("start")
        self.starts[GATEWAY] = start.loading(
            lambda: subject.gateway_server(folder, upstream.port), subject.gateway, times
        )  # fmt: skip
        for peer, env in self.installed:
            where = self._own(f"start-{peer.name}")

            def make(peer: Peer = peer, env: Environment = env, where: Path = where) -> Server:
                return peer.serve(where, upstream.port, env)

            def asked(server: Server, peer: Peer = peer) -> Subject:
                peer.prepare(server)
                return peer.subject(server, upstream.port)

            try:
                self.starts[peer.name] = start.plain(make, asked, min(2, times))
            except BenchError as error:
                self.skipped[f"{peer.name}, start"] = error.short

    def _load(self, upstream: Server, cases: list[Case]) -> None:
        with ExitStack() as stack:
            subjects = [subject.direct(upstream), *self._ours(stack, upstream)]
            subjects += self._peers(stack, upstream)
            ready = {one.name: resident(one.server.wait().pid) / 1e6 for one in subjects}
            own = (UPSTREAM, ECHO, WORKERS, *OURS)
            measurement = Measurement(
                upstream, subjects, seconds=self.plan.seconds, most=self.plan.answers, own=own
            )  # fmt: skip
            for number in range(self.plan.rounds):
                say(f"round {number + 1} of {self.plan.rounds}")
                measurement.round(cases)
            answered = dict(measurement.answered)
            answered[GATEWAY] += answered.get(OPENAI, 0)
            for one in subjects:
                if one.name not in (UPSTREAM, OPENAI):
                    size = resident(one.server.pid) / 1e6
                    self.memory[one.name] = Memory(ready[one.name], size, answered.get(one.name, 0))
        self.figures, self.skipped = measurement.figures(), self.skipped | measurement.skipped
        self._check_rows("one", answered[GATEWAY])
        if WORKERS in answered:
            self._check_rows("two", answered[WORKERS])
        spread = ", ".join(f"{one.name} {measurement.distinct(one):,}" for one in subjects if one.distinct and one.asks)
        self.remarks.append(f"Distinct cached answers that the hits are spread over: {spread}.")

    def _ours(self, stack: ExitStack, upstream: Server) -> list[Subject]:
        one = stack.enter_context(subject.gateway_server(self._own("one"), upstream.port))
        if set(self.plan.groups) & {"hit", "miss", "stream"}:
            echo = stack.enter_context(subject.echo_server(self.folder))
            subjects = [subject.echo(echo), subject.gateway(one), subject.gateway_openai(one)]
        else:
            subjects = [subject.gateway(one)]
        if "workers" in self.plan.groups:
            server = subject.gateway_server(self._own("two"), upstream.port, workers=2)
            two = subject.gateway(stack.enter_context(server), WORKERS)
            asks = {case: two.asks[case] for case in ("hit", "miss")}
            subjects.append(Subject(WORKERS, two.server, asks, two.distinct))
        return subjects

    def _peers(self, stack: ExitStack, upstream: Server) -> list[Subject]:
        """Those that come up and answer. All start at once."""
        started = []
        for peer, env in self.installed:
            server = peer.serve(self._own(peer.name), upstream.port, env)
            started.append((peer, stack.enter_context(server)))
        subjects = []
        for peer, server in started:
            say(f"waiting for {peer.name}")
            try:
                server.wait(STARTING)
                peer.prepare(server)
            except BenchError as error:
                self.skipped[peer.name] = error.short
                server.stop()
                continue
            subjects.append(peer.subject(server, upstream.port))
        return subjects

    def _check_rows(self, folder: str, answered: int) -> None:
        with closing(
            sqlite3.connect(f"file:{self.folder / folder / 'data/traces.db'}?mode=ro", uri=True)
        ) as connection:
            rows = int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])
        if rows != answered:
            raise BenchError(f"the gateway has {rows} rows in its log for {answered} completions")
        workers = "one worker" if folder == "one" else "two workers"
        self.remarks.append(f"The gateway's log, {workers}: {rows:,} rows for as many answers.")

    def _grow(self, upstream: Server) -> growth.Growth:
        say("memory")
        with subject.gateway_server(self._own("growth"), upstream.port) as server:
            asked = subject.gateway(server.wait())
            grown = growth.measure(server, asked, self.plan.requests, self.plan.patience)
        if grown.after[-1][0] < self.plan.requests:
            self.remarks.append(f"Memory was watched over {grown.after[-1][0]:,} requests: that took long enough.")
        return grown


def describe() -> str:
    """The machine and how busy it was before."""
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    system, python = f"{platform.system()} {platform.release().split('-')[0]}", platform.python_version()
    return f"{os.cpu_count()} x {cpu}, {system}, Python {python}, load {os.getloadavg()[0]:.1f} before."
