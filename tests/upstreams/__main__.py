"""Run the fleet in the foreground and print the config that reaches it: `python -m tests.upstreams > fleet.yaml`.

A model named `anything~scenario` gets that scenario (`gpt-4o-mini~cut`); see `scenario.SCENARIOS` for the names.
"""

from __future__ import annotations

import signal
import sys

import yaml

from tests.upstreams.fleet import Fleet


def main() -> None:
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Fleet() as fleet:
        yaml.safe_dump({"providers": fleet.providers}, sys.stdout, sort_keys=False, width=120)
        sys.stdout.flush()
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
