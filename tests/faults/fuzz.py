"""Runs one target under Atheris, which is not among the gateway's dependencies: `make faults` puts it into .fuzz.

    PYTHONPATH=.fuzz python -m tests.faults.fuzz body -max_total_time=600 corpus/

The arguments after the target's name are libFuzzer's.
"""

from __future__ import annotations

import sys


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["proxy"]):
        from tests.faults.targets import TARGETS
    name, *arguments = sys.argv[1:]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
