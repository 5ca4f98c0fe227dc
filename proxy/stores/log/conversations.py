"""Messages by their content: a conversation is a message after a conversation, so each turn stores what it adds.

A loop of N turns asks with 1, 2, ... N messages. As lists they are O(N^2) bytes. Here a conversation is one message and
the conversation before it, known by a hash of both, and the message's body is kept once wherever it is said. What is
short stays in its row, where the hot path does not pay for any of this.

What must stay true: rows and what they refer to are written in one transaction; triggers of the schema remove what the
last row referred to, whoever deletes it; what is read back is byte for byte what was said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from hashlib import blake2b

import orjson

from proxy.models import Json

LONG = 1024
"""Bytes of a configuration from which on its messages are kept apart. Below it the references would cost more."""

_PIECES = """WITH RECURSIVE line(previous, place, body) AS (
        SELECT previous, place, body FROM conversations WHERE id = {of}
        UNION ALL
        SELECT c.previous, c.place, c.body FROM line JOIN conversations AS c ON c.id = line.previous
    )
    SELECT bodies.body FROM line JOIN bodies ON bodies.id = line.body ORDER BY line.place"""

_MESSAGES = "(SELECT '[' || group_concat(body, ',') || ']' FROM ({pieces}))"

_LAST = "SELECT id FROM conversations WHERE hash = ?"
_BODY = "INSERT INTO bodies (hash, body) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING"
_NEXT = """INSERT INTO conversations (hash, previous, place, body)
VALUES (?, ?, ?, (SELECT id FROM bodies WHERE hash = ?))"""


Message = tuple[bytes, bytes, bytes]
"""One message of a conversation: its JSON, its hash, and the hash of the conversation that ends with it."""


def messages(table: str) -> str:
    """An expression: the JSON list of the messages that a row of `table` has apart; null where it has none."""
    of = f"{table}.conversation"
    return f"CASE WHEN {of} IS NOT NULL THEN {_MESSAGES.format(pieces=_PIECES.format(of=of))} END"


def whole(table: str) -> str:
    """An expression: the configuration of a row of `table`, wherever its messages are."""
    return (
        f"CASE WHEN {table}.conversation IS NULL THEN {table}.configuration"
        f" ELSE json_set({table}.configuration, '$.messages', json({messages(table)})) END"
    )


def split(configuration: Mapping[str, Json]) -> tuple[str, list[Message]] | None:
    """The JSON of a configuration with null for its messages, and these; None where they cannot be apart."""
    said = configuration.get("messages")
    if not isinstance(said, list) or not said:
        return None
    try:
        bodies = [orjson.dumps(one, option=orjson.OPT_NON_STR_KEYS) for one in said]
        rest = orjson.dumps({**configuration, "messages": None}, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return None  # what strict JSON cannot say is mended as a whole
    found, conversation = [], blake2b(digest_size=16)
    for body in bodies:
        own = blake2b(body, digest_size=16).digest()
        conversation.update(own)
        found.append((body, own, conversation.digest()))
    return rest, found


def keep(connection: sqlite3.Connection, said: list[Message]) -> int:
    """The id of a conversation, in the transaction that is open; what is new of it is stored."""
    known, last = len(said), None
    while known and (found := connection.execute(_LAST, (said[known - 1][2],)).fetchone()) is None:
        known -= 1
    if known:
        last = int(found[0])
    for place in range(known, len(said)):
        body, own, conversation = said[place]
        connection.execute(_BODY, (own, body.decode()))
        last = connection.execute(_NEXT, (conversation, last, place, own)).lastrowid
    assert last is not None
    return last
