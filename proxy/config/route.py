"""What becomes of one entry of `model_list`: a target, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.target import Target


@dataclass(slots=True, frozen=True)
class Source:
    """A target and where its credential comes from: `config`, the name of an environment variable, or nowhere."""

    target: Target
    key: str | None


@dataclass(slots=True, frozen=True)
class Route:
    """One entry of `model_list`, whose place is `key`. `reason` is None if it is used, else why not; `file` is the
    included one it is in.
    """

    name: str
    source: Source
    line: int
    reason: str | None = None
    file: str = ""
    key: str = ""
