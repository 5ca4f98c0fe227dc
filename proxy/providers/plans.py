"""How calls are written, kept on disk: a gateway that starts again answers known kinds of calls without LiteLLM.

A record is all that one kind of call needs: what the rules made of its parameters, its wire, and what a token costs.
What must stay true:

* Nothing of a client's words is kept: only kinds whose parameters are numbers, or have stand-ins, of calls that may be
  written down. Tools are left out of a record, which is there only where LiteLLM sent them byte for byte as they were
  said, and counts for the very same tools only, since its name is a hash of them too: they go as each call has them.
* No key is in a record (`wires.py`), and records count for one version of LiteLLM and of this gateway only.
* A file that is not as it was written is no file.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from proxy import __version__
from proxy.models import Call, Json
from proxy.providers.lean import TOOLS, Lean
from proxy.providers.preparation import Preparation, Prepared
from proxy.providers.prices import Prices, Rate, key, names
from proxy.providers.standins import Place
from proxy.providers.translation.parameters import KNOWN, OWN, Plan
from proxy.providers.wires import Wire
from proxy.target import Target

logger = logging.getLogger(__name__)

MOST = 1024
"""Records that a file holds; the oldest make room."""

CHOICES = ("auto", "none", "required")

PAUSE = 1.0
"""Seconds from the first change to the writing of the file, for those that come together."""


class Plans:
    """The records of one data folder. `path` is None where nothing is kept.

    `needed` says whether the run before met calls that no record could serve: then LiteLLM is loaded at once.
    """

    def __init__(self, path: Path | None, preparation: Preparation, lean: Lean, prices: Prices) -> None:
        self._path = path
        self._preparation = preparation
        self._lean = lean
        self._prices = prices
        self._records: dict[str, dict[str, Json]] = {}
        self._used = self._unserved = False
        self._saving: asyncio.TimerHandle | None = None
        self.needed = True

    def load(self) -> None:
        """Read the file, if there is one of these versions."""
        document = self._read()
        for name, record in document.get("records", {}).items():
            self._learn(name, record)
        self.needed = not self._records or document.get("needed") is not False

    def served(self, call: Call, plan: Plan, target: Target, model: str | None) -> None:
        """A call went well: keep its kind, if it may be kept. `model` is the name that its answer gave."""
        if self._path is None:
            return
        self._used = True
        if self.holds(plan):
            return
        record = self._record(call, plan, key(names(target, model)))
        if record is None or plan.wire is None:
            self.missed()
            return
        if len(self._records) >= MOST:
            del self._records[next(iter(self._records))]
            self.missed()
        self._records[plan.wire.hex()] = record
        self._change()

    def holds(self, plan: Plan) -> bool:
        """Whether there is a record for the kind of a plan whose wire is known: it needs LiteLLM for nothing."""
        return plan.wire is not None and plan.wire.hex() in self._records

    def missed(self) -> None:
        """A call was made that no record can serve."""
        if not self._unserved:
            self._unserved = True
            self._change()

    def _change(self) -> None:
        if self._path is not None and self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(PAUSE, self.save)

    def save(self) -> None:
        """Write the file anew; other workers' records stay. What goes wrong is told and costs nothing but time."""
        if self._path is None:
            return
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        records = {**self._read().get("records", {}), **self._records}
        kept = dict(list(records.items())[-MOST:])
        needed = self._unserved or (self.needed and not self._used)
        document = {**_versions(), "needed": needed, "records": kept}
        try:
            # for its owner alone, as all of the data folder, and gone where the disk is full
            with TemporaryDirectory(dir=self._path.parent, prefix=".plans") as folder:
                fresh = Path(folder) / self._path.name
                fresh.touch(0o600)
                fresh.write_bytes(orjson.dumps({**document, "checksum": _checksum(document)}))
                fresh.replace(self._path)
        except OSError as error:
            logger.warning("plans are not kept: %s", error)

    def _read(self) -> dict[str, Any]:
        """The file's document; an empty one where it is another version's, or damaged."""
        try:
            found = orjson.loads(self._path.read_bytes()) if self._path is not None else {}
        except (OSError, orjson.JSONDecodeError):
            return {}
        if not isinstance(found, dict) or found.pop("checksum", None) != _checksum(found):
            return {}
        return found if {name: found.get(name) for name in _versions()} == _versions() else {}

    def _record(self, call: Call, plan: Plan, price: str) -> dict[str, Json] | None:
        prepared, wire = self._preparation.kept.get(plan.name), self._lean.wires.get(plan.wire)
        if plan.name is None or prepared is None or wire is None or wire.transform is not None:
            return None
        said = (TOOLS,) if _unchanged(plan, prepared, wire) else ()
        if call.request.policy.omits or not all(
            name in plan.own or name in said or _plain(name, value) for name, value in plan.wanted.items()
        ):
            return None
        kept = replace(prepared, arguments=_without(prepared.arguments, said), said=said)
        priced, rate = price in self._prices.rates, self._prices.rates.get(price)
        return {
            "name": plan.name.hex(),
            "prepared": {**asdict(kept), "forced": sorted(prepared.forced)},
            "wire": {
                "url": wire.url,
                "headers": dict(wire.headers),
                "fields": _without(wire.fields, said),
                "developer": wire.developer,
                "places": [*wire.places, *(((name,), name) for name in said)],
            },
            "price": price if priced else "",
            "rate": None if rate is None else asdict(rate),
        }

    def _learn(self, name: str, record: Mapping[str, Any]) -> None:
        try:
            prepared = dict(record["prepared"])
            prepared |= {
                "forced": frozenset(prepared["forced"]),
                "lead": tuple(prepared["lead"]),
                "said": tuple(prepared["said"]),
            }
            made = Prepared(**prepared)
            wire = Wire(**{**record["wire"], "places": _places(record["wire"]["places"])}, direct=True)
            rate = None if record["rate"] is None else Rate(**record["rate"])
            price, kind, written = record["price"], bytes.fromhex(record["name"]), bytes.fromhex(name)
        except (KeyError, TypeError, ValueError):  # a record of another form
            return
        self._preparation.kept.put(kind, made, made.weight)
        self._lean.wires.put(written, wire, made.weight)
        if price:
            self._prices.rates[price] = rate
        self._records[name] = dict(record)


def _versions() -> dict[str, str]:
    return {"litellm": importlib.metadata.version("litellm"), "gateway": __version__}


def _checksum(document: Mapping[str, Json]) -> str:
    return hashlib.blake2b(orjson.dumps(document), digest_size=16).hexdigest()


def _plain(name: str, value: Json) -> bool:
    """Whether a parameter says nothing but a number, or one of OpenAI's own words."""
    if name == "tool_choice" and value in CHOICES:
        return True
    return (name in KNOWN or name in OWN) and isinstance(value, bool | int | float | None)


def _unchanged(plan: Plan, prepared: Prepared, wire: Wire) -> bool:
    """Whether tools were sent as the client said them; LiteLLM changes some, by what stands in them."""
    made = plan.wanted if TOOLS in prepared.said else prepared.arguments
    if TOOLS not in plan.wanted or TOOLS not in made or TOOLS not in wire.fields:
        return False
    return orjson.dumps(plan.wanted[TOOLS]) == orjson.dumps(made[TOOLS]) == orjson.dumps(wire.fields[TOOLS])


def _without(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _places(listed: Json) -> list[tuple[Place, str]]:
    return [(tuple(str(step) for step in path), str(name)) for path, name in listed]
