"""Run the fleet in the foreground and print the config that reaches it: `python -m tests.upstreams > fleet.yaml`.

A model named `anything~scenario` gets that scenario (`gpt-4o-mini~cut`); see `scenario.SCENARIOS` for the names.
"""

from __future__ import annotations

import argparse
import signal
import sys

import yaml

from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS


def main() -> None:
    described = [f"models: {', '.join(f'{vendor}/{model}' for vendor, model in MODELS.items())}"]
    described += [f"scenarios: {', '.join(SCENARIOS)}"]
    argparse.ArgumentParser(
        prog="python -m tests.upstreams", description=__doc__, epilog="\n\n".join(described)
    ).parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Fleet() as fleet:
        yaml.safe_dump({"providers": fleet.providers}, sys.stdout, sort_keys=False, width=120)
        sys.stdout.flush()
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
