"""OpenAI's API: `POST /v1/chat/completions`, `/v1/completions` and `/v1/embeddings`.

Facts of its clients that must stay true (`openai` 3.52.0, observed):

* An error is `{"error": {"message", "type", "param", "code"}}`, before a stream and in it, and a body that does not fit
  is a 400.
* A stream ends with `[DONE]`; other clients of this API wait for it. Who asks for usage gets it in a chunk of its own
  without choices, and `usage: null` in all others.
* Embeddings are asked for in base64 unless the user says otherwise, and read as little-endian floats of 32 bits.

A field that is unknown here goes along as a parameter. The model is passed on as it was written, since a name of the
config may look like `provider/model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from proxy.body import MAX_DEPTH, loads, validated
from proxy.dialects.controls import Controls
from proxy.dialects.openai import chat as openai_chat
from proxy.dialects.openai import embedding as openai_embedding
from proxy.dialects.openai import text as openai_text
from proxy.dialects.openai.error import envelope, refuse
from proxy.dialects.openai.frame import DONE
from proxy.dialects.openai.frame import event as framed
from proxy.dialects.openai.schema import ChatBody, EmbeddingBody, TextBody, Wire
from proxy.errors import BadRequest, GatewayError, Unprocessable
from proxy.functions import as_tools
from proxy.models import Call, Completion, CompletionRequest, Event, Json
from proxy.protocols import Answer, Operation, Surface

PREFIX = "/v1"

DEPLOYMENT = "deployment/"
"""What a model's name begins with that is a deployment, which has messages of its own."""

Body = dict[str, Json]
Read = Callable[[Body, Call], None]
"""Takes out of a body what is no parameter, and puts it into the call."""


def _nothing(call: Call, event: Event) -> list[Body]:
    return []


def _never(call: Call, event: Event) -> None:
    return None


@dataclass(slots=True)
class OpenAI:
    """The dialect of one route: what its body is, how it is read, and how its objects are written."""

    wire: type[Wire]
    read: Read
    whole: Callable[[Call, Completion], Body]
    chunks: Callable[[Call, Event], list[Body]] = _nothing
    plain: Callable[[Call, Event], bytes | None] = _never
    max_depth: int = MAX_DEPTH
    name: str = "openai"

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        sent = loads(body, self.max_depth)
        wire = validated(self.wire, sent)
        # A null says nothing, to OpenAI as to us.
        said = {name: value for name, value in sent.items() if value is not None}
        controls = Controls.of(headers, said, end_user=wire.user)
        said.pop("metadata", None)
        call = Call(
            CompletionRequest(
                dialect=self.name,
                trace=controls.trace,
                model=said.pop("model"),
                inputs=controls.inputs,
                policy=controls.policy,
                cache=controls.cache,
                resume=controls.resume,
            )
        )
        self.read(said, call)
        call.request.params = said
        return call

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, orjson.dumps(self.whole(call, completion)))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        plain = self.plain(call, event)
        if plain is not None:
            return [plain]
        pieces = [framed(chunk) for chunk in self.chunks(call, event)]
        return [*pieces, DONE] if isinstance(event, Completion) else pieces

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return refuse(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        return [framed(envelope(error))]


def surface(max_depth: int) -> Surface:
    """The three routes; whatever else is asked for under `/v1` is refused in OpenAI's words."""
    chat = OpenAI(ChatBody, _chat, openai_chat.whole, openai_chat.chunks, openai_chat.plain, max_depth)
    text = OpenAI(TextBody, _text, openai_text.whole, openai_text.chunks, max_depth=max_depth)
    embedding = OpenAI(EmbeddingBody, _embedding, openai_embedding.whole, max_depth=max_depth)
    return Surface(
        prefixes=(PREFIX,),
        operations=(
            Operation(f"{PREFIX}/chat/completions", chat, summary="OpenAI: chat completion", schema=ChatBody),
            Operation(f"{PREFIX}/completions", text, summary="OpenAI: text completion", schema=TextBody),
            Operation(f"{PREFIX}/embeddings", embedding, summary="OpenAI: embeddings", schema=EmbeddingBody),
        ),
        refuse=refuse,
    )


def _chat(said: Body, call: Call) -> None:
    _stream(said, call)
    # The clients cannot leave the messages out: an empty list are those of the deployment.
    call.request.messages = said.pop("messages", None) or None
    if call.request.messages is None:
        _deployed(call.request.model, "messages")
    functions = said.pop("functions", None)
    if not functions:
        return
    if said.get("tools"):
        raise BadRequest("functions: give tools or functions, not both", param="functions")
    said.update(as_tools(functions, said.pop("function_call", None)))
    # The older API has room for one call.
    said.setdefault("parallel_tool_calls", False)
    call.told["functions"] = True


def _text(said: Body, call: Call) -> None:
    _stream(said, call)
    call.request.kind = "text"
    prompts = _prompts(said.pop("prompt", None))
    if prompts is None or (prompts == [""] and (call.request.model or "").startswith(DEPLOYMENT)):
        _deployed(call.request.model, "prompt")
    else:
        call.request.messages = [{"role": "user", "content": prompt} for prompt in prompts]


def _embedding(said: Body, call: Call) -> None:
    call.request.kind = "embedding"
    call.told["base64"] = said.pop("encoding_format", "float") == "base64"
    given = said.pop("input")
    # A text, or a list of token ids, which is one text as well.
    alone = isinstance(given, str) or isinstance(given[0], int)
    call.request.messages = [{"role": "user", "content": one} for one in ([given] if alone else given)]


def _stream(said: Body, call: Call) -> None:
    call.request.stream = bool(said.pop("stream", None))
    call.told["usage"] = bool((said.pop("stream_options", None) or {}).get("include_usage"))


def _prompts(given: Json) -> list[str] | None:
    """The texts to complete, each by itself."""
    if given is None:
        return None
    prompts: list[Json] = [given] if isinstance(given, str) else given
    if not prompts or not all(isinstance(one, str) for one in prompts):
        raise BadRequest("prompt: should be text, or a list of texts; token ids are not taken", param="prompt")
    return prompts


def _deployed(model: str | None, field: str) -> None:
    """Refuse a request without `field`, unless a deployment is asked for."""
    if not (model or "").startswith(DEPLOYMENT):
        raise Unprocessable([{"type": "missing", "loc": ["body", field], "msg": "Field required"}])
