"""Named events of a stream, as the APIs send them whose events say what they are."""

from __future__ import annotations

import json

from proxy.models import Json


def named(kind: str, **data: Json) -> bytes:
    """One event, in ASCII: a reader that takes U+2028 for the end of a line loses nothing."""
    text = json.dumps({"type": kind, **data}, separators=(",", ":"))
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), text.encode("ascii"))
