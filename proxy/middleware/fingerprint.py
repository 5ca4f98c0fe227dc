"""The cache key: a digest of everything that decides what would be sent, and where to.

What must stay true: two calls have the same fingerprint if and only if their canonical requests are equal, and a
canonical request has no credential in it. Canonical means: history and messages joined, though several
texts to complete stay apart, the target's default parameters filled in, objects without order, and numbers as they are
written, save that a parameter of whole value is the same with or without its `.0` (dialects differ in which they make
of `1`; a provider reads one number). `true` is not `1`.

Not part of it: ids, names, tags, metadata, inputs (they are in the messages by now), log policy, streaming, retries,
timeouts.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

import orjson
from pydantic import SecretStr

from proxy.models import Call, CompletionRequest, Json, Kind
from proxy.target import Target
from proxy.vendors import asked

VERSION = 2
"""Raised whenever the canonical form changes, so that no old entry is found by a new request."""

CREDENTIAL = re.compile(r"key|token|secret|credential|password|profile|auth", re.IGNORECASE)
"""Settings with such names say who asks, not what: a rotated credential does not empty the cache."""

REMEMBERED = 1024
"""Targets whose settings are remembered; a request that brings its own key makes a new one each time."""

EXACT = 2**53
"""Up to here every whole float is one integer."""


def fingerprint(call: Call, secret: bytes) -> bytes | None:
    """32 bytes, or None for a request that cannot be written as JSON and therefore is not cached.

    Every target of the call is part of it: a request that names fallbacks may be answered by one of them, and a request
    that does not name them must not be.
    """
    request = call.request
    canonical = [
        VERSION,
        [_target(target, request.params, request.kind) for target in call.targets],
        _messages(request),
        _owner(call.api_keys, secret),
    ]
    try:
        written = orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
    return hashlib.blake2b(written, digest_size=32).digest()


def entry_name(key: bytes, secret: bytes) -> str:
    """A name for the cache's entry under `key`, by which a row refers to it: nobody without the secret can tell from it
    whether a request that they think of is the one.
    """
    return hashlib.blake2b(key, digest_size=12, key=secret).hexdigest()


def _messages(request: CompletionRequest) -> Json:
    """The conversation. One text to complete is one, as a chat model gets it; of several each is one by itself."""
    messages = request.messages or []
    if request.kind == "text" and len(messages) > 1:
        return [[*request.history, message] for message in messages]
    return [*request.history, *messages]


def _target(target: Target, params: Mapping[str, Json], kind: Kind) -> Json:
    sent = {**target.params, **params}
    for name, value in sent.items():
        if type(value) is float:
            sent[name] = number(value)
    return [target.provider, target.model, target.api_base, _settings(target), sent, asked(target, kind)]


_known: dict[int, tuple[Target, dict[str, Json]]] = {}


def _settings(target: Target) -> dict[str, Json]:
    """The settings that say what is asked. Those of the config's own targets are remembered."""
    known = _known.get(id(target))
    if known is not None and known[0] is target:
        return known[1]
    found = {
        name: value
        for name, value in target.settings.items()
        if not isinstance(value, SecretStr) and CREDENTIAL.search(name) is None
    }
    if len(_known) >= REMEMBERED:
        _known.clear()
    _known[id(target)] = target, found
    return found


def number(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def _owner(keys: Mapping[str, SecretStr], secret: bytes) -> str | None:
    """A name for the keys that the request brought. All of them count, used or not: better a miss than a wrong hit."""
    if not keys:
        return None
    written = orjson.dumps(sorted((name, key.get_secret_value()) for name, key in keys.items()))
    return hmac.digest(secret, written, "sha256").hex()
