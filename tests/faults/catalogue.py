"""The faults that this gateway must survive, by id, each with what must stay true.

An entry is covered by the tests that carry its mark, wherever they stand: `@pytest.mark.fault("D1")`. Most are in this
folder; what an ordinary test proves anyway is marked where it is.
"""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    "D1": ("kill -9 under load", "every acknowledged row is there, the database is intact"),
    "D2": ("a system call fails or kills, at the first, second, ... time", "what was said to be logged is there"),
    "D3": ("a full disk, and room again", "every answer leaves, what is missing is counted, it logs again by itself"),
    "D4": ("another process holds the log's lock", "unrelated requests do not wait, rows are kept or counted"),
    "D5": ("two gateways, and several workers, on one folder", "all rows are there, no wrong answer from the cache"),
    "D6": ("damaged files", "it starts, moves them aside and serves; no wrong answer"),
    "D7": ("a log of a newer version, and a migration that is killed", "refused clearly; finished at the next start"),
    "D8": ("the clock jumps", "no latency below zero, rows stay in order, entries expire as documented"),
    "D9": ("a reader that holds the log open, and VACUUM, under load", "the WAL stays bounded, nothing is lost"),
    "D10": (
        "SIGTERM and SIGINT with streams open",
        "they end within the grace, no row is lost; a second one ends at once",
    ),
    "D11": ("sampling and omission", "a trace is kept or dropped whole; omitted text is written nowhere"),
    "U1": ("an upstream that hangs or drips", "each timeout fires, the status is 504"),
    "U2": ("an upstream that resets, cuts, or answers rubbish", "mapped to the right status, never 500, never cached"),
    "U3": ("a stream cut or split anywhere", "an error event or the identical text; never cached when cut"),
    "U4": ("bombs: 600 MiB, compressed, endless lines, a million events", "memory grows by less than 64 MB"),
    "U5": ("an upstream that redirects", "not followed: no key and no prompt reaches the other host"),
    "U6": (
        "clients that leave",
        "the upstream's connection ends within 1.5 s, the row says so, others get their answer",
    ),
    "U7": (
        "equal requests at once whose leader fails or leaves",
        "nobody hangs, no failure is cached, keys stay apart",
    ),
    "U8": ("retries", "as many calls as the row says, within the deadline"),
    "P1": ("requests framed wrongly", "400 or its like, and the connection is closed"),
    "P2": ("slow clients, idle connections, too few file descriptors", "closed at the deadline, others are served"),
    "P3": ("bodies above the limit, announced, lied about or not", "413, memory grows by less than 16 MB"),
    "P4": ("hostile JSON", "400, 413 or 422, never 500; cache, log and upstream see one value"),
    "P5": ("schemathesis on every operation", "no server error"),
    "P6": ("arbitrary requests, templates and cache keys", "the properties hold"),
    "P7": ("atheris on the parsers", "no crash and no hang"),
    "S1": ("keys and omitted text everywhere", "found in no file, output, log or answer"),
    "S2": ("how keys are compared", "in constant time only"),
    "S3": ("pages of other origins in a real browser", "no request is executed, no answer is read"),
    "S4": ("listening to a network, and the modes of files", "not without a key; files are the owner's alone"),
    "S5": ("forbidden hosts in 20 spellings on every route", "no connection is made"),
    "S6": ("templates that are programs", "text like any other"),
    "S7": ("filters that are SQL", "values like any other; reading never writes"),
    "S8": ("stored scripts", "shown as text by every page"),
    "S9": ("line breaks and escape codes in what is logged", "one record is one line"),
    "S10": ("formulas in what is exported as CSV", "no cell of any exporter is one; every text comes back as it was"),
    "S11": ("paths that climb", "no file but the gateway's own is served or read"),
    "S13": ("the supply chain", "pinned, quiet when imported, the same wheel twice"),
    "soak": ("mixed load with random faults, for half an hour", "memory, descriptors, tasks and the WAL stay bounded"),
}

ABSENT: dict[str, str] = {
    "S12": "timing is not measured; S2 forbids what would differ",
}
"""Entries without a test, and why."""
