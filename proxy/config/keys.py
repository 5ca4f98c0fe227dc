"""Keys as the config file has them: who may call what, and how much of it.

A key is not in the file, its SHA-256 is. `parea-proxy keys new` makes keys of 256 random bits, which nobody finds by
trying; what slows such trying down for words that people choose would be paid for by every request.
What must stay true: a hash is in no message and in no output, and each key is one caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from proxy.caller import NANO, Budget, Caller, Window
from proxy.config.block import Block
from proxy.config.fields import Integer, Name, Number
from proxy.config.hint import nearest

SHIPPED = ("parea", "openai", "anthropic", "responses", "humanloop", "scale")
"""The dialects by the names that a key may list."""

_HASH = re.compile(r"sha256:([0-9a-f]{64})")


def _hash(value: object) -> object:
    if not (isinstance(value, str) and _HASH.fullmatch(value)):
        raise ValueError("should be sha256: and 64 hexadecimal digits, as `parea-proxy keys new` prints it")
    return value


def _expiry(value: object) -> object:
    """A day, from whose beginning on the key is refused, or a time; UTC where no zone is given. As a timestamp."""
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        told = None
    if told is None:
        raise ValueError("should be a day like 2027-01-31, or a time like 2027-01-31T12:00:00Z")
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()


Hash = Annotated[str, BeforeValidator(_hash), WithJsonSchema({"type": "string", "pattern": f"^{_HASH.pattern}$"})]
Expiry = Annotated[float, BeforeValidator(_expiry), WithJsonSchema({"type": "string"})]
Count = Annotated[Integer, Field(ge=1, le=10**12)]


class BudgetKeys(Block):
    """What a key may spend: `amount` in USD, anew in each window."""

    amount: Annotated[Number, Field(gt=0, le=1e9)]
    window: Window


class KeyBlock(Block):
    """One key as the file has it, under its name."""

    hash: Hash
    models: list[Name] = []
    dialects: list[Name] = []
    project: Name | None = None
    budget: BudgetKeys | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    max_parallel: Count | None = None
    expires: Expiry | None = None
    omit: Literal["none", "inputs", "outputs", "all"] = "none"
    sample_rate: Annotated[Number, Field(ge=0, le=1)] = 1.0
    log: bool = False


def callers(blocks: Mapping[str, KeyBlock]) -> dict[bytes, Caller]:
    """The callers by the SHA-256 of their keys."""
    return {_digest(block): _caller(name, block) for name, block in blocks.items()}


def problems(blocks: Mapping[str, KeyBlock], dialects: Collection[str]) -> list[tuple[tuple[str | int, ...], str]]:
    """What only the whole block can tell to be wrong: where it stands, and what it is. `dialects` are those served."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    seen: dict[bytes, str] = {}
    known = [*SHIPPED] if not any(":" in one for one in dialects) else None
    for name, block in blocks.items():
        first = seen.setdefault(_digest(block), name)
        if first != name:
            found.append((("keys", name, "hash"), f"is that of key {first}, too: each needs a key of its own"))
        for field in ("models", "dialects"):
            if field in block.model_fields_set and not getattr(block, field):
                found.append((("keys", name, field), "is empty: leave it out for any"))
        for place, dialect in enumerate(block.dialects):
            if known is not None and dialect not in known:
                found.append((("keys", name, "dialects", place), f"no such dialect{nearest(dialect, known)}"))
    return found


def doubtful(
    blocks: Mapping[str, KeyBlock],
    dialects: Collection[str],
    known: Callable[[str], bool],
    hint: Callable[[str], str],
) -> list[tuple[tuple[str | int, ...], str]]:
    """What opens nothing to a key: dialects that are not served, and names that lead nowhere, with the nearest that
    `hint` has. Patterns may fit what nobody has listed.
    """
    found: list[tuple[tuple[str | int, ...], str]] = []
    served = {*dialects} if not any(":" in one for one in dialects) else None
    for name, block in blocks.items():
        for place, dialect in enumerate(block.dialects):
            if served is not None and dialect in SHIPPED and dialect not in served:
                found.append((("keys", name, "dialects", place), "is not served: server.dialects does not have it"))
        for place, model in enumerate(block.models):
            if "*" not in model and not known(model):
                found.append((("keys", name, "models", place), f"leads nowhere{hint(model)}"))
    return found


def _digest(block: KeyBlock) -> bytes:
    return bytes.fromhex(block.hash.removeprefix("sha256:"))


def _caller(name: str, block: KeyBlock) -> Caller:
    budget = block.budget
    return Caller(
        name=name,
        models=tuple(block.models),
        dialects=tuple(block.dialects),
        project=block.project,
        budget=Budget(round(budget.amount * NANO), budget.window) if budget else None,
        rpm=block.rpm,
        tpm=block.tpm,
        max_parallel=block.max_parallel,
        expires=block.expires,
        inputs=block.omit not in ("inputs", "all"),
        outputs=block.omit not in ("outputs", "all"),
        sample_rate=block.sample_rate,
        log=block.log,
    )
