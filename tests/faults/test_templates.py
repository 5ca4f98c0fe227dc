"""S6: templates that are programs elsewhere are text here: nothing is computed, nothing is read, nothing takes long.

The rule itself, and its properties, stand in tests/middleware/test_render.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("S6")

PROGRAMS = [
    "{{7*7}}",
    "{{ 7*'7' }}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{% for x in range(10) %}{{x}}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'a'*2000000000 }}",
    "{{ 'a'|center(2000000000) }}",
    "{{ '%2000000000d'|format(1) }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os.environ }}",
    "{{ lipsum.__globals__['os'].system('id') }}",
    "{{ config.items() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ name.__class__ }}",
    "{{ name|upper }}",
    "{{ name['__class__'] }}",
    "{name.__class__.__init__.__globals__}",
    "{0.__class__}",
    "%(name)s",
    "$name ${name}",
    "{{{name.x}}}",
    "{{#name}}x{{/name}}",
    "{{> /etc/passwd}}",
    "{{!-- x --}}",
    "{%raw%}{{name.x}}{%endraw%}",
    "{{name\n.x}}",
]
"""Of Jinja, Mako, ERB, Handlebars, Mustache, format strings and shells."""

BOMBS = {
    "braces": "{{" * 100_000,
    "braces and names": "{{a" * 70_000,
    "spaces": "{{" + " " * 200_000 + "}}",
    "names": "{{" + "a" * 200_000,
    "empty names": "{{}}" * 50_000,
    "halves": "{{a}" * 50_000,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one."""
    # the config file's own ${...} is its owner's, and written $$ where it is text
    deployments = {
        f"p-{number}": {"model": "echo", "messages": [{"role": "user", "content": f"{program} {{{{name}}}}"}]}
        for number, program in enumerate(program.replace("${name}", "$${name}") for program in PROGRAMS)
    }
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    config = {"model_list": models, "deployments": deployments}
    with Process(tmp_path_factory.mktemp("gateway"), config) as served, httpx.Client(timeout=30) as client:
        client.base_url = httpx.URL(served.url)
        yield client


def heard(gateway: httpx.Client, text: str, **inputs: str) -> str:
    """What a provider is asked: echo says it again."""
    configuration = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    return told(gateway, {"llm_configuration": configuration, "llm_inputs": inputs})


def told(gateway: httpx.Client, body: dict[str, Any]) -> str:
    """What a completion of Parea's answers."""
    answered = gateway.post("/api/parea/v1/completion", json=body)
    assert answered.status_code == 200, answered.text
    return str(answered.json()["content"])


def test_s6_a_program_is_text(gateway: httpx.Client, figure: Figure) -> None:
    """In a message, in an input that fills one, in an input's name, and in a deployed prompt."""
    plain = heard(gateway, "text", name="x")
    for number, program in enumerate(PROGRAMS):
        assert heard(gateway, program, name="x") == plain.replace("text", program)
        assert heard(gateway, "{{name}}", name=program) == plain.replace("text", program)
        assert heard(gateway, "text", **{program: "x"}) == plain
        # a name that a program happens to have is filled with itself
        filled = {"deployment_id": f"p-{number}", "llm_inputs": {"name": program, "x": "{{x}}"}}
        assert told(gateway, filled) == plain.replace("text", f"{program} {program}")
    figure("templates that computed something", f"0 of {4 * len(PROGRAMS)}")


def test_s6_the_other_apis_run_none_either(gateway: httpx.Client) -> None:
    for program in PROGRAMS:
        body = {"model": "echo", "messages": [{"role": "user", "content": program}], "inputs": {"name": "x"}}
        answered = gateway.post("/v1/chat/completions", json=body).json()
        assert program in answered["choices"][0]["message"]["content"]
        prompt = {"model": "echo", "prompt_template": program}
        body = {"project": "p", "inputs": {"name": "x"}, "model_config": prompt}
        answer = gateway.post("/v4/completion", json=body)
        # a prompt whose names lack an input is refused there
        assert answer.status_code == 400 or program in answer.json()["data"][0]["output"], answer.text


def test_s6_no_template_takes_long(gateway: httpx.Client, figure: Figure) -> None:
    worst = 0.0
    for bomb in BOMBS.values():
        begun = time.monotonic()
        assert bomb in heard(gateway, bomb, a="x").replace("x", "{{a}}" if "{{a}}" in bomb else "x")
        worst = max(worst, time.monotonic() - begun)
    # a second is much for this and little for a machine that does other things
    assert worst < 5
    # what an input brings is not looked at again, however often it is there
    assert len(heard(gateway, "{{a}}" * 1000, a="{{a}}" * 100)) < 600_000
    figure("the slowest of these templates", f"{worst:.2f} s for {max(map(len, BOMBS.values())) // 1000} KB")
