"""Makes the log of a released version, by the code of its commit:

    python -m tests.stores.versions.make m006 2a946fd

writes `m006.sql`, a dump of the file, and `m006.json`, its rows as that version reads them. Done once for each version
of the schema that was released; what is here is never made anew.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).parent

SCRIPT = """
import asyncio, dataclasses, json, sqlite3, sys
from pathlib import Path
try:
    from proxy.record import Record
except ImportError:
    from proxy.models import Record
try:
    from proxy.stores.log.sqlite import SQLiteLog
except ImportError:
    from proxy.stores.sqlite import SQLiteLog

NAMES = {field.name for field in dataclasses.fields(Record)}
DAY = "2026-01-0{}T00:00:0{}.000000+00:00"


def record(id, root, second, **fields):
    said = {"start_timestamp": DAY.format(1, second), "status": "success", **fields}
    return Record(id, root, **{name: value for name, value in said.items() if name in NAMES})


def turn(number):
    said = [{"role": "system", "content": "Be terse. " * 150}]
    for past in range(number):
        said += [{"role": "user", "content": f"Question {past}"}, {"role": "assistant", "content": f"Answer {past}"}]
    messages = [*said, {"role": "user", "content": f"Question {number}"}]
    return record(
        f"turn-{number}", "agent", 2 + number, parent_trace_id="agent", session_id="s-1", name="llm-openai",
        project_name="demo", deployment_id="p-weather", deployment_version="v1", end_user="ann", tags=["red"],
        metadata={"team": "red", "none": None}, provider="openai", model="gpt-4o", inputs={"city": "Rome"},
        configuration={"model": "gpt-4o", "model_params": {"temp": 0.5}, "messages": messages},
        output=f"Answer {number} \\N{SNOWMAN}", input_tokens=100, output_tokens=10, total_tokens=110, cost=0.25,
        latency=1.5, time_to_first_token=0.25, end_timestamp=DAY.format(1, 3 + number),
        scores=[{"name": "quality", "score": 1.0}], notes={"dialect": "openai", "cache": "miss"}, key="team-a",
        spent=250_000_000,
    )


async def main(path):
    log = SQLiteLog(path)
    project = await log.project("demo")
    rows = [
        record("agent", "agent", 1, session_id="s-1", name="agent", latency=9.0, extra={"own": [1]}),
        turn(0), turn(1), turn(2),
        record("tool", "agent", 6, parent_trace_id="turn-2", name="tool", status="error", error="no such city"),
        record("hit", "hit", 7, provider="openai", model="gpt-4o", cost=0.5, cache_hit=True, output="cached",
               notes={"cache": "hit"}, configuration={"messages": [{"role": "user", "content": "Hi"}]}),
        record("lost", "lost", 8, cost=0.125, input_tokens=5, output_tokens=1, counted_only=True, sample_rate=0.0),
    ]
    await log.update("tool", {"feedback_score": 0.5, "target": "Rome"})
    assert all([await log.append(row) for row in rows])
    await log.update("agent", {"metadata": {"edited": True}})
    await log.update("to-come", {"feedback_score": 1.0})
    found = [await log.get(row.trace_id) for row in rows]
    told = {
        "rows": [{name: value for name, value in dataclasses.asdict(row).items() if name not in
                  ("policy", "counted_only", "stand_in", "spent")} for row in found if row is not None],
        "totals": await log.totals(),
        "project": list(project[:2]),
        "below": [row.trace_id for row in await log.descendants("agent")],
    }
    await log.close()
    return told


path = Path(sys.argv[1])
told = asyncio.run(main(path / "traces.db"))
(path / "told.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\\n")
connection = sqlite3.connect(path / "traces.db")
connection.execute("UPDATE edits SET edited_at = '9999-01-01'")  # an edit without a row is forgotten after a week
(path / "traces.sql").write_text("".join(line + "\\n" for line in connection.iterdump()))
"""


def main(name: str, commit: str) -> None:
    packed = subprocess.run(["git", "archive", commit, "proxy"], check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        command = [sys.executable, "-c", SCRIPT, folder]
        subprocess.run(command, check=True, cwd=folder, env={"PYTHONPATH": folder})
        for suffix, made in ((".sql", "traces.sql"), (".json", "told.json")):
            (HERE / f"{name}{suffix}").write_bytes((Path(folder) / made).read_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
