"""What is left of a call that failed: its exceptions hold the frames that they passed, and those what they worked on.

Exceptions refer to each other in rings that only the collector finds, and it looks for them rarely: without this each
answer that is refused for its size would leave 64 MB behind for minutes.
"""

from __future__ import annotations

import traceback


def clear(error: BaseException) -> None:
    """Empty the frames behind an exception, and behind those that it came from. Their places and lines stay."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += (each.__cause__, each.__context__)
