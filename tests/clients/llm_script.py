"""Fills a logs.db of llm's as its command line does: a conversation, a chain with a tool, a schema with a fragment; and
with the second argument as versions before 0.32 did, in the tables that it has only for reading since.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import llm
import sqlite_utils


class Toy(llm.Model):  # type: ignore[misc]  # whose class is known where this runs, and not here
    model_id = "toy"
    supports_tools = True
    supports_schema = True
    attachment_types = {"image/png"}

    class Options(llm.Options):  # type: ignore[misc]
        temperature: float | None = None

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
        response.set_usage(input=7, output=3)
        if prompt.tools and not prompt.tool_results:
            response.add_tool_call(llm.ToolCall(name="weather", arguments={"city": "Rome"}, tool_call_id="c1"))
            yield "Wait."
        else:
            yield "Sunny."


def weather(city: str) -> str:
    "The weather."
    return "sunny in " + city


def new(db: Any) -> None:
    picture = llm.Attachment(url="https://example.com/a.png", type="image/png")
    held = llm.Attachment(content=b"\x89PNG", type="image/png")
    conversation = Toy().conversation()

    def log(response: Any) -> None:
        response.text()
        response.log_to_db(db)

    log(conversation.prompt("Hi", system="Be terse", temperature=0.5, attachments=[picture, held]))
    log(conversation.prompt("And Rome?"))
    log(Toy().conversation().chain("Weather?", tools=[weather]))
    log(Toy().prompt("As JSON", schema={"type": "object"}, fragments=["a long text"]))


def old(db: Any) -> None:
    from llm.migrations import migrate

    migrate(db)
    when = "2026-01-01T00:00:00+00:00"
    db["conversations"].insert({"id": "conv", "name": "Hi", "model": "gpt"})
    for id, prompt, system in (("r1", "Hi", "Be terse"), ("r2", "And Rome?", None)):
        said = {"id": id, "model": "gpt", "prompt": prompt, "system": system, "response": f"Hello {id}"}
        more = {"duration_ms": 1500, "datetime_utc": when, "input_tokens": 5, "conversation_id": "conv"}
        db["responses"].insert({**said, **more, "options_json": "{}"})
    db["tool_calls"].insert({"response_id": "r1", "name": "f", "arguments": "{}", "tool_call_id": "c1"})
    db["tool_results"].insert({"response_id": "r2", "name": "f", "output": "done", "tool_call_id": "c1"})


if __name__ == "__main__":
    {"new": new, "old": old}[sys.argv[2]](sqlite_utils.Database(sys.argv[1]))
