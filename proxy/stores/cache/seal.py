"""The seal of a cached value: HMAC-SHA256 over key and value, which stands before the value.

What must stay true: nobody without the secret makes a seal, and none fits another key or value.
"""

from __future__ import annotations

import hmac

from proxy.stores.cache.safedisk import Refused

SIZE = 32


class Seal:
    """Seals with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._mac = hmac.new(secret, digestmod="sha256")

    def sealed(self, key: bytes, value: bytes) -> bytes:
        """The value behind its seal."""
        return self._made(key, value) + value

    def opened(self, key: bytes, sealed: bytes) -> bytes:
        """The value of `key`. Raises `Refused` where the seal is not ours."""
        value = sealed[SIZE:]
        if not hmac.compare_digest(sealed[:SIZE], self._made(key, value)):
            raise Refused("the seal is not ours")
        return value

    def _made(self, key: bytes, value: bytes) -> bytes:
        mac = self._mac.copy()
        # The key's length goes first, so that no byte can change sides between key and value.
        mac.update(len(key).to_bytes(4, "big") + key)
        mac.update(value)
        return mac.digest()
