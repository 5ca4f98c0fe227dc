"""`make bench`: measures this gateway and its peers, prints one table, writes JSON, and leaves nothing running.

A whole run (every group, every peer, not `--quick`) writes docs/performance.md, its plots and its figures as well.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import document, instructions, report, table
from tests.bench.environment import FOLDER
from tests.bench.measure import say
from tests.bench.peer import PEERS
from tests.bench.report import Report
from tests.bench.run import GROUPS, Plan, Run
from tests.bench.server import BenchError, interruptible


def _names(known: Sequence[str], text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    return names


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    peers = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: is everything in order?")
    parser.add_argument(
        "--only", type=lambda text: _names(GROUPS, text), default=list(GROUPS), help=f"of {','.join(GROUPS)}"
    )
    parser.add_argument(
        "--peers", type=lambda text: _names(peers, text), default=peers, help=f"of {','.join(peers)}; '' for none"
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of which the medians are taken")
    parser.add_argument("--seconds", type=float, default=1.5, help="of load for each figure and round")
    parser.add_argument("--json", type=Path, default=FOLDER / "latest.json", help="where the figures are written")
    parser.add_argument("--accept", action="store_true", help="keep the instructions that were counted")
    parser.add_argument(
        "--document", type=Path, metavar="JSON", help="only write docs/performance.md from these figures"
    )
    return parser.parse_args(argv)


def _plan(arguments: argparse.Namespace) -> Plan:
    peers = [peer for peer in PEERS if peer.name in arguments.peers]
    if arguments.quick:
        return Plan(
            arguments.only, peers, rounds=1, seconds=0.4, answers=200, requests=40_000, patience=15.0, many=20_000,
            rows=50_000,
        )  # fmt: skip
    return Plan(arguments.only, peers, arguments.rounds, arguments.seconds)


def _measured(plan: Plan) -> Report | int:
    """The report, or the exit code of a run that has none."""
    folder: Path | None = None
    try:
        FOLDER.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER))
        return Run(plan, folder).report()
    except BenchError as error:
        say(f"nothing was measured: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _accepted(found: Report) -> Report:
    """The report with the instructions that were counted as those that the repository allows."""
    if found.counted is None:
        return found
    instructions.keep(found.counted)
    say(f"kept: {found.counted.hit:,} instructions")
    return replace(found, kept=found.counted)


def _instructions(found: Report) -> int:
    """1 if a hit needs more instructions than the repository allows."""
    counted, kept = found.counted, found.kept
    if counted is None:
        return 0
    growth = counted.growth(kept) if kept else None
    if growth is None:
        say("The instructions of a hit are kept for other versions than these: --accept keeps those counted now.")
    elif growth > instructions.TOLERANCE:
        say(
            f"A hit takes {counted.hit:,} instructions, {growth:+.1%} against the {kept.hit if kept else 0:,} kept in"
            f" {instructions.KEPT.name}. Make it cheaper, or keep the new figure with --accept and say why."
        )
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    if arguments.document:
        document.write(report.read(arguments.document))
        return 0
    interruptible()
    # Hundreds of streams at once need two descriptors each; what is started inherits the limit.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = _measured(_plan(arguments))
    if isinstance(found, int):
        return found
    if arguments.accept:
        found = _accepted(found)
    report.write(arguments.json, found)
    print(table.text(found))
    if not arguments.quick and len(arguments.only) == len(GROUPS) and len(arguments.peers) == len(PEERS):
        document.write(report.read(arguments.json))
    return _instructions(found)


if __name__ == "__main__":
    sys.exit(main())
