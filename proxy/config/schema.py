"""The JSON Schema of the config file, for editors: `make schema` writes it to `schema.json`."""

from __future__ import annotations

import json
from typing import Any

from proxy.config.foreign import BLOCKS, IGNORED, known
from proxy.config.settings import File


def schema() -> dict[str, Any]:
    """The JSON Schema of the file; where a number, a boolean or a fixed word may stand, so may a reference."""
    found: dict[str, Any] = _referable(File.model_json_schema())
    properties: dict[str, Any] = found["properties"]
    for name, value in properties.items():
        value.pop("default", None)
        properties[name] = {"anyOf": [value, {"type": "null"}]}
    properties |= {name: {"description": "LiteLLM's; not used here."} for name in sorted(IGNORED)}
    found["$defs"]["Reference"] = {
        "description": "A value from the environment.",
        "type": "string",
        "pattern": r"\$\{|^os\.environ/",
    }
    for name, model in BLOCKS.items():
        keys = {"enum": sorted({*model.model_fields, *known()[name]})}
        if name != "model_info":
            found["$defs"][model.__name__]["propertyNames"] = keys
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "parea-proxy config.yaml"}


def _referable(node: Any) -> Any:
    if isinstance(node, list):
        return [_referable(item) for item in node]
    if not isinstance(node, dict):
        return node
    below = {key: value if key in {"default", "enum"} else _referable(value) for key, value in node.items()}
    for noise in ("title", "gt"):
        if isinstance(below.get(noise), str | int):
            del below[noise]
    if below.get("type") in ("integer", "number", "boolean") or "enum" in below or type(below.get("pattern")) is str:
        outside = {key: below.pop(key) for key in ("default", "description") if key in below}
        return {**outside, "anyOf": [below, {"$ref": "#/$defs/Reference"}]}
    return below


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
