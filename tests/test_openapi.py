"""The OpenAPI document tells the completion schemas as Parea published them.

`golden/parea-openapi.json` is a copy of the published components. What may differ: fields and roles that the clients
send and the published document lacks are there besides.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy import plugins
from proxy.app import PAREA
from proxy.config.settings import ServerSettings
from proxy.protocols import Surface, refusal
from proxy.routes import web

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "parea-openapi.json").read_text())
MORE_FIELDS = {"CompletionsSchema": {"inputs"}}
MORE_ROLES = {"example_user", "example_assistant"}
SHAPE = {"type", "maximum", "minimum", "$ref", "items", "additionalProperties"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return web.build([], prefix=PAREA, refuse=refusal([])).openapi()


def facts(schema: dict[str, Any]) -> tuple[list[Any], Any]:
    """What a property may be, in any order, and its default. `allOf` of one is that one."""
    kinds = schema.get("anyOf") or schema.get("allOf") or [schema]
    shapes = [{k: v for k, v in kind.items() if k in SHAPE and v != {} and v is not True} for kind in kinds]
    return sorted(json.dumps(shape, sort_keys=True) for shape in shapes), schema.get("default")


def looser(kind: str) -> str:
    """`function_call` with string values only would refuse the tool choices that its clients send."""
    return kind.replace('"additionalProperties": {"type": "string"}, ', "")


@pytest.mark.parametrize("name", [n for n in PUBLISHED["schemas"] if "properties" in PUBLISHED["schemas"][n]])
def test_components_have_the_published_properties(document: dict[str, Any], name: str) -> None:
    ours, theirs = document["components"]["schemas"][name], PUBLISHED["schemas"][name]
    assert set(ours["properties"]) - MORE_FIELDS.get(name, set()) == set(theirs["properties"])
    assert set(ours.get("required", ())) == set(theirs.get("required", ()))
    for field, published in theirs["properties"].items():
        kinds, default = facts(published)
        assert facts(ours["properties"][field]) == (sorted(map(looser, kinds)), default), field


@pytest.mark.parametrize("name", ["ProviderName", "Role"])
def test_enums_have_the_published_values(document: dict[str, Any], name: str) -> None:
    ours, theirs = set(document["components"]["schemas"][name]["enum"]), set(PUBLISHED["schemas"][name]["enum"])
    assert ours - MORE_ROLES == theirs


def test_every_component_is_there(document: dict[str, Any]) -> None:
    assert set(PUBLISHED["schemas"]) <= set(document["components"]["schemas"])


@pytest.mark.parametrize("example", PUBLISHED["examples"], ids=["functions", "deployment"])
def test_the_published_examples_fit(document: dict[str, Any], example: dict[str, Any]) -> None:
    root = {"$ref": "#/components/schemas/CompletionsSchema", "components": document["components"]}
    jsonschema.validate(example, root)


def test_both_routes_are_documented(document: dict[str, Any]) -> None:
    for path in ("completion", "completion/stream"):
        operation = document["paths"][f"{PAREA}/{path}"]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CompletionsSchema")
        assert "422" in operation["responses"]


def test_no_two_schemas_of_the_apis_share_a_name() -> None:
    surfaces: list[Surface] = [plugins.load("dialects", name, "surface")(9) for name in ServerSettings().dialects]
    document = web.build([], prefix=PAREA, refuse=refusal(surfaces), surfaces=surfaces).openapi()
    # pydantic writes out the modules of those that do
    assert [name for name in document["components"]["schemas"] if "__" in name] == []
    paths = {one.path for surface in surfaces for one in surface.operations}
    assert paths <= set(document["paths"])
