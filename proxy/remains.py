"""What is left of a call that failed: its exceptions hold the frames that they passed, and those what they worked on.

Exceptions refer to each other in rings that only the collector finds, and it looks for them rarely: without this each
answer that is refused would leave what was read of it behind, for minutes. What must stay true: an error that was
cleared holds nothing but its own words; whoever wants its traceback has taken it before.
"""

from __future__ import annotations

import traceback


def clear(error: BaseException) -> None:
    """Empty the frames behind an exception, and behind those that it came from, and let go of all of them."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            left += (each.__cause__, each.__context__)
            traceback.clear_frames(each.__traceback__)
            each.__cause__ = each.__context__ = each.__traceback__ = None
