"""A run on the terminal: the difference of each call, then the totals.

What must stay true: nothing that a model said steers a terminal, and no line of it is mistaken for one of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.commands.replay.difference import Change, Compared, Part, answers, compared
from proxy.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.commands.replay.outcome import Figures, Outcome, Pair, Totals
    from proxy.record import Record

    Get = Callable[[str], Record | None]

CONTEXT = 2
"""Lines around a change that are told; of longer stretches that are the same only how many there are."""

FORMS = {"cost": "${:.6f}", "latency": "{:.3f} s", "input_tokens": "{:.0f}", "output_tokens": "{:.0f}"}
NAMES = {"cost": "cost", "latency": "latency", "input_tokens": "tokens in", "output_tokens": "tokens out"}
COLOURS = {"same": "green", "different": "yellow", "failed": "red", "not compared": None}


def differences(outcome: Outcome, get: Get) -> list[Compared] | None:
    """The answers of a replay beside the original's, from the log; None where there is nothing to compare."""
    before, after = get(outcome.original), get(outcome.replay)
    if before is None or after is None or not outcome.answered or outcome.verdict == "not compared":
        return None
    return compared(answers(before) or [], answers(after) or [])


def show(outcome: Outcome, get: Get) -> None:
    """One call: a line that says what came of it, one with its figures, and what differs."""
    for line in _lines(outcome, get):
        click.echo(line)


def _lines(outcome: Outcome, get: Get) -> Iterator[str]:
    ids = f"{clean(outcome.original)} -> {clean(outcome.replay)}"
    yield f"{click.style(outcome.verdict, fg=COLOURS[outcome.verdict], bold=True)}  {ids}"
    yield f"  {models(outcome)}  {'  '.join(figures_of(outcome))}".rstrip()
    if outcome.error:
        yield from (f"  {click.style(line, fg='red')}" for line in _harmless(outcome.error))
    if outcome.verdict == "different":
        found = differences(outcome, get) or []
        for place, one in enumerate(found):
            changed = any(side != "both" for side, _ in one.text)
            if len(found) > 1 and (changed or one.tools):
                yield f"  choice {place}"
            if changed:
                yield from (f"  {line}" for line in word_diff(one.text))
            yield from (f"  {line}" for line in _tools(one))


def models(outcome: Outcome) -> str:
    before, after = outcome.before.model or "-", outcome.after.model or "-"
    return clean(before if before == after else f"{before} -> {after}")


def figures_of(outcome: Outcome) -> list[str]:
    """Latency, cost and tokens, before and after."""
    names = ("latency", "cost", "input_tokens", "output_tokens")
    return [f"{NAMES[name]} {_pair(outcome.before, outcome.after, name)}" for name in names]


def _pair(before: Figures, after: Figures, name: str) -> str:
    return pair(getattr(before, name), getattr(after, name), FORMS[name])


def pair(before: float | None, after: float | None, form: str) -> str:
    """`2.000 s -> 1.000 s (-50%)`."""
    old, new = ("-" if one is None else form.format(one) for one in (before, after))
    if before is None or after is None:
        return "-" if old == new == "-" else f"{old} -> {new}"
    share = f" ({(after - before) / before:+.0%})" if before and old != new else ""
    return f"{old} -> {new}{share}" if old != new else old


def word_diff(parts: list[Part]) -> Iterator[str]:
    """A text as git's --word-diff has it: [-removed-]{+added+}, coloured on a terminal."""
    lines: list[str] = [""]
    changed: set[int] = set()
    for side, text in parts:
        for at, line in enumerate(_harmless(text)):
            if at:
                lines.append("")
            if side == "both":
                lines[-1] += line
            else:
                lines[-1] += _marked(side, line)
                changed.add(len(lines) - 1)
    near = {at + off for at in changed for off in range(-CONTEXT, CONTEXT + 1)}
    hidden = 0
    for at, line in enumerate(lines):
        if at in near:
            if hidden:
                yield click.style(f"... {hidden} lines that are the same", dim=True)
            hidden = 0
            yield line
        else:
            hidden += 1
    if hidden:
        yield click.style(f"... {hidden} lines that are the same", dim=True)


def _marked(side: str, text: str) -> str:
    """A line of what was removed, or added; an empty one is that of a line break."""
    marks, colour = (("[-", "-]"), "red") if side == "before" else (("{+", "+}"), "green")
    return click.style(f"{marks[0]}{text}{marks[1]}", fg=colour)


def _tools(one: Compared) -> Iterator[str]:
    for name, changes in one.tools:
        told = ", ".join(_change(change) for change in changes)
        if told or " is " in name:
            yield f"{clean(name)}({told})"


def _change(change: Change) -> str:
    parts: list[tuple[str, str]] = [
        (side, value) for side, value in (("before", change.before), ("after", change.after)) if value is not None
    ]
    return f"{clean(change.key)}: {''.join(_marked(side, clean(value)) for side, value in parts)}"


def _harmless(text: str) -> list[str]:
    return [clean(line, len(line)) for line in text.replace("\t", "    ").split("\n")]


def show_totals(totals: Totals) -> None:
    """All of a run, as a table."""
    from proxy.terminal import console, table, text

    shown = table("", "")
    shown.show_header = False
    for name, told in told_totals(totals):
        shown.add_row(text(name), text(told))
    click.echo()
    console().print(shown)


def told_totals(totals: Totals) -> Iterator[tuple[str, str]]:
    """Names and values of what a run comes to."""
    said = [f"{totals.verdicts.get(name, 0)} {name}" for name in ("same", "different", "failed")]
    if other := totals.verdicts.get("not compared"):
        said.append(f"{other} not compared, since outputs were omitted")
    cut = ", interrupted" * totals.interrupted + ", stopped since a row could not be stored" * totals.unstored
    yield "calls", f"{totals.made} of {totals.planned}{cut}: {', '.join(said)}"
    skipped = sum(totals.skipped.values())
    yield "rows", f"{totals.rows}{f', and {skipped} skipped' if skipped else ''}"
    for reason, count in totals.skipped.items():
        yield "skipped", f"{count}: {reason}"
    unpriced = f", and {totals.unpriced} calls whose cost nobody knows" if totals.unpriced else ""
    yield "spent", FORMS["cost"].format(totals.spent) + unpriced
    for name, one in totals.sums.items():
        yield NAMES[name], _told(one, FORMS[name])
    for name, one in totals.latency.items():
        yield f"latency {name}", _told(one, FORMS["latency"])


def _told(one: Pair, form: str) -> str:
    return pair(one.before, one.after, form)


def as_json(outcome: Outcome, get: Get) -> dict[str, Any]:
    """A call with its difference, for programs."""
    from dataclasses import asdict

    found = differences(outcome, get)
    return {**asdict(outcome), "difference": None if found is None else [asdict(one) for one in found]}
