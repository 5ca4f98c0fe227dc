from __future__ import annotations

from pathlib import Path

from proxy.banner import banner
from proxy.config import load

SECRET = "hunter2-secret"


def lines(
    tmp_path: Path, text: str | None, environ: dict[str, str], host: str = "127.0.0.1", port: int = 4000
) -> list[str]:
    path = None
    if text is not None:
        path = tmp_path / "config.yaml"
        path.write_text(text)
    found = banner(load(path, environ), host=host, port=port, data=Path("data"))
    assert SECRET not in "".join(found)
    return [line.replace(f"{tmp_path}/", "") for line in found]


def test_without_a_key_it_says_that_answers_are_made_up(tmp_path: Path) -> None:
    assert lines(tmp_path, None, {}) == [
        "parea-proxy on http://127.0.0.1:4000 | config: built-in config | data: data",
        "default -> echo/echo (offline: no provider's key was found; it repeats what it is told); echo -> echo/echo",
    ]


def test_with_a_key_it_names_the_target(tmp_path: Path) -> None:
    told = lines(tmp_path, None, {"GROQ_API_KEY": SECRET})[1]
    assert told == "default -> groq/openai/gpt-oss-20b; echo -> echo/echo"


def test_many_names_and_one_that_leads_nowhere(tmp_path: Path) -> None:
    entries = [f"{{model_name: m{i}, litellm_params: {{model: openai/x, api_key: {SECRET}}}}}" for i in range(6)]
    entries.append("{model_name: default, litellm_params: {model: groq/x}}")
    first, second = lines(tmp_path, f"model_list: [{', '.join(entries)}]", {}, host="::1", port=0)
    assert first == "parea-proxy on [::1] at a free port | config: config.yaml | data: data"
    assert second == (
        "default -> nothing (no api_key: set GROQ_API_KEY, or write it here); m0 -> openai/x; m1 -> openai/x;"
        " m2 -> openai/x; m3 -> openai/x; 2 more (parea-proxy check)"
    )


def test_a_name_of_several_targets_and_a_pattern(tmp_path: Path) -> None:
    entries = [f"{{model_name: m, litellm_params: {{model: openai/{model}, api_key: {SECRET}}}}}" for model in "xyz"]
    entries.append(f'{{model_name: "all/*", litellm_params: {{model: "openai/*", api_key: {SECRET}}}}}')
    told = lines(tmp_path, f"model_list: [{', '.join(entries)}]", {})[1]
    assert told == "m -> openai/x and 2 more; all/* -> openai/*"


def test_an_empty_list_and_control_characters(tmp_path: Path) -> None:
    assert lines(tmp_path, "", {})[1] == "no model_list: requests name a provider and its model"
    told = lines(tmp_path, 'model_list: [{model_name: "a\\e[2J", litellm_params: {model: echo/echo}}]', {})[1]
    assert told == "a\N{REPLACEMENT CHARACTER}[2J -> echo/echo"
