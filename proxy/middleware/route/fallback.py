"""Fallbacks: the model names that a call goes on with after all targets of one have failed.

Those that the request names come first, whatever has failed. Then those that the configuration has for the asked name,
by the last failure: after a conversation that was too long, or one that was refused, those for that, and then the
general ones; those under `*` where the name has none of its own. What must stay true: no name is asked twice, the
fallbacks of a fallback are not asked, and of the configured ones at most `max_fallbacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from proxy.config.router import RouterSettings
from proxy.errors import RequestError
from proxy.middleware.names import keyed
from proxy.models import Call
from proxy.target import Group

ALL = "*"

Lookup = Callable[[str], Group]
"""What a model name stands for; raises `RequestError` for one that means nothing."""


class Fallbacks:
    """The fallbacks of one call."""

    def __init__(self, settings: RouterSettings, lookup: Lookup, call: Call) -> None:
        self._settings = settings
        self._lookup = lookup
        self._call = call
        self._own = iter(call.groups[1:])
        # With a provider of its own the asked name is another one than the same without.
        self._used = set() if call.request.provider else {call.groups[0].name}
        self._left = settings.max_fallbacks

    def after(self, code: str) -> Group | None:
        """The group to go on with after a failure of that code, None when there is none."""
        for group in self._own:
            if group.name not in self._used:
                self._used.add(group.name)
                return group
        for name in self._names(code):
            if self._left and name not in self._used:
                self._used.add(name)
                try:
                    group = keyed(self._lookup(name), self._call.api_keys)
                except RequestError:
                    continue  # none of its targets has a key, and `check` says so
                self._left -= 1
                # It would be served under the first name for as long as the cache keeps it, after one bad moment.
                self._call.lasting = False
                return group
        return None

    def _names(self, code: str) -> Iterator[str]:
        settings = self._settings
        if code == "context_length_exceeded":
            yield from self._of(settings.context_window_fallbacks)
        elif code == "content_filter":
            yield from self._of(settings.content_policy_fallbacks)
        yield from self._of(settings.fallbacks)

    def _of(self, named: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        asked = self._call.groups[0].name
        for name in (asked, self._settings.aliases.get(asked, asked), ALL):
            if name in named:
                return named[name]
        return ()
