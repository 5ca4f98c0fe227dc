"""What is printed, judged, drawn and documented is what was measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import document, instructions, plot, report, table
from tests.bench.__main__ import main
from tests.bench.failover import Failover
from tests.bench.growth import Growth
from tests.bench.instructions import Instructions
from tests.bench.log import Log, Question
from tests.bench.measure import Figure
from tests.bench.peer import PEERS
from tests.bench.report import ECHO, GATEWAY, NGINX, OPENAI, WORKERS, Memory, Report
from tests.bench.retention import Retention, Waited
from tests.bench.scale import Scale
from tests.bench.start import Start
from tests.bench.table import aligned
from tests.bench.target import Target, targets


def _figure(name: str, cpu: float, case: str = "hit", connections: int = 1, **more: float) -> Figure:
    figure = Figure(case, connections, name, 100, 1000.0, 1.0, 2.0, 0.9, 0.9, cpu, 0.0, 0.0, 0.0, 0.5, 0.5)
    return replace(figure, **more)  # type: ignore[arg-type]


def _report(*figures: Figure, **fields: object) -> Report:
    return replace(Report("2026-01-01", "a machine", 3, 1.5, figures=list(figures)), **fields)  # type: ignore[arg-type]


def _target(found: Report, words: str) -> Target:
    (target,) = [one for one in targets(found) if words in one.name]
    return target


def test_a_target_is_judged_by_its_weakest_figure() -> None:
    found = _report(
        _figure(GATEWAY, 0.02), _figure("LiteLLM", 4.5),
        _figure(GATEWAY, 0.02, connections=16), _figure("LiteLLM", 2.9, connections=16),
        _figure(OPENAI, 0.01), _figure(OPENAI, 0.01, connections=16),
    )  # fmt: skip
    target = _target(found, "CPU at most 1/150")
    assert (target.measured, target.met, target.verdict) == ("1/145.0", False, "NOT MET")
    better = [*found.figures[:3], _figure("LiteLLM", 3.1, connections=16), *found.figures[4:]]
    assert _target(replace(found, figures=better), "CPU at most 1/150").met is True
    assert _target(found, "2 times bare uvicorn").met is None


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {target.met for target in targets(_report())} == {None}
    assert all(target.verdict == "not measured" for target in targets(_report()))


@pytest.mark.parametrize(
    ("words", "met", "fields"),
    [
        ("throughput at least TensorZero's", True, {"ours": {"rate": 1001.0}}),
        ("throughput at least TensorZero's", False, {"ours": {"rate": 999.0}}),
        ("CPU at most TensorZero's", False, {"ours": {"cpu": 1.1}}),
        ("added p50 at one client", True, {"ours": {"added_p50": 0.5}}),
        ("added p50 at one client", False, {"ours": {"added_p50": 1.5}}),
    ],
)
def test_a_miss_is_judged_against_tensorzero(words: str, met: bool, fields: dict[str, dict[str, float]]) -> None:
    theirs = _figure("TensorZero", 1.0, "miss")
    assert _target(_report(replace(theirs, subject=GATEWAY, **fields["ours"]), theirs), words).met is met  # type: ignore[arg-type]


def test_streams_are_judged_by_their_pieces() -> None:
    ours = _figure(GATEWAY, 1.0, "paced", 16, chunk_cpu=40.0, chunk_p99=1.9, first_p50=2.5)
    found = _report(
        ours,
        _figure("TensorZero", 1.0, "paced", 16, chunk_cpu=90.0),
        _figure(NGINX, 1.0, "paced", 16, chunk_cpu=10.0, first_p50=0.4),
    )
    cpu = next(target for target in targets(found) if target.name.startswith("paced: CPU"))
    assert (cpu.measured, cpu.met) == ("1/2.2", True)
    assert _target(found, "first byte within 2 ms").met is False
    assert _target(found, "one-way p99").met is True


def test_two_workers_are_judged_by_what_the_machine_leaves() -> None:
    one, two = _figure(GATEWAY, 1.0, "hit", 16), _figure(WORKERS, 1.2, "hit", 16, rate=1500.0, busy=0.7)
    assert _target(_report(one, two), "CPU of a hit").met is False
    assert _target(_report(one, two), "throughput of a hit").met is False
    assert _target(_report(one, replace(two, busy=0.95)), "throughput of a hit").met is True
    assert _target(_report(one, replace(two, busy=0.95, rate=990.0)), "throughput of a hit").met is False
    assert _target(_report(one, replace(two, rate=1900.0)), "throughput of a hit").met is True


def test_a_start_is_judged_by_its_longest_wait_and_its_first_miss() -> None:
    start = Start(0.1, 2.0, 0.5, cached=0.3, longest=51.0)
    found = _report(
        starts={GATEWAY: start}, memory={"LiteLLM": Memory(300, 320, 5000)}, growth=Growth(60.0, ((20_000, 150.0),))
    )  # fmt: skip
    assert _target(found, "port open").met is True
    assert _target(found, "does not wait for LiteLLM").met is True
    assert _target(replace(found, starts={GATEWAY: replace(start, answered=2.0)}), "does not wait").met is False
    assert _target(found, "stalled over 50 ms").met is False
    assert _target(found, "resident after 20,000").met is True
    assert _target(found, "growth under 1 MB").met is None
    grown = replace(found, growth=Growth(60.0, ((10_000, 100.0), (20_000, 150.0), (40_000, 153.0))))
    assert _target(grown, "growth under 1 MB").measured == "1.50 MB"


def test_scale_is_judged_by_the_worst_of_hit_and_miss() -> None:
    found = _report(
        scale=[
            Scale("rows", "hit", "few", "1,000,000", 100.0, 101.0),
            Scale("rows", "miss", "few", "1,000,000", 100.0, 111.0),
            Scale("model names", "miss", "1", "1,000", 100.0, 50.0),
        ]
    )
    assert _target(found, "from 10 to 1,000,000 rows").met is False
    assert _target(found, "from 1 to 1,000 model names").met is True


def test_the_log_is_judged_by_its_slowest_question_but_those_that_read_all() -> None:
    asked = [Question("first page", 1.0, 2.0), Question("a tree", 1.0, 51.0), Question("spend_daily", 900.0, 999.0)]
    found = _report(log=Log(2000.0, 9000.0, [(1, 1500.0)], 10**6, 1700.0, asked))
    assert _target(found, "100,000 rows a minute").met is True
    slowest = _target(found, "listing, filter")
    assert (slowest.measured, slowest.met) == ("51.0 ms: a tree", False)


def test_retention_is_judged_by_the_row_that_waited_longest_meanwhile() -> None:
    measured = Log(2000.0, 9000.0, [(1, 1500.0)], 10**6, 1700.0, [Question("a tree", 1.0, 2.0)])
    name = "no row waits over 50 ms"
    assert [one.name for one in targets(_report(log=measured)) if one.name.startswith(name)] == []
    for longest, met in ((49.9, True), (50.1, False)):
        waited = [Waited("before", 10, 0.5, 1.0, 99.0, 1), Waited("while rows go", 10, 0.5, 1.0, longest, 0)]
        found = _target(_report(log=replace(measured, retention=Retention(5, waited))), name)
        assert (found.measured, found.met) == (f"{longest} ms", met)


COUNTED = Instructions(1050, "valgrind-3", {"python": "3.11.7"})


def test_instructions_are_compared_with_those_of_the_same_versions() -> None:
    kept = replace(COUNTED, hit=1010)
    assert COUNTED.growth(kept) == pytest.approx(40 / 1010)
    assert COUNTED.growth(replace(kept, versions={"python": "3.12.0"})) is None
    assert _target(_report(counted=COUNTED, kept=kept), "instructions").met is True
    assert _target(_report(counted=replace(COUNTED, hit=1061), kept=kept), "instructions").met is False
    assert _target(_report(counted=COUNTED), "instructions").met is None


@pytest.mark.parametrize(
    ("hit", "accept", "code", "written"), [(1051, False, 1, 1000), (1051, True, 0, 1051), (1040, False, 0, 1000)]
)
def test_more_instructions_fail_the_run_unless_they_are_accepted(
    hit: int, accept: bool, code: int, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "instructions.json"
    monkeypatch.setattr(instructions, "KEPT", kept)
    monkeypatch.setattr(instructions, "count", lambda: replace(COUNTED, hit=hit))
    instructions.keep(replace(COUNTED, hit=1000))
    arguments = ["--only", "instructions", "--json", str(tmp_path / "found.json")]
    assert main([*arguments, "--accept"] if accept else arguments) == code
    assert json.loads(kept.read_text())["hit"] == written


WAITED = Waited("before", 7000, 0.5, 1.0, 12.0, 0)


def _full() -> Report:
    cases = {"hit": (ECHO, 0.02), "miss": ("TensorZero", 0.2), "paced": (NGINX, 1.0)}
    figures = []
    for case, (peer, cpu) in cases.items():
        more = {"chunk_cpu": 10 * cpu, "chunk_rate": 100.0} if case == "paced" else {}
        figures += [_figure(GATEWAY, 2 * cpu, case, 16, **more), _figure(peer, cpu, case, 16, **more)]
    return _report(
        *figures, versions={"gateway": "1", "nginx": "1.22"}, about={"nginx": "a plain proxy"},
        starts={GATEWAY: Start(0.1, 0.2, 0.3, cached=0.2, longest=9.0)}, memory={GATEWAY: Memory(50, 90, 1000)},
        growth=Growth(50.0, ((10_000, 80.0), (20_000, 90.0))),
        scale=[Scale("rows", "hit", "few", "1,000,000", 10.0, 10.5)],
        log=Log(2e3, 9e3, [(1, 1500.0)], 10**6, 1700.0, [Question("a tree", 1.0, 2.0)], Retention(5000, [WAITED])),
        failover=[Failover("dead", GATEWAY, 200, 199, 4.0, 9.0, 0.25)],
        counted=COUNTED, kept=COUNTED, skipped={"Portkey": "npm: no such <host>"}, remarks=["A remark."],
    )  # fmt: skip


def test_the_table_tells_who_answered_beside_a_failing_primary() -> None:
    (line,) = (line for line in table.text(_full()).splitlines() if "breaks every connection" in line)
    assert line.split()[-6:] == ["gateway", "200", "99.5%", "4", "9", "0.25"]


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    report.write(path, _full())
    assert report.read(path) == _full()


def test_the_table_tells_each_figure_beside_the_gateway_s() -> None:
    lines = table.text(_full()).splitlines()
    at = lines.index("Misses, 16 clients")
    assert lines[at + 2].split() == ["gateway", "1,000", "1.00", "2.00", "400"]
    assert lines[at + 3].split() == ["TensorZero", "1,000", "1.00", "2.00", "200", "1/2.0"]
    assert "Without Portkey: npm: no such <host>" in lines


def test_the_page_tells_all_that_was_measured() -> None:
    page = document.page(_full())
    for words in (
        "| TensorZero | 1,000 |",
        "| nginx | 1.22 | a plain proxy |",
        "Without Portkey",
        "1,050 instructions",
        "| before | 7,000 | 0.5 | 1.0 | 12.0 | 0 |",
    ):
        assert words in page
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 8
    for rows in tables:
        assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_the_plot_has_a_bar_for_each_figure_inside_its_panel() -> None:
    drawn = xml.etree.ElementTree.fromstring(plot.svg(_full()))
    space = "{http://www.w3.org/2000/svg}"
    bars = drawn.findall(f".//{space}rect")
    assert len(bars) == sum(len(panel.bars) for panel in plot.panels(_full())) == 8
    assert {bar.get("class") for bar in bars} == {"ours", "peer", "limit"}
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert 0 < min(widths) <= max(widths) <= plot.WIDTH - plot.NAMES - plot.LABEL
    assert "prefers-color-scheme: dark" in plot.svg(_full())


def test_the_plot_is_in_proportion_to_the_logarithm() -> None:
    found = _report(
        _figure(GATEWAY, 0.01, "miss", 16), _figure("nginx", 0.1, "miss", 16), _figure("x", 1.0, "miss", 16)
    )
    drawn = xml.etree.ElementTree.fromstring(plot.svg(found))
    first, second, third = (float(bar.get("width") or 0) for bar in drawn.findall(".//{*}rect"))
    assert first == 1.0  # the least decade is where bars begin
    assert third == pytest.approx(2 * second)


def test_the_documents_are_what_the_kept_figures_say() -> None:
    found = report.read(document.FIGURES)
    assert document.page(found) == document.PAGE.read_text()
    assert plot.svg(found) == document.PLOT.read_text()


def test_every_peer_is_asked_what_it_can_answer() -> None:
    assert [peer.name for peer in PEERS] == ["nginx", "TensorZero", "Portkey", "MLflow", "LiteLLM", "any-llm"]
    for peer in PEERS:
        asks = peer.asks(9)
        assert {"miss", "paced", "unpaced"} <= asks.keys()
        assert ("hit" in asks) == (peer.distinct > 0)


def test_columns_are_aligned() -> None:
    assert aligned([["", "b"], ["aaa", "1"], ["b", "22"]]) == "      b\naaa   1\nb    22"
