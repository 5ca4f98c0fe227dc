from __future__ import annotations

import copy
import json
import time
import uuid
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.models import Json
from proxy.patterns import NAMED, own
from proxy.redaction import Late, Redaction, fault

ALL = Redaction([rule for rules in NAMED.values() for rule in rules])

FOUND = {
    "emails": ("ada@example.org", "Jörg.Müller+x@mail.bücher.de", "o'hara@a-b.co.uk", "ada%40example.org")
    + (
        "jose\u0301@example.org",
        "\u0938\u0902\u092a\u0930\u094d\u0915@\u0921\u093e\u091f\u093e.\u092d\u093e\u0930\u0924",
    ),
    "keys": (
        "sk-abcdefghij0123456789",
        "sk-proj-AbCdEfGhIjKlMnOpQrStUvWx",
        "sk-ant-api03-0123456789abcdefghij",
        "sk-svcacct-abcdefghijklmnopqrstuvwx",
        "r8_abcdefghijklmnopqrstuvwxyzabcdefghijk",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNNTEXAMPLE",
        "ghp_0123456789abcdefghijABCDEFGHIJ",
        "AIza" + "0123456789abcdefghijABCDEFGHIJ-_xyz",
        "xoxb-123456789012-abcdef",
        "gsk_0123456789abcdefghijABCDEFGHIJ",
        "sk_live_0123456789abcdefAB",
        "Bearer 0123456789abcdef-~+/==",
        "basic dXNlcjpwYXNzd29yZA==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY-----",
    ),
    "cards": (
        *("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005"),
        *("6011111111111117", "30569309025904", "4222222222222"),
        *("4111\u00a01111\u00a01111\u00a01111", "4111.1111.1111.1111", "4111  1111  1111  1111"),
        *("3782\u202f822463\u202f10005", "5555\u20095555\u20095555\u20094444", "2223.0031.2200.3222"),
    ),
    "phones": ("+49 30 901820", "+1 (415) 555-2671", "(415) 555-2671", "415-555-2671"),
    "ips": ("192.168.0.12", "2001:db8::ff00:42:8329", "fe80:0:0:0:1:2:3:4", "fe80::1", "2001:db8::"),
}
CASES = [(kind, text) for kind, texts in FOUND.items() for text in texts]

LEFT = (
    *(
        "the task-list of sk-learn is long",
        "sk-learn-based-approach-to-something",
        "a bearer of responsibilitiesandmore",
    ),
    *(
        "4111111111111112",
        "1732230000000000000",
        # with a check digit that is right by chance: years in a table, and groups set apart in several ways
        "2010  2011  2012  2013",
        "4111  1111.1111  1111",
        "2026-11-21T22:57:26.123456+00:00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    *(
        "12:30:45",
        "std::vector",
        "add::cafe",
        "a[1::2]",
        "ASIAPACIFICCOOPERATIONANDSOON",
        "aa:bb:cc:dd:ee:ff",
        "1.2.3",
        "999.1.1.1",
        "a @ b.c",
        "@ada",
        "gpt-4o-mini-2024-07-18",
    ),
    *("0190d3f2-7e3b-7c1a-9f00-123456789012", "41111111-1111-4111-8111-111111111111", "4111111111111111abc"),
)


@pytest.mark.parametrize(("kind", "text"), CASES)
@pytest.mark.parametrize("around", ["{}", "it is {}, then", "–{}\n", "({})", '"{}"', "{} {}"])
def test_what_has_a_name_is_found(kind: str, text: str, around: str) -> None:
    only = Redaction(NAMED[kind])
    cleaned = only.clean(around.replace("{}", text))
    assert cleaned == around.replace("{}", f"[{kind.removesuffix('s')}]"), cleaned
    assert ALL.kinds(around.replace("{}", text)) >= {kind}


def test_of_a_key_that_is_cut_off_nothing_is_left() -> None:
    assert ALL.clean("see:\n-----BEGIN EC PRIVATE KEY-----\nMIIBOgIBAAJBAK") == "see:\n[key]"
    assert ALL.clean('{"a": "-----BEGIN PRIVATE KEY-----\\nMII", "b": 1}') == '{"a":"[key]","b":1}'


def test_json_is_still_json_afterwards() -> None:
    quoting = Redaction([*NAMED["cards"], own("ticket", r"T-\d+", '"a ticket"')])
    said = json.dumps([{"card": 4111111111111111, "T-1": "T-2\n"}])
    assert json.loads(quoting.clean(said)) == [{"card": "[card]", '"a ticket"': '"a ticket"\n'}]


def test_cards_in_a_row_are_found_each() -> None:
    assert ALL.clean("1234 5555 4111 1111 1111 1111 123") == "1234 5555 [card] 123"
    assert ALL.clean("4111-1111-1111-1111-5555-5555-5555-4444") == "[card]-[card]"
    spaced = "4111\u00a01111\u00a01111\u00a01111"
    assert ALL.clean(f"{spaced}\u00a0123 and {spaced}\u00a0x") == "[card]\u00a0123 and [card]\u00a0x"


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert ALL.clean(text) is text


@given(st.uuids(), st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1))
def test_ids_stay(id: uuid.UUID, trace: int, span: int) -> None:
    text = f"{id} {trace:032x} 00-{trace:032x}-{span:016x}x-01 {id.hex}"
    assert ALL.kinds(text) == set()


TEXT = st.one_of(st.text(max_size=12), st.sampled_from(["\n", "\\", '"', "\t4", "_", " ", "5555 ", "@", "\ud800", "é"]))
SECRET = st.sampled_from(CASES).map(lambda case: case[1])
HOLDING = st.tuples(TEXT.filter(lambda text: not text[-1:].isalnum()), SECRET, TEXT).map(
    lambda parts: f"{parts[0]} {parts[1]} {parts[2]}"
)
JSON = st.recursive(
    st.one_of(HOLDING, TEXT, st.integers(-9, 9), st.none(), st.just(4111111111111111), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(HOLDING, TEXT), inner, max_size=3),
        # JSON inside of a text, as the arguments of a tool are, and within that once more
        inner.map(lambda value: json.dumps(value)),
        inner.map(lambda value: "They are: " + json.dumps(value, ensure_ascii=False)),
    ),
    max_leaves=8,
)


@given(JSON)
@example({"ada@example.org": 1, "eve@example.org": 2, "[email]": 3})
@example(["5555 4111 1111 1111 1111"])
def test_nothing_that_matches_is_left_wherever_it_stands(value: Json) -> None:
    before = copy.deepcopy(value)
    cleaned = ALL.clean(value)
    assert value == before, "what was given is changed"
    written = json.dumps(cleaned, ensure_ascii=False)
    for _, secret in CASES:
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3]):
            assert form not in written
    assert ALL.clean(cleaned) == cleaned, "it is not clean"
    assert _leaves(cleaned) == _leaves(value), "something is lost"


def _leaves(value: Json) -> int:
    if isinstance(value, dict):
        return sum(1 + _leaves(inner) for inner in value.values())
    return sum(map(_leaves, value)) if isinstance(value, list) else 1


@given(JSON)
def test_what_has_no_match_is_handed_back_itself(value: Json) -> None:
    nothing = Redaction([own("never", "this stands nowhere", None)])
    assert nothing.clean(value) is value
    assert nothing.clean({"a": value})["a"] is value


def test_a_pattern_of_one_s_own() -> None:
    tickets = Redaction([own("ticket", r"T-\d+", None), own("name", r'"x"', r"\1 as it is")])
    assert tickets.clean(["T-1, T-22", {"T-3": 'a "x"'}]) == ["[ticket], [ticket]", {"[ticket]": r"a \1 as it is"}]
    assert tickets.clean(json.dumps({"a": 'b "x" c'})) == json.dumps({"a": r"b \1 as it is c"}, separators=(",", ":"))
    numbers = Redaction([own("pin", r"\b\d{4}\b", "****")])
    assert numbers.clean({"pin": 1234, "no": 12345, "yes": True}) == {"pin": "****", "no": 12345, "yes": True}
    assert numbers.clean({"pin": 1234}, numbers=False) == {"pin": 1234}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(abc", "missing ) at character 1"),
        ("ab(?=c)", "invalid perl operator at character 3"),
        (r"(a)\1", "invalid escape sequence at character 4"),
        ("a{1001}", "invalid repetition size at character 2"),
        ("\\", "trailing \\ at character 1"),
        ("x*", "matches the empty text"),
    ],
)
def test_a_pattern_that_cannot_be_is_told_by_its_place(pattern: str, said: str) -> None:
    assert said in str(fault(pattern))


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+b", r"(.*)*x", "sk-[a-z0-9]{20,}"])
def test_a_pattern_that_would_stall_a_backtracker_takes_no_time(pattern: str) -> None:
    began = time.perf_counter()
    Redaction([own("mine", pattern, None)]).clean("a" * 100_000 + "!")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'He said: {"to": "\u0061da@example.org", "n": 1}', 'He said: {"to": "[email]", "n": 1}'),
        (r'"a \u006a\u00f6rg\u0040example.org b" and ada@example.org', '"a [email] b" and [email]'),
        (r"log: {\"to\": \"ada\\u0040example.org\"} end", r"log: {\"to\": \"[email]\"} end"),
        (r'x {"key": "Bearer abcdefgh\/1234\/abcdefgh="}', 'x {"key": "[key]"}'),
        (r"C:\users\new \ud83d\ude00 \u00zz \u0061 \/", r"C:\users\new \ud83d\ude00 \u00zz \u0061 \/"),
    ],
)
def test_matches_in_a_piece_of_json_are_found_in_its_own_letters(text: str, expected: str) -> None:
    assert ALL.clean(text) == expected


@given(st.text(alphabet='a@.\\u/0617[]{" b', max_size=60))
def test_escapes_are_copied_as_they_are(text: str) -> None:
    """A rule for what never comes changes nothing, and one for each letter replaces every one, escaped or not."""
    assert Redaction([own("none", "zzz", "-")]).clean(text) is text
    changed = Redaction([own("each", "a", "")]).clean(text)
    assert isinstance(changed, str)
    assert "a" not in changed
    if "\\" not in text:
        assert changed == text.replace("a", "")


def test_many_backslashes_take_no_longer_than_other_letters() -> None:
    text = "\\" * 1_000_000 + "\\u006" * 100_000 + r"x \u0061da@example.org"
    began = time.process_time()
    assert ALL.clean(text) == text.removesuffix(r"\u0061da@example.org") + "[email]"
    assert time.process_time() - began < 2


def test_a_pattern_that_overlaps_itself_far_holds_no_thread_for_long() -> None:
    """RE2 takes some microseconds for each of these characters, and nothing can end it."""
    counting = Redaction([own("mine", "a[^b]{900}c", None)])
    text = "".join(Random(1).choices("ad ", k=2_000_000))
    began = time.process_time()
    with pytest.raises(Late):
        counting.clean(text, time.monotonic() + 0.5)
    assert time.process_time() - began < 2
    found = f"a{'d' * 900}c"
    assert (
        counting.clean("x" * 500_000 + found + "x" * 500_000, time.monotonic() + 20)
        == f"{'x' * 500_000}[mine]{'x' * 500_000}"
    )


def test_what_takes_too_long_is_said_and_not_let_through() -> None:
    """Each search of this one reads the whole rest of the text to find one letter."""
    slow = Redaction([own("mine", "a[^b]*b|a", None)])
    with pytest.raises(Late):
        slow.clean("a" * 200_000, time.monotonic() + 0.05)
