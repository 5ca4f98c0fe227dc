"""The search for secrets in the rows of the log. What must stay true: a place is told, and never the secret."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy.config import Config
from proxy.middleware.cassette.blot import blot
from proxy.patterns import NAMED
from proxy.redaction import Redaction
from proxy.stores.checkup import Text, texts

KEPT = 100
"""Places that are remembered of a kind."""

CONFIGURED, ALIKE = "keys of the config", "what looks like a key"


@dataclass(slots=True)
class Search:
    """What was found, by kind: places, which have no text, and counts. `whole` says that all was looked through."""

    texts: int = 0
    places: dict[str, list[Text]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    whole: bool = True


def search(config: Config, path: Path, until: float) -> Search:
    """Look through the log at `path`, the newest rows of each table first, up to the time `until`."""
    configured, keys, found = blot(config), Redaction(NAMED["keys"]), Search()

    def kinds(text: str) -> list[str]:
        alike = [ALIKE] if keys.kinds(text) else []
        return [CONFIGURED, *alike] if configured.clean(text) != text else alike

    for one in texts(path):
        found.texts += 1
        for kind in kinds(one.text):
            found.counts[kind] += 1
            if len(found.places[kind]) < KEPT:
                # a client says what the id is, and that may be the secret
                found.places[kind].append(replace(one, text="", id=one.number if kinds(one.id) else one.id))
        if found.texts % 64 == 0 and time.monotonic() > until:
            found.whole = False
            break
    return found
