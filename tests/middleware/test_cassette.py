from __future__ import annotations

import json
import time
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.caller import Caller
from proxy.config import Config, load
from proxy.config.router import Wildcard
from proxy.errors import BadRequest, ConfigError, GatewayError, NotRecorded, Unasked, UpstreamError
from proxy.middleware.cassette import Player
from proxy.middleware.cassette.blot import HIDDEN, Blot, blot
from proxy.middleware.cassette.canonical import Canon, difference
from proxy.middleware.names import Names
from proxy.models import Call, Choice, Chunk, Completion, Event, LogPolicy, ToolCall
from proxy.recording import Mode, Recording, key, read, written
from proxy.stores.cassette import Folder
from proxy.target import Group, Target
from tests.middleware.calls import TARGET, Upstream, make_call, make_completion
from tests.middleware.test_entry import chunk, completion, text
from tests.middleware.test_entry import json as values

PLAIN = Config()
WHOLE = [Chunk("a"), Chunk(" b"), Chunk(" c")]


def asking(said: str = "hello", **rest: Any) -> Call:
    return make_call(said, **{"groups": (Group(name="mini", targets=(TARGET,)),), **rest})


async def told(
    player: Player, call: Call, upstream: Upstream, config: Config = PLAIN, arrived: list[Event] | None = None
) -> list[Event]:
    """The events of a call; what came before a failure is in `arrived`."""
    found = [] if arrived is None else arrived
    async with aclosing(player.under(config)(upstream.handler)(call)) as events:
        async for event in events:
            found.append(event)
    return found


def player(folder: Path, mode: Mode) -> Player:
    return Player(Folder(folder, make=mode != "replay"), mode)


async def recorded(folder: Path, *upstreams: Upstream, said: str = "hello", stream: bool = False) -> None:
    """Record the answer of each of `upstreams` to one request."""
    recording = player(folder, "record")
    for upstream in upstreams:
        call = asking(said, stream=stream)
        await told(recording, call, upstream)
        assert call.remarks["cassette"] == "recorded"


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def said(events: list[Event]) -> str:
    (last,) = [event for event in events if isinstance(event, Completion)]
    return last.text


@pytest.mark.parametrize("recorded_as", [False, True])
@pytest.mark.parametrize("replayed_as", [False, True])
async def test_a_recording_serves_whole_and_streamed(tmp_path: Path, recorded_as: bool, replayed_as: bool) -> None:
    await recorded(tmp_path, Upstream(), stream=recorded_as)
    never, call = Upstream(), asking(stream=replayed_as)
    events = await told(player(tmp_path, "replay"), call, never)
    chunks: list[Event] = [*WHOLE] if recorded_as else [Chunk("a b c")]
    assert events == [*(chunks if replayed_as else []), make_completion()]
    assert never.calls == []
    assert call.remarks == {"cassette": "replayed"}
    assert call.dropped == {"logit_bias": "openai has no such parameter"}
    assert call.cache_status == "bypass"


async def test_the_nth_call_gets_the_nth_answer_and_then_the_last_again(tmp_path: Path) -> None:
    await recorded(tmp_path, *(Upstream(make_completion(word)) for word in ("one", "two", "three")))
    await recorded(tmp_path, Upstream(make_completion("other")), said="another")
    replaying = player(tmp_path, "replay")
    answers = [said(await told(replaying, asking(), Upstream())) for _ in range(5)]
    assert answers == ["one", "two", "three", "three", "three"]
    assert sorted(path.name.partition("-")[0] for path in files(tmp_path)) == ["another", *["hello"] * 3]


async def test_recording_again_replaces_the_nth_answer(tmp_path: Path) -> None:
    await recorded(tmp_path, Upstream(make_completion("old")), Upstream(make_completion("second")))
    await recorded(tmp_path, Upstream(make_completion("new")))
    replaying = player(tmp_path, "replay")
    assert [said(await told(replaying, asking(), Upstream())) for _ in range(2)] == ["new", "second"]


async def test_auto_calls_for_what_it_has_not(tmp_path: Path) -> None:
    await recorded(tmp_path, Upstream(make_completion("kept")))
    automatic, upstream = player(tmp_path, "auto"), Upstream(make_completion("called"))
    answers = [said(await told(automatic, asking(word), upstream)) for word in ("hello", "new", "new", "hello")]
    assert answers == ["kept", "called", "called", "kept"]
    assert len(upstream.calls) == 1


FAILURES: list[GatewayError] = [
    UpstreamError("no", code="rate_limited", provider="openai", upstream_status=429, retry_after=2.5, quoted=True),
    UpstreamError("gone", code="unreachable", provider="groq"),
    BadRequest("best_of: no", param="best_of"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.code)
@pytest.mark.parametrize("before", [[], WHOLE[:2]], ids=["at-once", "in-mid-stream"])
async def test_a_failure_is_recorded_and_fails_again(
    tmp_path: Path, failure: GatewayError, before: list[Event]
) -> None:
    recording = player(tmp_path, "record")
    with pytest.raises(type(failure)):
        await told(recording, asking(stream=True), Upstream(*before, failure))
    replaying, arrived = player(tmp_path, "replay"), list[Event]()
    for _ in range(2):
        arrived.clear()
        with pytest.raises(type(failure)) as caught:
            await told(replaying, asking(stream=True), Upstream(), arrived=arrived)
        assert vars(caught.value) == vars(failure)
        assert arrived == before


async def test_what_fails_for_a_reason_of_the_gateway_s_is_not_recorded(tmp_path: Path) -> None:
    recording, call = player(tmp_path, "record"), asking()
    with pytest.raises(Unasked):
        await told(recording, call, Upstream(Unasked("resting", code="unavailable", provider="openai")))
    assert files(tmp_path) == []
    assert call.remarks == {"cassette": "refused"}
    assert call.cache_reason.endswith(": refused")
    # and does not count as the first call of its request
    await told(recording, asking(), Upstream())
    (file,) = files(tmp_path)
    assert "." not in file.stem


async def test_a_bug_and_a_call_that_was_left_are_not_recorded(tmp_path: Path) -> None:
    recording = player(tmp_path, "record")
    with pytest.raises(ZeroDivisionError):
        await told(recording, asking(), Upstream(ZeroDivisionError()))
    async with aclosing(recording.under(PLAIN)(Upstream().handler)(asking(stream=True))) as events:
        await anext(events)
    assert files(tmp_path) == []


@pytest.mark.parametrize("policy", [LogPolicy(inputs=False), LogPolicy(outputs=False)])
async def test_what_omits_its_log_is_not_recorded(tmp_path: Path, policy: LogPolicy) -> None:
    call = asking(policy=policy)
    assert said(await told(player(tmp_path, "record"), call, Upstream())) == "a b c"
    assert files(tmp_path) == []
    assert call.remarks == {"cassette": "omitted"}
    with pytest.raises(NotRecorded, match="omits its log is never recorded"):
        await told(player(tmp_path, "replay"), asking(policy=policy), Upstream())


async def test_a_full_disk_costs_the_recording_and_not_the_answer(tmp_path: Path) -> None:
    recording, call = player(tmp_path / "gone", "record"), asking()
    (tmp_path / "gone").rmdir()
    assert said(await told(recording, call, Upstream())) == "a b c"
    assert call.remarks["cassette"] == "lost"
    assert call.cache_reason.endswith(": lost")


@pytest.mark.parametrize(("paced", "seconds"), [(True, 0.06), (False, 3600)])
async def test_the_pace_is_the_recorded_one_if_it_is_wanted(tmp_path: Path, paced: bool, seconds: float) -> None:
    await recorded(tmp_path, Upstream(), stream=True)
    (file,) = files(tmp_path)
    document = json.loads(file.read_text())
    for number, piece in enumerate(document["answer"]["chunks"]):
        piece["ms"] = number * seconds * 1e3
    document["answer"]["ms"] = 3 * seconds * 1e3
    file.write_text(json.dumps(document))
    call = asking(stream=True)
    events = Player(Folder(tmp_path, make=False), "replay", paced=paced).under(PLAIN)(Upstream().handler)(call)
    for number in range(4):
        await anext(events)
        assert not paced or call.elapsed() >= number * seconds
    await events.aclose()


# what is in a file


@settings(deadline=None)
@given(
    completion,
    st.lists(st.tuples(st.floats(0, 1e6), chunk), max_size=3),
    st.dictionaries(text, text),
    st.dictionaries(text, values),
)
def test_what_is_written_is_read(
    answer: Completion, chunks: list[tuple[float, Chunk]], dropped: dict[str, str], remarks: dict[str, Any]
) -> None:
    recording = Recording({"model": "m"}, 1.5, answer, chunks=chunks, dropped=dropped, remarks=remarks)
    assert read(json.loads(json.dumps(written(recording)))) == recording


messages = st.lists(st.fixed_dictionaries({"role": text, "content": text | st.lists(values, max_size=2)}), max_size=3)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(messages, st.dictionaries(text, values, max_size=4), st.lists(chunk, max_size=3), completion)
async def test_what_was_recorded_is_replayed_whatever_is_asked(
    asked: list[dict[str, Any]], params: dict[str, Any], chunks: list[Chunk], answer: Completion
) -> None:
    def call() -> Call:
        made = asking(stream=True)
        made.request.messages, made.request.params = json.loads(json.dumps(asked)), json.loads(json.dumps(params))
        return made

    with TemporaryDirectory() as folder:
        first = await told(player(Path(folder), "record"), call(), Upstream(*chunks, answer))
        again = await told(player(Path(folder), "replay"), call(), Upstream())
    assert first == [*chunks, answer]
    assert again[-1] == answer
    assert not chunks or again == first


async def test_a_vector_is_one_line(tmp_path: Path) -> None:
    answer = replace(make_completion(), embeddings=[[0.5, -1e-07, 3], [1]])
    await recorded(tmp_path, Upstream(answer), said="[\n 1,\n 2\n]")
    (file,) = files(tmp_path)
    assert "[0.5, -1e-07, 3]," in [line.strip() for line in file.read_text().splitlines()]
    assert await told(player(tmp_path, "replay"), asking("[\n 1,\n 2\n]"), Upstream()) == [answer]


async def test_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    await recorded(tmp_path, Upstream(make_completion("a\ud800")))
    assert said(await told(player(tmp_path, "replay"), asking(), Upstream())) == "a\ud800"


async def test_a_file_can_be_read_by_people(tmp_path: Path) -> None:
    await recorded(tmp_path, Upstream(Chunk("naïve"), make_completion("naïve")), said="What's the Weather in Ürgüp?")
    (file,) = files(tmp_path)
    lines = file.read_text("utf-8").splitlines()
    assert file.name.startswith("what-s-the-weather-in-")
    assert '"text": "naïve"' in [line.strip() for line in lines]
    assert [line for line in lines if line.startswith('  "')] == [
        '  "answer": {',
        '  "format": 2,',
        '  "gateway": "0.1.0",',
        '  "request": {',
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "line 1: is no JSON"),
        ("\xff", "codec can't decode"),
        ("[]", "should be an object with request and answer"),
        ("{}", "request: input should be a valid dictionary"),
        ('{"request": {}, "answer": {}}', "answer: should have a completion or an error"),
        ('{"request": {}, "answer": {"completion": {"choices": []}}}', "answer.completion.usage: field required"),
        (
            '{"request": {}, "answer": {"chunks": [{"text": 1}]}}',
            "answer.chunks[0].text: input should be a valid string",
        ),
        ('{"request": {}, "answer": {"error": {"message": "m", "code": "x"}}}', "answer.error.code: should be one of"),
        ('{"format": 3, "gateway": "9.9"}', "format 3 is of a newer gateway (9.9)"),
        ("[" * 100_000, "recursion"),
    ],
    ids=range(10),
)
def test_a_file_that_cannot_be_used_is_told_by_its_name(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "fine.json").write_text(json.dumps(written(Recording({}, completion=make_completion()))))
    (tmp_path / "broken.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        Folder(tmp_path, make=False)
    assert "broken.json" in caught.value.message
    assert "fine.json" not in caught.value.message
    assert told in caught.value.message


async def test_a_file_is_found_by_its_request_and_not_by_its_name(tmp_path: Path) -> None:
    await recorded(tmp_path, Upstream(make_completion("kept")))
    (file,) = files(tmp_path)
    document = json.loads(file.read_text())
    document["request"]["messages"][0]["content"] = "edited"
    file.with_name("renamed.json").write_text(json.dumps(document))
    file.unlink()
    assert said(await told(player(tmp_path, "replay"), asking("edited"), Upstream())) == "kept"


# what is missing


async def test_the_nearest_recording_s_difference_is_told(tmp_path: Path) -> None:
    for word in ("What is the weather in Rome?", "Who are you?"):
        await recorded(tmp_path, Upstream(), said=word)
    call = asking("What is the weather in Paris?")
    call.request.params["temperature"] = 0.5
    with pytest.raises(NotRecorded) as caught:
        await told(player(tmp_path, "replay"), call, Upstream())
    assert caught.value.status == 504
    lines = caught.value.message.splitlines()
    assert lines[1].startswith("--- what-is-the-weather-in-rome-")
    assert lines[2:] == [
        "+++ this request",
        '-messages[0].content: "What is the weather in Rome?"',
        '+messages[0].content: "What is the weather in Paris?"',
        "+params.temperature: 0.5",
    ]


async def test_an_empty_cassette_says_that_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotRecorded, match="no recordings at all: make some with --mode record"):
        await told(player(tmp_path, "replay"), asking(), Upstream())


def test_a_long_difference_is_cut_where_it_begins() -> None:
    same = "x" * 1000
    old = Recording({"model": "m", "messages": [{"content": f"{same} old {same}"}]}, name="old.json")
    new = {"model": "m", "messages": [{"content": f"{same} new {same}"}], **{f"p{i}": i for i in range(20)}}
    lines = difference(new, [old]).splitlines()
    assert all(len(line) < 160 for line in lines)
    assert "x new x" in lines[3]
    assert lines[-1] == "... and 9 more"


def test_the_same_words_are_nearest_whatever_stands_beside_them() -> None:
    tools = [{"type": "function", "function": {"name": f"f{i}", "parameters": {"type": "object"}}} for i in range(9)]
    asked = {"model": "m", "messages": [{"role": "user", "content": "use it"}]}
    recordings = [
        Recording({**asked, "messages": [{"role": "user", "content": "used"}]}, name="other.json"),
        Recording({**asked, "tools": tools}, name="same.json"),
    ]
    lines = difference(asked, recordings).splitlines()
    assert lines[0] == "--- same.json"
    assert lines[2].startswith("-tools[0]")


def test_the_nearest_of_hundreds_is_found() -> None:
    said = [f"Tell number {number:03}, which is {hex(number**7)}" for number in range(400)]
    recordings = [Recording({"model": "m", "messages": [{"content": one}]}, name=one) for one in said]
    new = {"model": "m", "messages": [{"content": said[300].upper()}]}
    began = time.perf_counter()
    assert difference(new, recordings).splitlines()[0] == f"--- {said[300]}"
    assert time.perf_counter() - began < 2


# what a request is


def test_a_name_without_a_key_still_means_something_where_nobody_is_called(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "model_list:\n"
        "  - {model_name: fast, litellm_params: {model: groq/llama}}\n"
        "  - {model_name: 'g-*', litellm_params: {model: groq/*}}\n"
        "  - {model_name: here, litellm_params: {model: echo/echo}}\n"
        "  - {model_name: here, litellm_params: {model: openai/gpt-4o}}\n"
    )
    config = load(path, {})
    assert set(config.models) == {"here"}
    found = config.uncalled()
    assert {name: [target.provider for target in targets] for name, targets in found.models.items()} == {
        "fast": ["groq"],
        "here": ["echo"],
    }
    assert [each.pattern for each in found.wildcards] == ["g-*"]


def behind(vendor: str) -> Config:
    """A configuration in which every name of the form `up/*` leads to a vendor."""
    return Config(wildcards=(Wildcard("up/*", (Target(vendor, "*"),)),))


def asked_as(config: Config, name: str, provider: str | None = None) -> str:
    """The model of a request that named `name`, as a cassette has it."""
    call = asking(groups=(Names(config).group(name, provider),))
    call.request.provider = provider
    told = Canon(config).request(call)["model"]
    assert isinstance(told, str)
    return told


@pytest.mark.parametrize("vendor", ["openai", "mistral"])
def test_a_name_of_some_form_is_the_one_that_was_asked_for_wherever_it_leads(vendor: str) -> None:
    assert asked_as(behind(vendor), "up/a") == "up/a"
    assert asked_as(behind(vendor), "up/a", vendor) == "up/a"
    own = Config(wildcards=(Wildcard("openai/*", (Target(vendor, "*"),)), Wildcard("gpt-*", (Target(vendor, "*"),))))
    assert asked_as(own, "openai/gpt-4o") == "openai/gpt-4o"
    assert asked_as(own, "gpt-4o") == "gpt-4o"


def test_a_name_that_is_not_listed_is_what_was_asked_for_in_one_form() -> None:
    config = Config(models={"fast": (Target("openai", "gpt-4o"),)})
    assert asked_as(config, "openai/fast") == "openai/fast"
    for name, provider in (("gpt-4o", None), ("openai:gpt-4o", None), ("gpt-4o", "openai"), ("gpt-4o", "litellm")):
        assert asked_as(config, name, provider) == "openai/gpt-4o"


@pytest.mark.parametrize("mode", ["replay", "auto"])
async def test_what_was_recorded_under_where_its_name_led_is_still_found(tmp_path: Path, mode: Mode) -> None:
    config = behind("openai")
    call = asking(groups=(Names(config).group("up/a"),))
    old = {**written(Recording(Canon(config).former(call), completion=make_completion("old"))), "format": 1}
    assert old["request"]["model"] == "openai/a"
    (tmp_path / "old.json").write_text(json.dumps(old))
    never = Upstream()
    assert said(await told(player(tmp_path, mode), call, never, config)) == "old"
    assert never.calls == []
    # what is written now says what was asked for, and another name's recording is none of its own
    (tmp_path / "old.json").write_text(json.dumps({**old, "format": 2}))
    with pytest.raises(NotRecorded):
        await told(player(tmp_path, "replay"), call, never, config)


@pytest.mark.parametrize("provider", [None, "openai"])
def test_a_model_has_one_name_whichever_way_it_is_asked_for(provider: str | None) -> None:
    request = asking(groups=(Group(name="gpt-4o-mini", targets=(TARGET,)),))
    request.request.provider = provider
    assert Canon(PLAIN).request(request)["model"] == "openai/gpt-4o-mini"
    listed = Config(models={"gpt-4o-mini": (TARGET,)})
    assert Canon(listed).request(request)["model"] == "gpt-4o-mini"


def test_a_listed_name_of_two_providers_is_told_apart_by_the_provider_that_is_asked() -> None:
    config = Config(models={"mini": (TARGET, Target("azure", "mini"))})
    call = asking()
    call.request.provider = "azure"
    assert Canon(config).request(call)["model"] == "azure/mini"


def test_what_does_not_change_the_answer_is_no_part_of_a_request() -> None:
    one, other = asking(stream=True), asking(cache=False, api_keys={"openai": SecretStr("sk-of-somebody")})
    one.request.params, other.request.params = {"temperature": 1.0}, {"temperature": 1}
    assert key(Canon(PLAIN).request(one)) == key(Canon(PLAIN).request(other))


# secrets

CANARY = "canary-0123456789"


async def test_a_secret_in_pieces_is_taken_out_too(tmp_path: Path) -> None:
    config = Config(models={"mini": (Target("openai", "mini", SecretStr(CANARY)),)})
    pieces = [Chunk("the key "), Chunk(CANARY[:9]), Chunk(CANARY[9:], tool_calls=[ToolCall("i", CANARY, "{")])]
    answer = Completion(
        [Choice(text=f"the key {CANARY}", tool_calls=[ToolCall("i", CANARY, "{")])], make_completion().usage, "m", "p"
    )
    call = asking(f"is it {CANARY}?", stream=True, groups=(Group(name="mini", targets=config.models["mini"]),))
    assert await told(player(tmp_path, "record"), call, Upstream(*pieces, answer), config) == [*pieces, answer]
    (file,) = files(tmp_path)
    document = json.loads(file.read_text())
    assert CANARY not in file.read_text()
    assert CANARY[:9] not in file.read_text()
    assert document["request"]["messages"] == [{"role": "user", "content": f"is it {HIDDEN}?"}]
    assert [chunk["text"] for chunk in document["answer"]["chunks"]] == [f"the key {HIDDEN}"]
    again = asking(f"is it {CANARY}?", stream=True, groups=call.groups)
    assert said(await told(player(tmp_path, "replay"), again, Upstream(), config)) == f"the key {HIDDEN}"


@pytest.mark.parametrize(
    "config",
    [
        Config(master_key=SecretStr(CANARY)),
        Config(providers={"openai": Target("openai", "", SecretStr(CANARY))}),
        Config(providers={"openai": Target("openai", "", None, f"https://user:{CANARY}@example.com/v1")}),
        Config(providers={"azure": Target("azure", "", settings={"azure_ad_token": CANARY})}),
        Config(providers={"vertexai": Target("vertexai", "", SecretStr(json.dumps({"private_key": CANARY})))}),
        Config(keys={sha256(CANARY.encode()).digest(): Caller(name="a")}),
    ],
    ids=["master", "provider", "address", "setting", "document", "caller"],
)
def test_every_key_of_the_configuration_is_known(config: Config) -> None:
    told = blot(config).clean({"a": [f"<{CANARY}>", {CANARY: f"it is {CANARY}."}], "b": 1})
    assert told == {"a": [f"<{HIDDEN}>", {HIDDEN: f"it is {HIDDEN}."}], "b": 1}


def test_a_key_in_a_file_that_the_configuration_names_is_known(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(
        json.dumps({"private_key": f"--\n{CANARY}\n--", "project": "a-project-of-mine"})
    )
    settings = {"vertex_credentials": str(tmp_path / "account.json")}
    hidden = blot(Config(providers={"vertexai": Target("vertexai", "", settings=settings)}))
    said = f"it is --\n{CANARY}\n-- of a-project-of-mine"
    assert hidden.clean([said, json.dumps(said)]) == [
        f"it is {HIDDEN} of a-project-of-mine",
        f'"it is {HIDDEN} of a-project-of-mine"',
    ]


def test_a_request_s_own_key_is_known() -> None:
    assert Blot([]).also([SecretStr(CANARY)]).clean(f"x{CANARY}x") == f"x{HIDDEN}x"


@pytest.mark.parametrize("word", ["anything", "unused", "x", "", "1234567"])
def test_a_word_that_is_no_key_stays(word: str) -> None:
    assert Blot([word]).clean(f"say {word}") == f"say {word}"
