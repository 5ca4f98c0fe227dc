"""The parsers of bytes from outside, under what was found once, some chance, and in the long form Atheris."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.plugin import Figure
from tests.faults.targets import TARGETS, Target

pytestmark = pytest.mark.fault("P7")

ROOT = Path(__file__).parents[2]
FUZZ = ROOT / ".fuzz"
"""Where `make faults` puts Atheris."""

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
"""For each target, in the long form."""

FOUND: dict[str, list[bytes]] = {
    "host": [b"[127.0.0.1]"],
    "wire": [b"\1\20\40\3GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: b\r\n\r\n"],
}
"""Inputs that failed once."""


@st.composite
def altered(draw: st.DrawFn, target: Target) -> bytes:
    """A seed in which a few places hold other bytes, or one of the target's words."""
    data = draw(st.sampled_from(target.seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        data = data[:start] + draw(st.binary(max_size=4) | st.sampled_from(target.words)) + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_p7_no_parser_fails(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(altered(target))
    def holds(data: bytes) -> None:
        target.run(data)

    for data in (b"", *target.seeds, *FOUND.get(name, ())):
        target.run(data)
    holds()


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_p7_atheris_finds_nothing(name: str, tmp_path: Path, full: bool, figure: Figure) -> None:
    if not full:
        pytest.skip("Atheris runs in the long form")
    if not (FUZZ / "atheris").is_dir():
        pytest.skip("Atheris is not installed")
    corpus, words = tmp_path / "corpus", tmp_path / "words"
    corpus.mkdir()
    for number, seed in enumerate([*TARGETS[name].seeds, *FOUND.get(name, ())]):
        (corpus / str(number)).write_bytes(seed)
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in TARGETS[name].words]
    words.write_text("".join(f'"{word}"\n' for word in quoted))
    command = [sys.executable, "-m", "tests.faults.fuzz", name, f"-max_total_time={SECONDS}", f"-dict={words}"]
    limits = [
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=8192",
        f"-artifact_prefix={tmp_path}/",
        "-print_final_stats=1",
    ]
    done = subprocess.run(
        [*command, *limits, str(corpus)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{FUZZ}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        found = [path.read_bytes() for path in tmp_path.iterdir() if re.match("crash|timeout|oom", path.name)]
        pytest.fail(f"{found}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}", pytrace=False)
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    assert runs
    figure(f"failures, {name}", f"0 in {int(runs[1]):,} inputs, {SECONDS} s")
