"""What the original client demands of each answer: its own pydantic models, as one JSON Schema.

    python tests/routes/humanloop_schemas.py > tests/golden/humanloop/routes/schemas.json

in an environment that has `humanloop==0.7.35`.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import Any, Literal

from pydantic import TypeAdapter

ANSWERS = {
    "feedback": "FeedbackSubmitResponse",
    "logs-post": "LogsLogResponse",
    "logs-list": "PaginatedDataLogResponse",
    "log": "LogResponse",
    "sessions-post": "CreateSessionResponse",
    "sessions-list": "PaginatedDataSessionResponse",
    "session": "SessionResponse",
    "projects-list": "PaginatedDataProjectResponse",
    "project": "ProjectResponse",
    "active-config": "GetModelConfigResponse",
    "deployed-configs": "ProjectsGetDeployedConfigsResponse",
    "configs": "ProjectsGetConfigsResponse",
}
"""Each answer, and the client's class for it."""


def model(name: str) -> Any:
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return getattr(importlib.import_module(f"humanloop.pydantic.{module}"), name)


def bare(schema: Any) -> Any:
    """The schema without titles, which demand nothing; a property may be called `title`."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: bare(value) for name, value in schema.items() if name != "title" or isinstance(value, dict)}


def main() -> None:
    read: Literal["validation"] = "validation"
    adapters = [(name, read, TypeAdapter(model(answer))) for name, answer in ANSWERS.items()]
    found, definitions = TypeAdapter.json_schemas(adapters, ref_template="#/$defs/{model}")
    schemas = {name: bare(schema) for (name, _), schema in found.items()}
    print(json.dumps({"answers": schemas, "$defs": bare(definitions["$defs"])}, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
