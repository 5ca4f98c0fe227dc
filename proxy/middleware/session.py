"""A session's own row, which makes one tree of the session's calls: the root that they all hang under.

No client logs it. It is written beside the first row of its session that this process sees, and stands in until
somebody says more: where it exists already it changes nothing, so a restart or another process may write it again.
What must stay true: it holds no content, and its log policy is that of the call beside it, so a session that is not
kept leaves no row behind.
"""

from __future__ import annotations

from proxy.record import SESSION, Record

LIMIT = 10_000
"""How many sessions are remembered; those forgotten are only written once more."""


class Sessions:
    """The sessions whose own row has been written; the one that was longest unused is forgotten first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}

    def missing(self, record: Record) -> Record | None:
        """The row of the session that `record` is of, if `record` hangs under it and it has not been written yet."""
        session = record.session_id
        if not session or session != record.root_trace_id:
            return None
        known = session in self._seen
        self._remember(session)
        return None if known or record.trace_id == session else _own(record, session)

    def forget(self, session: str) -> None:
        """Write the row again with the next call: it did not reach the disk."""
        self._seen.pop(session, None)

    def _remember(self, session: str) -> None:
        self._seen.pop(session, None)
        self._seen[session] = None
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]


def _own(record: Record, session: str) -> Record:
    reference = record.extra.get("session_reference_id")
    return Record(
        trace_id=session,
        root_trace_id=session,
        session_id=session,
        name=SESSION,
        project_name=record.project_name,
        project_uuid=record.project_uuid,
        start_timestamp=record.start_timestamp,
        sample_rate=record.sample_rate,
        extra={"session_reference_id": reference} if reference else {},
        policy=record.policy,
        stand_in=True,
    )
