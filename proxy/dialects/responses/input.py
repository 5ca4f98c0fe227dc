"""The input of OpenAI's responses as a conversation: items become messages, their parts chat parts.

What must stay true:

* The calls of one turn are one assistant's message, with the words before them; a thought begins a message, so that it
  stays before what it led to. The outputs of calls come directly after them.
* Items that another request left with the server are refused: nothing is stored here that they could mean.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.dialects.node import Node, wrong
from proxy.dialects.parts import Part, content, result, text
from proxy.dialects.responses.thought import Thoughts, opened
from proxy.models import Json, Message

ROLES = frozenset({"user", "assistant", "system", "developer"})
DETAILS = frozenset({"low", "high", "auto"})

HERE = "is not served here: it cannot be said to a chat model"


def messages(instructions: str | None, given: Json) -> list[Message]:
    """The conversation. Raises `BadRequest`."""
    found: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    if isinstance(given, str):
        return [*found, {"role": "user", "content": given}] if given else found
    if given is None:
        return found
    if not isinstance(given, list):
        raise wrong("input", "should be text or a list of items")
    return [*found, *_Turns().read(Node.each(given, "input"))]


def tools(offered: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """The client's functions in the shape of chat completions."""
    found = []
    for tool in Node.each(offered, "tools"):
        if tool.kind != "function":
            raise tool.unknown("tools are not served here: only those of type function are")
        function = {"name": tool.text("name"), **tool.kept("description", "parameters", "strict")}
        found.append({"type": "function", "function": function})
    return found


def tool_choice(choice: str | dict[str, Json], offered: list[dict[str, Json]]) -> dict[str, Json]:
    """The parameters `tool_choice` and, where it allows only some of them, `tools`."""
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise wrong("tool_choice", "should be auto, none, required or an object")
        return {"tool_choice": choice}
    node = Node(choice, "tool_choice")
    match node.kind:
        case "function":
            return {"tool_choice": {"type": "function", "function": {"name": node.text("name")}}}
        case "allowed_tools":
            names = {tool.text("name") for tool in node.children("tools")}
            if node.get("mode") not in ("auto", "required"):
                raise wrong("tool_choice.mode", "should be auto or required")
            allowed = [tool for tool in offered if tool["function"]["name"] in names]
            return {"tool_choice": node.get("mode"), "tools": allowed}
        case _:
            raise node.unknown("is not served here: choose a function, or allowed_tools")


def response_format(wanted: dict[str, Json]) -> dict[str, Json] | None:
    """`text.format` as the parameter of chat completions; None for plain text."""
    node = Node(wanted, "text.format")
    match node.kind:
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            described = {"name": node.text("name"), "schema": node.child("schema").value}
            return {"type": "json_schema", "json_schema": described | node.kept("strict", "description")}
        case _:
            raise wrong("text.format.type", "should be text, json_object or json_schema")


class _Turns:
    """Puts items together to messages, in their order."""

    def __init__(self) -> None:
        self._found: list[Message] = []
        self._shown: list[Part] = []
        self._thoughts: Thoughts = []

    def read(self, items: Iterable[Node]) -> list[Message]:
        for item in items:
            self._item(item)
        self._show()
        return self._found

    def _item(self, item: Node) -> None:
        match item.kind:
            case "" | "message":
                self._message(item)
            case "function_call":
                self._call(item)
            case "function_call_output":
                self._output(item)
            case "reasoning":
                self._thoughts += opened(item.optional("encrypted_content") or "")
            case "item_reference":
                raise item.unknown("names what another request left with the server: nothing is stored here")
            case _:
                raise item.unknown(f"{HERE}: send messages, function calls, their outputs and reasoning")

    def _message(self, item: Node) -> None:
        role, said = item.text("role"), item.get("content")
        if role not in ROLES:
            raise wrong(item.where("role"), "should be user, assistant, system or developer")
        self._show()
        if not isinstance(said, str):
            said = content([_part(part) for part in item.children("content")])
        if role == "assistant":
            self._assistant({"role": role, "content": said})
        else:
            self._found.append({"role": role, "content": said})

    def _call(self, item: Node) -> None:
        function = {"name": item.text("name"), "arguments": item.text("arguments")}
        call = {"id": item.text("call_id"), "type": "function", "function": function}
        last = self._found[-1] if self._found else {}
        if last.get("role") != "assistant" or self._shown or self._thoughts:
            self._show()
            last = self._assistant({"role": "assistant", "content": None})
        last.setdefault("tool_calls", []).append(call)

    def _output(self, item: Node) -> None:
        said = item.get("output")
        parts = [text(said)] if isinstance(said, str) else [_part(part) for part in item.children("output")]
        message, others = result(item.text("call_id"), parts)
        self._found.append(message)
        self._shown += others

    def _assistant(self, message: Message) -> Message:
        if self._thoughts:
            message["thinking_blocks"], self._thoughts = self._thoughts, []
        self._found.append(message)
        return message

    def _show(self) -> None:
        """What the outputs of tools held besides text."""
        if self._shown:
            self._found.append({"role": "user", "content": self._shown})
            self._shown = []


def _part(part: Node) -> Part:
    match part.kind:
        case "input_text" | "output_text" | "text":
            return text(part.text("text"))
        case "refusal":
            return text(part.text("refusal"))
        case "input_image":
            if part.get("image_url") is None:
                raise wrong(part.where("image_url"), "is missing: files of OpenAI's are not served here")
            detail = {"detail": part.get("detail")} if part.get("detail") in DETAILS else {}
            return {"type": "image_url", "image_url": {"url": part.text("image_url"), **detail}}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.child("input_audio").value}
        case "input_file":
            if part.get("file_url") is not None:
                raise wrong(part.where("file_url"), "is not fetched here: send the file as file_data")
            file = {name: part.text(name) for name in ("filename", "file_data", "file_id") if part.get(name)}
            if file.keys().isdisjoint(("file_data", "file_id")):
                raise wrong(part.where("file_data"), "is missing")
            return {"type": "file", "file": file}
        case _:
            raise part.unknown(HERE)
