"""TensorZero's embedded gateway, as its own OpenAI client starts it. Runs in TensorZero's environment.

    python tests/bench/embedded.py CONFIG

It listens on a loopback port that it chooses itself, and this prints the address.
"""

from __future__ import annotations

import signal
import sys

import tensorzero  # type: ignore[import-not-found]  # it is in its own environment alone

gateway = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
signal.pause()
