"""Secrets out of what goes into a cassette, since cassettes are made to be handed on.

What must stay true: of every key that the configuration has or the request brought, none is in what was `clean`ed,
wherever in it a text held one. The keys of the configuration's callers are known by their hash alone, and found by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from proxy.asgi import App, Receive, Scope, Send
from proxy.config import Config
from proxy.middleware.fingerprint import CREDENTIAL
from proxy.models import Json
from proxy.target import Target

HIDDEN = "(withheld)"

SHORTEST, UNMISTAKABLE = 8, 20
"""Characters of a key. What is shorter than the first is none; a plain word is one only from the second on, since what
clients send as a key where none is needed (`anything`, `unused`) is found in every other text.
"""

_brought: ContextVar[tuple[str, ...]] = ContextVar("_brought", default=())
"""The keys in the head of the request that is being answered."""

WORD = re.compile(rf"[\w.~+/=-]{{{SHORTEST},}}")


class Blot:
    """Takes `secrets` out, and words whose SHA-256 is one of `callers`."""

    def __init__(self, secrets: Iterable[str], callers: Mapping[bytes, object] = MappingProxyType({})) -> None:
        self._secrets = frozenset(one for secret in secrets for one in _forms(secret))
        self._callers = callers
        longest = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest))) if longest else None

    def also(self, keys: Iterable[SecretStr]) -> Blot:
        """This one, and what a request brought."""
        brought = [part for key in keys for part in _parts(key.get_secret_value())]
        brought += _brought.get()
        return Blot([*self._secrets, *brought], self._callers) if brought else self

    def clean(self, value: Json) -> Json:
        """`value` without any of them; it stays as it is itself."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self._text(name): self.clean(inner) for name, inner in value.items()}
        return [self.clean(inner) for inner in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        return WORD.sub(self._word, text) if self._callers else text

    def _word(self, found: re.Match[str]) -> str:
        # a key may stand at the end of a sentence
        word = found[0].rstrip(".")
        caller = self._callers.get(sha256(word.encode()).digest())
        return found[0] if caller is None else HIDDEN + found[0][len(word) :]


def overheard(app: App) -> App:
    """`app`, with the keys in a request's head known to `also`: a client sends its key where none is asked for, too."""

    async def hearing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            found = [value.rpartition(" ")[2] for name, value in named if CREDENTIAL.search(name) is not None]
            _brought.set(tuple(found))
        await app(scope, receive, send)

    return hearing


def blot(config: Config) -> Blot:
    """One for all that `config` knows."""
    targets = [*config.providers.values(), *(route.source.target for route in config.routes)]
    targets += [target for group in config.models.values() for target in group]
    targets += [target for wildcard in config.wildcards for target in wildcard.targets]
    known = {secret for target in targets for secret in _secrets(target)}
    if config.master_key is not None:
        known.add(config.master_key.get_secret_value())
    return Blot(known, config.keys)


def _secrets(target: Target) -> Iterator[str]:
    if target.api_key is not None:
        yield from _parts(target.api_key.get_secret_value())
    for name, value in target.settings.items():
        if isinstance(value, SecretStr):
            yield from _parts(value.get_secret_value())
        elif CREDENTIAL.search(name) is not None:
            yield from _parts(value)
    yield from _parts(urlsplit(target.api_base or "").netloc.rpartition("@")[0].partition(":")[2])


def _parts(secret: Any) -> Iterator[str]:
    """A secret, and if it is a document, or the path of one, the texts in it that may be one."""
    if isinstance(secret, str):
        yield secret
        secret = _document(secret)
    if isinstance(secret, Mapping):
        for name, value in secret.items():
            if isinstance(value, str) and CREDENTIAL.search(name) is not None:
                yield value


def _document(secret: str) -> Json:
    try:
        return json.loads(secret if secret.lstrip().startswith("{") else Path(secret).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and as it stands in JSON inside a text."""
    if len(secret) >= UNMISTAKABLE or (len(secret) >= SHORTEST and not secret.isalpha()):
        yield secret
        yield json.dumps(secret)[1:-1]
