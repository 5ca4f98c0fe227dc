"""The report of a replay in a real browser: everything on it is text, and it needs nothing besides itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.faults.chromium import Browser
from tests.test_replay import Lab, lab
from tests.upstreams.scenario import Reply, Scenario, ToolUse

__all__ = ["lab"]

HOSTILE = (
    "<script>alert('script')</script>",
    '<img src="http://evil.test/x.png" onerror="alert(1)">',
    "</pre></section></body><iframe srcdoc='<script>alert(2)</script>'></iframe>",
    '"><svg onload=alert(3)>',
    "</style><style>body{display:none}</style>",
    "</title><base href='http://evil.test/'><meta http-equiv=refresh content='0;url=javascript:alert(4)'>",
    "&lt;b&gt; &#60;script> javascript:alert(5) \u202e\u2066 ]]> <!-- --> {{7*7}}",
)

FOUND = """JSON.stringify({
    elements: [...new Set([...document.querySelectorAll("*")].map(one => one.localName))].sort(),
    handlers: [...document.querySelectorAll("*")].flatMap(one => one.getAttributeNames())
        .filter(name => /^on|^src|^href|^style$|^action/.test(name)),
    removed: [...document.querySelectorAll("del")].map(one => one.textContent),
    added: [...document.querySelectorAll("ins")].map(one => one.textContent),
    points: document.querySelectorAll("circle").length,
    loaded: performance.getEntriesByType("resource").map(one => one.name),
    shown: getComputedStyle(document.body).display,
    colour: getComputedStyle(document.body).color,
    paper: getComputedStyle(document.body).backgroundColor,
    text: document.body.innerText,
})"""

OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "span", "table", "tbody", "tr", "th", "td"}
OURS |= {"div", "section", "pre", "del", "ins", "svg", "rect", "line", "circle", "text"}


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_what_a_model_says_is_text_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    text = "\n".join(HOSTILE)
    called = ToolUse("call00001", HOSTILE[0], {HOSTILE[1]: HOSTILE[2]})
    lab.first.script = Scenario(Reply(("Before. ",), tools=(called,)))
    trace_id = lab.logged(messages=[{"role": "user", "content": text}])
    lab.second.script = [
        Scenario(Reply((text,), tools=(ToolUse("call00001", HOSTILE[0], {HOSTILE[1]: HOSTILE[3]}),))),
        Scenario(Reply((text,))),
        Scenario(status=400),
    ]
    page = tmp_path / "report.html"
    found = lab.run(trace_id, "--model", "b", "-n", "3", "--concurrency", "1", "--html", str(page))
    assert found.exit_code == 1, found.output
    assert (page.stat().st_mode & 0o777) == 0o600
    with Browser(tmp_path / "browser") as browser:
        browser.open(page.as_uri())
        told = json.loads(browser.evaluate(FOUND))
        assert browser.evaluate("document.title").startswith("Replay ")
    assert browser.dialogs == []
    # nothing had to be kept from it either: no markup of theirs came so far
    assert browser.violations == []
    assert set(told["elements"]) <= OURS
    assert (told["handlers"], told["loaded"], told["shown"]) == ([], [], "block")
    for line in HOSTILE[:6]:
        assert line in told["text"]
    assert "{{7*7}}" in told["text"]
    assert "\u202e" not in told["text"]
    assert json.dumps(HOSTILE[2]) in told["removed"]
    assert json.dumps(HOSTILE[3]) in told["added"]
    assert told["points"] == 4
    for word in ("calls", "cost", "tokens in", "latency p50", "3 of 3: 0 same, 2 different, 1 failed"):
        assert word in told["text"]


def test_it_can_be_read_in_the_light_and_in_the_dark(lab: Lab, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert lab.run(lab.logged(), "--model", "b", "--html", str(page)).exit_code == 0
    contrast = {}
    with Browser(tmp_path / "browser") as browser:
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.ask("Emulation.setEmulatedMedia", features=features)
            browser.open(page.as_uri())
            told = json.loads(browser.evaluate(FOUND))
            contrast[scheme] = brightness(told["paper"]) - brightness(told["colour"])
    assert contrast["light"] > 500
    assert contrast["dark"] < -500
