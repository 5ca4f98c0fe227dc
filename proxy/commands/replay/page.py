"""A run as one HTML page that stands by itself.

What must stay true: whatever a model, a caller or a config said is text on it and nothing else; it loads nothing, runs
nothing and sends nothing, which its policy says to the browser once more; it holds no more than the log does.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from proxy.commands.replay.outcome import Figures, Outcome
from proxy.commands.replay.plot import plot
from proxy.commands.replay.report import FORMS, NAMES, differences, models, pair, told_totals
from proxy.terminal import clean

if TYPE_CHECKING:
    from proxy.commands.replay.difference import Change, Compared
    from proxy.commands.replay.outcome import Run, Totals
    from proxy.commands.replay.report import Get

STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #59636e; --old: #ffd7d5; --new: #ccffd8; --warn: #bc4c00;
  --bad: #cf222e; --good: #1a7f37; --paper: #ffffff; --ink: #1f2328; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #9198a1; --old: #67060c; --new: #0f5323;
  --warn: #db6d28; --bad: #f85149; --good: #3fb950; --paper: #0d1117; --ink: #f0f6fc; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); color: var(--ink); }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 2rem 0 .25rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; }
th { font-weight: 600; } .soft { color: var(--soft); }
.same { color: var(--good); } .different { color: var(--warn); } .failed { color: var(--bad); }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } svg { width: 18rem; max-width: 100%; }
svg text { font-size: 10px; fill: var(--soft); } .frame { fill: none; stroke: var(--line); }
.even { stroke: var(--line); stroke-dasharray: 3 3; } .less { fill: var(--good); } .more { fill: var(--warn); }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; margin: .25rem 0; padding: .5rem;
  border: 1px solid var(--line); border-radius: 6px; font: 13px/1.45 ui-monospace, monospace; }
del { background: var(--old); text-decoration: none; } ins { background: var(--new); text-decoration: none; }
@media (max-width: 40rem) { .sides { grid-template-columns: 1fr; } }
"""

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


def page(run: Run, totals: Totals, get: Get) -> Iterator[str]:
    """The page in pieces, one call in memory at a time; `get` reads the log."""
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>Replay {_text(run.id)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Replay</h1>\n"
    )
    yield f'<p class="soft">run {_text(run.id)}</p>\n<table class="totals">\n'
    for name, told in told_totals(totals):
        yield f"<tr><th>{_text(name)}</th><td>{_text(told)}</td></tr>\n"
    yield "</table>\n" + _plots(run.outcomes)
    for outcome in run.outcomes:
        yield from _call(outcome, get)
    yield "</body>\n</html>\n"


def _plots(outcomes: list[Outcome]) -> str:
    drawn = []
    for name in ("cost", "latency"):
        sides = [(getattr(one.before, name), getattr(one.after, name)) for one in outcomes if one.answered]
        known = [(before, after) for before, after in sides if before is not None and after is not None]
        drawn.append(plot(name, known, FORMS[name]))
    return f'<div class="plots">{"".join(drawn)}</div>\n'


def _call(outcome: Outcome, get: Get) -> Iterator[str]:
    """One call: what came of it, its figures, and where the answers differ both of them, side by side."""
    yield f'<section>\n<h2><span class="{outcome.verdict.replace(" ", "-")}">{outcome.verdict}</span> '
    yield f'{_text(outcome.original)} <span class="soft">to {_text(outcome.replay)}</span></h2>\n'
    yield f"<p>{_text(models(outcome))}{''.join(_figure(outcome.before, outcome.after, name) for name in FORMS)}</p>\n"
    if outcome.error:
        yield f"<pre>{_text(outcome.error)}</pre>\n"
    found = differences(outcome, get) or []
    for place, one in enumerate(found):
        if len(found) > 1:
            yield f'<p class="soft">choice {place}</p>\n'
        yield from _compared(one)
    yield "</section>\n"


def _figure(before: Figures, after: Figures, name: str) -> str:
    told = pair(getattr(before, name), getattr(after, name), FORMS[name])
    return f' <span class="soft">{NAMES[name]}</span> {_text(told)}'


def _compared(one: Compared) -> Iterator[str]:
    if all(side == "both" for side, _ in one.text):
        yield f"<pre>{_text(one.text[0][1])}</pre>\n" if one.text else ""
    else:
        yield '<div class="sides">'
        for side, mark in (("before", "del"), ("after", "ins")):
            parts = ((own == side, text) for own, text in one.text if own in (side, "both"))
            told = "".join(f"<{mark}>{_text(text)}</{mark}>" if own else _text(text) for own, text in parts)
            yield f"<pre>{told}</pre>"
        yield "</div>\n"
    for name, changes in one.tools:
        yield f"<p>{_text(name)}</p>\n"
        if changes:
            yield f"<table>{''.join(map(_change, changes))}</table>\n"


def _change(change: Change) -> str:
    old = f"<del>{_text(change.before)}</del>" if change.before is not None else ""
    new = f"<ins>{_text(change.after)}</ins>" if change.after is not None else ""
    return f"<tr><th>{_text(change.key)}</th><td>{old}</td><td>{new}</td></tr>"


def _text(text: str) -> str:
    """Anybody's text as text: markup is none, and no control character turns what stands beside it."""
    lines = text.replace("\t", "    ").encode("utf-8", "replace").decode().split("\n")
    return escape("\n".join(clean(line, len(line)) for line in lines), quote=True)
