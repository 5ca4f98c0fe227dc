"""The large files that LiteLLM reads while it is imported, read so that nobody waits for them.

Its price list is 3 MB of JSON, which orjson reads in a third of the time, and its tokenizer for Claude takes 25 MB for
counts that nobody asks for (`engine/`). What must stay true: everybody else's JSON is read as ever, and afterwards
all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from proxy.loader import pause

TOKENIZER = "anthropic_tokenizer.json"

LARGE = 2**20
"""Characters."""


@contextmanager
def read() -> Iterator[None]:
    """While LiteLLM is imported for the first time."""
    load: Any = json.load
    loads: Any = json.loads

    def fast(text: Any, *args: Any, **named: Any) -> Any:
        if args or named or len(text) < LARGE:
            return loads(text, *args, **named)
        pause()
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return loads(text)
        finally:
            pause()

    def skimmed(file: Any, *args: Any, **named: Any) -> Any:
        if str(getattr(file, "name", "")).endswith(TOKENIZER):
            return {}
        return load(file, *args, **named)

    vars(json).update(load=skimmed, loads=fast)
    try:
        yield
    finally:
        vars(json).update(load=load, loads=loads)
