"""`doctor --canary`: the proof that what is to be omitted is written nowhere, by this configuration on this disk.

Calls with marked words are made through a gateway of this process, on the data folder that is to be proved, and every
byte of the folder, and of what the process says, is searched for them. What must stay true: nobody is called; words
that may be kept are found, or nothing is proved; the rows are taken out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy import ids, plugins
from proxy.app import Gateway
from proxy.caller import Caller
from proxy.commands.doctor.questions import PROJECT, controls, question
from proxy.commands.doctor.standin import ENDINGS, Ending, StandIn, ask
from proxy.config import Config
from proxy.errors import ConfigError
from proxy.middleware.write import OMIT
from proxy.models import LogPolicy
from proxy.needles import Find, Needles, forms
from proxy.stores.erasure.removal import remove
from proxy.target import Target

FLAGS = {
    None: LogPolicy(),
    "all": LogPolicy(inputs=False, outputs=False),
    "inputs": LogPolicy(inputs=False),
    "outputs": LogPolicy(outputs=False),
}
"""What a request says, by the value of `x-log-omit`."""

TOLD = 20


@dataclass(slots=True)
class Proof:
    """What was done, and what came of it: `finds` should be none, and `kept` some."""

    calls: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    routes: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    canaries: int = 0
    searched: int = 0
    finds: list[Find] = field(default_factory=list)
    kept: int = 0
    expected: int = 0
    removed: int = 0

    @property
    def proves(self) -> bool:
        """Whether all words were found that are kept; else the search, or the folder, is another."""
        return 0 < self.expected == self.kept

    @property
    def holds(self) -> bool:
        return self.proves and not self.finds

    def told(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "calls": self.calls,
            "routes": sorted(self.routes),
            "routes_not_asked": sorted(self.passed),
            "refused": dict(self.refused),
            "canaries": self.canaries,
            "bytes_searched": self.searched,
            "found": [f"{one.place}, byte {one.offset}: {one.seen!r}" for one in self.finds],
            "kept": {"expected": self.expected, "found": self.kept},
            "rows_removed": self.removed,
        }

    def lines(self) -> Iterator[str]:
        yield (
            f"{self.calls} calls by {len(self.routes)} routes, whole and streamed, answered, refused and broken off,"
            f" with {self.canaries} marked words that may be written nowhere"
        )
        if self.passed:
            yield f"not asked, since they need a deployment or are not known: {', '.join(sorted(self.passed))}"
        for why, count in self.refused.items():
            yield f"{count} calls were refused: {why}"
        size, kinds = f"{self.searched / 2**20:,.1f} MiB", len(forms("word"))
        yield f"{size} searched for them in {kinds} forms: {len(self.finds)} found"
        for one in self.finds[:TOLD]:
            yield f"  {one.place}, byte {one.offset}: {one.seen!r}"
        yield f"of {self.expected} words that may be kept {self.kept} were found; {self.removed} rows removed"
        if not self.proves:
            yield "This proves nothing: the search does not find what is kept (is the log full, off or redacted?)."
        elif self.finds:
            yield "What is to be omitted is written."
        else:
            yield "What is to be omitted is written nowhere."


def prove(config: Config, data: Path) -> Proof:
    """Make the calls and search. Raises `ConfigError` for a configuration with which none can be made."""
    if config.log.store != "sqlite":
        raise ConfigError(f"log.store is {config.log.store}: only the files of the store sqlite can be searched")
    said = io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(said)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return asyncio.run(_Run(config, data, said).run())
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


class _Run:
    def __init__(self, config: Config, data: Path, said: io.StringIO) -> None:
        self._data, self._said = data, said
        draw = secrets.token_hex(6)
        # a mark has letters that no form leaves alone, and is in nothing that was there before
        self._mark, self._keep = f"canaryQz{draw}Xw", f"keptVj{draw}Yk"
        self._numbers = itertools.count()
        self._policy = OMIT[config.log.omit]
        self._keys = {secrets.token_urlsafe(24): _unlimited(one) for one in config.keys.values()}
        self._config = _harmless(config, {sha256(key.encode()).digest(): one for key, one in self._keys.items()})
        self._provider = StandIn()
        self._proof = Proof()
        self._ids: list[str] = []
        self._kept: set[str] = set()

    async def run(self) -> Proof:
        try:
            # once with all of it as it is while a gateway runs, and once when it has ended
            finds = await self._calls()
            self._proof.finds = list(dict.fromkeys([*finds, *self._search()]))
            self._count_kept()
        finally:
            self._proof.removed = remove(self._data / "traces.db", self._ids, PROJECT)
        return self._proof

    async def _calls(self) -> list[Find]:
        gateway = Gateway(self._config, self._data, provider=self._provider)
        try:
            for path, stream in self._routes():
                for who in self._callers():
                    for ending, flag in itertools.product(ENDINGS, FLAGS):
                        await self._call(gateway, path, stream, ending, flag, who)
            return [*self._search()]
        finally:
            await gateway.close()

    def _routes(self) -> Iterator[tuple[str, bool]]:
        for name in self._config.server.dialects:
            for one in plugins.make("dialects", name, "surface", self._config.server.max_depth).operations:
                for stream in [True] if one.stream else [False, True]:
                    yield one.path, stream

    def _callers(self) -> list[tuple[str, Caller | None]]:
        master = self._config.master_key
        first: list[tuple[str, Caller | None]] = []
        if master is not None or not self._keys:
            first = [(master.get_secret_value() if master else "", None)]
        return [*first, *self._keys.items()]

    async def _call(
        self,
        gateway: Gateway,
        path: str,
        stream: bool,
        ending: Ending,
        flag: str | None,
        who: tuple[str, Caller | None],
    ) -> None:
        key, caller = who
        holds = FLAGS[flag].narrowed(self._policy)
        if caller is not None:
            holds = holds.narrowed(LogPolicy(caller.inputs, caller.outputs))
        said, answer = self._word("in", holds.inputs), self._word("out", holds.outputs)
        body = question(path, self._model(caller), said, stream=stream)
        if body is None:
            self._proof.passed.add(path)
            return
        provider = self._provider
        provider.said, provider.answer, provider.ending = said, answer, ending
        trace_id = ids.new_id()
        more, headers = controls(path, flag, cache=not (holds.inputs and holds.outputs))
        body |= more
        headers["x-trace-id"] = trace_id
        headers |= {"x-api-key": key} if key else {}
        answered = await ask(gateway.app, path, body, headers)
        self._ids.append(answered.headers.get("x-trace-id", trace_id))
        self._proof.calls += 1
        self._proof.routes.add(path)
        if ending == "answered" and answered.status != 200:
            self._proof.refused[f"{path}: status {answered.status}"] += 1
        elif ending == "answered":
            self._kept |= {said} if holds.inputs else set()
            self._kept |= {answer} if holds.outputs and "embeddings" not in path else set()

    def _word(self, way: str, kept: bool) -> str:
        self._proof.canaries += not kept
        return f"{self._keep if kept else self._mark}-{way}-{next(self._numbers)}-x"

    def _model(self, caller: Caller | None) -> str:
        for name in (*self._config.models, *(one.pattern.replace("*", "x") for one in self._config.wildcards)):
            if caller is None or caller.may_call(name):
                return name
        raise ConfigError("no model can be called: model_list names none that a key may call")

    def _search(self) -> Iterator[Find]:
        needles = Needles([self._mark])
        for path in sorted(self._data.rglob("*")):
            # SQLite and the cache may take a file away while it is looked for
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    yield from needles.in_file(path, str(path.relative_to(self._data)))
        yield from needles.within("what the gateway said", self._said.getvalue().encode())
        self._proof.searched += needles.searched

    def _count_kept(self) -> None:
        """Which of the words that may be kept are there: all, or the log is not where the search looks."""
        needles, seen = Needles([self._keep]), set[str]()
        for name in ("traces.db", "traces.db-wal"):
            path = self._data / name
            if path.exists():
                seen |= {word for find in needles.in_file(path, name) if (word := _word_of(find.seen))}
        self._proof.expected, self._proof.kept = len(self._kept), len(self._kept & seen)


def _word_of(seen: bytes) -> str:
    """The word that a find in plain letters begins with."""
    text = seen.decode("latin-1")
    return text.partition("-x")[0] + "-x" if "-x" in text else ""


def _harmless(config: Config, keys: dict[bytes, Caller]) -> Config:
    """The configuration with keys of this run's own, by which nobody's limits are used up, and every trace kept."""

    def free(target: Target) -> Target:
        return replace(target, id="", rpm=None, tpm=None, max_parallel=None)

    whole = config.uncalled()
    return replace(
        whole,
        models={name: tuple(map(free, targets)) for name, targets in whole.models.items()},
        wildcards=tuple(replace(one, targets=tuple(map(free, one.targets))) for one in whole.wildcards),
        log=config.log.model_copy(update={"sample_rate": 1.0}),
        server=config.server.model_copy(update={"metrics": False}),
        keys=keys,
        otel=None,
    )


def _unlimited(caller: Caller) -> Caller:
    """A key as far as it says what is written down."""
    limits = {"budget": None, "rpm": None, "tpm": None, "max_parallel": None, "expires": None, "dialects": ()}
    return replace(caller, sample_rate=1.0, **limits)  # type: ignore[arg-type]  # of fields that all may be None
