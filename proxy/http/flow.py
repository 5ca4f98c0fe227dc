"""A connection that is read no faster than it is served, and written to no faster than its client reads."""

from __future__ import annotations

import asyncio


class Flow(asyncio.Protocol):
    """What every connection does about it. `full` is set while the client does not read what was written."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.full: asyncio.Future[None] | None = None
        self.held = False
        self._loop = loop
        self._since = 0.0
        self._waiting_bytes = 0

    def pause_writing(self) -> None:
        if self.full is None:
            self.full = self._loop.create_future()
            self._since = self._loop.time()
            self._waiting_bytes = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        if self.full is not None:
            self.full.set_result(None)
            self.full = None

    async def drained(self) -> None:
        """Wait until the client has read what was written, or has left."""
        while self.full is not None:
            await asyncio.shield(self.full)

    def stuck(self, limit: float, slowest: float) -> bool:
        """Whether the client has had `limit` seconds to read, and one more for each `slowest` bytes that it read."""
        read = self._waiting_bytes - self.transport.get_write_buffer_size()
        return self.full is not None and self._loop.time() - self._since > limit + read / slowest

    def hold(self) -> None:
        """Read no further for now."""
        if not self.held:
            self.held = True
            self.transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        if self.held and not self.transport.is_closing():
            self.held = False
            self.transport.resume_reading()
