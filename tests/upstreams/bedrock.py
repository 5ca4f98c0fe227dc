"""Bedrock's Converse and ConverseStream, and InvokeModel for the models that embed: AWS signature version 4, AWS's own
service model, binary event-stream frames.

The signature is computed again by hand from the secret and compared. What a body may hold is asked of the service model
that botocore ships, which AWS generates from the API itself.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, unquote

import botocore.session
from botocore.validate import ParamValidator
from pydantic import Field

from tests.upstreams.anthropic import newer_claude
from tests.upstreams.connection import Json, Request
from tests.upstreams.embeddings import vector
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Strict, flaw
from tests.upstreams.server import Frame, Refusal, Upstream, dump, halves

REGION = "us-east-1"
ACCESS_KEY = "AKIATESTTESTTESTTEST"
PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)")
KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    422: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
WORDS = {
    403: "You don't have access to the model with the specified model ID.",
    404: "Could not resolve the foundation model from the provided model identifier.",
    429: "Too many requests, please wait before trying again.",
    500: "The system encountered an unexpected error during processing. Try your request again.",
    503: "Bedrock is unable to process your request.",
}
REASONS = {
    "context_length": "The model returned the following errors: Input is too long for requested model.",
    "content_filter": "The model returned the following errors: Output blocked by content filtering policy",
}
FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}


@lru_cache(maxsize=1)
def _shape() -> Any:
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    return model.operation_model("Converse").input_shape


class Titan(Strict):
    """The body of an Amazon Titan model, version 2: one text."""

    inputText: Annotated[str, Field(min_length=1)]
    dimensions: Literal[256, 512, 1024] | None = None
    normalize: bool | None = None
    embeddingTypes: list[Literal["float", "binary"]] | None = None


class CohereEmbed(Strict):
    """The body of a model of Cohere's on Bedrock."""

    texts: Annotated[list[str], Field(min_length=1, max_length=96)]
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    truncate: Literal["NONE", "START", "END"] | None = None
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] | None = None
    output_dimension: Literal[256, 512, 1024, 1536] | None = None


EMBEDDING: dict[str, type[Strict]] = {"amazon.titan-embed-text-v2:0": Titan, "cohere.embed-english-v3": CohereEmbed}


class Bedrock(Upstream):
    """`POST /model/{id}/converse`, `/converse-stream` and `/invoke`."""

    def __init__(self, name: str = "aws_bedrock") -> None:
        super().__init__(name)
        self.secret = f"secret-of-{name}-0123456789"

    @property
    def stream_type(self) -> str:
        return "application/vnd.amazon.eventstream"

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        words = message or REASONS.get(reason) or WORDS.get(status, "The request failed.")
        kind = KINDS.get(status, "InternalServerException")
        return Refusal(status, {"message": words}, {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"})

    def model_of(self, request: Request) -> str:
        # an ARN holds slashes, encoded
        match = PATH.fullmatch(request.raw_path)
        return unquote(match[1]) if match else ""

    def check(self, request: Request) -> None:
        self._check_signature(request)
        match = PATH.fullmatch(request.raw_path)
        if request.method != "POST" or match is None:
            raise Refusal(404, {"message": "UnknownOperationException"})
        request.stream = match[2] == "converse-stream"
        body, model = request.json, self.model_of(request)
        if not isinstance(body, dict):
            raise self.refusal(400, message="The request body is no JSON object.")
        if match[2] == "invoke":
            self._check_embedding(request, model)
            return
        report = ParamValidator().validate({**body, "modelId": model}, _shape())
        if report.has_errors():
            raise self.refusal(400, message=report.generate_report())
        inference = body.get("inferenceConfig") or {}
        if newer_claude(model) and "temperature" in inference and "topP" in inference:
            raise self.refusal(
                400,
                message="The model returned the following errors: `temperature` and `top_p` cannot both be specified "
                "for this model. Please use only one.",
            )
        if "claude" in model and "safe_prompt" in (body.get("additionalModelRequestFields") or {}):
            raise self.refusal(
                400,
                message="The model returned the following errors: safe_prompt: Extra inputs are not permitted",
            )
        self._check_turns(body)

    def _check_embedding(self, request: Request, model: str) -> None:
        request.kind = "embedding"
        if model.partition("~")[0] not in EMBEDDING:
            raise self.refusal(400, message="The provided model identifier is invalid.")
        wrong = flaw(EMBEDDING[model.partition("~")[0]], request.body)
        if wrong is not None:
            raise self.refusal(400, message=f"Malformed input request: #: {wrong.dotted}: {wrong.message}")

    def _check_turns(self, body: Json) -> None:
        messages = body.get("messages") or []
        if not messages or messages[0]["role"] != "user":
            raise self.refusal(
                400,
                message="A conversation must start with a user message. Try again with a conversation that starts with "
                "a user message.",
            )
        used: list[str] = []
        previous = ""
        for number, message in enumerate(messages):
            if message["role"] == previous:
                raise self.refusal(400, message="A conversation must alternate between user and assistant roles.")
            previous = message["role"]
            blocks = message["content"]
            if not blocks or any(block.get("text", "x") == "" for block in blocks):
                raise self.refusal(
                    400, message=f"The content field in the Message object at messages.{number} is empty."
                )
            results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
            if sorted(results) != sorted(used):
                raise self.refusal(
                    400,
                    message=f"Expected toolResult blocks at messages.{number}.content for the following Ids: {used}",
                )
            used = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
            if (used or results) and "toolConfig" not in body:
                raise self.refusal(
                    400,
                    message="The toolConfig field must be defined when using toolUse and toolResult content blocks.",
                )

    # the signature

    def _check_signature(self, request: Request) -> None:
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, "
            r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
            request.headers.get("authorization", ""),
        )
        if match is None:
            raise Refusal(403, {"message": "Missing Authentication Token"}, {"x-amzn-errortype": "MissingToken"})
        access_key, day, region, names, signature = match.groups()
        if access_key != ACCESS_KEY:
            raise Refusal(
                403,
                {"message": "The security token included in the request is invalid."},
                {"x-amzn-errortype": "UnrecognizedClientException"},
            )
        stamp = request.headers.get("x-amz-date", "")
        fresh = abs(datetime.now(UTC) - _time(stamp)) < timedelta(minutes=5) and stamp.startswith(day)
        right = fresh and {"host", "x-amz-date"} <= set(names.split(";")) and region == REGION
        if not right or not hmac.compare_digest(signature, self._signature(request, day, stamp, names)):
            raise Refusal(
                403,
                {
                    "message": "The request signature we calculated does not match the signature you provided. Check "
                    "your AWS Secret Access Key and signing method. Consult the service documentation for details."
                },
                {"x-amzn-errortype": "InvalidSignatureException"},
            )

    def _signature(self, request: Request, day: str, stamp: str, names: str) -> str:
        query = sorted(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
        canonical = "\n".join(
            [
                request.method,
                quote(request.raw_path, safe="/-_.~"),
                "&".join(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in query),
                *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names.split(";")),
                "",
                names,
                hashlib.sha256(request.body).hexdigest(),
            ]
        )
        scope = f"{day}/{REGION}/bedrock/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    # the answer

    def whole(self, request: Request, reply: Reply) -> Json:
        if request.kind == "embedding":
            return _embedded(request.json, reply)
        content: list[Json] = []
        if reply.reasoning:
            thought = {"reasoningText": {"text": reply.reasoning, "signature": "c2ln"}}
            content.append({"reasoningContent": thought})
        if reply.text:
            content.append({"text": reply.text})
        content += [
            {"toolUse": {"toolUseId": tool.id, "name": tool.name, "input": tool.arguments}} for tool in reply.tools
        ]
        body = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": FINISH[reply.finish],
            "metrics": {"latencyMs": 12},
        }
        return body | _usage(reply)

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        frames = [event("messageStart", {"role": "assistant"})]
        index = 0
        for deltas in (
            [{"reasoningContent": {"text": reply.reasoning}}, {"reasoningContent": {"signature": "c2ln"}}]
            if reply.reasoning
            else [],
            [{"text": piece} for piece in reply.pieces],
        ):
            if deltas:
                frames += [_gain(index, delta) for delta in deltas]
                frames.append(event("contentBlockStop", {"contentBlockIndex": index}))
                index += 1
        for tool in reply.tools:
            start = {"toolUse": {"toolUseId": tool.id, "name": tool.name}}
            frames.append(event("contentBlockStart", {"contentBlockIndex": index, "start": start}))
            parts = halves(dump(tool.arguments).decode())
            frames += [_gain(index, {"toolUse": {"input": part}}) for part in parts]
            frames.append(event("contentBlockStop", {"contentBlockIndex": index}))
            index += 1
        frames.append(event("messageStop", {"stopReason": FINISH[reply.finish]}))
        if reply.usage is not None:
            frames.append(event("metadata", _usage(reply) | {"metrics": {"latencyMs": 12}}))
        return frames

    def error_frame(self) -> Frame:
        message = {"message": "The model encountered an error.", "originalStatusCode": 500}
        kind = "modelStreamErrorException"
        return Frame(frame({":exception-type": kind, ":message-type": "exception"}, message))

    def comment(self) -> bytes:
        return b""


def _usage(reply: Reply) -> dict[str, Json]:
    if reply.usage is None:
        return {}
    prompt, completion = reply.usage
    counts = {"inputTokens": prompt - reply.cached, "outputTokens": completion, "totalTokens": prompt + completion}
    return {"usage": counts | ({"cacheReadInputTokens": reply.cached} if reply.cached else {})}


def _embedded(body: Json, reply: Reply) -> Json:
    if "inputText" in body:
        found = vector(body["inputText"], body.get("dimensions"))
        return {
            "embedding": found,
            "embeddingsByType": {"float": found},
            "inputTextTokenCount": (reply.usage or (0,))[0],
        }
    vectors = [vector(text, body.get("output_dimension")) for text in body["texts"]]
    answer = {"id": "e1", "response_type": "embeddings_floats", "texts": body["texts"]}
    return {**answer, "embeddings": {"float": vectors} if body.get("embedding_types") else vectors}


def _gain(index: int, delta: Json) -> Frame:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}, gain=True)


def event(kind: str, payload: Json, *, gain: bool = False) -> Frame:
    # Bedrock pads its events with `p` so that their length tells nothing
    return Frame(frame({":event-type": kind, ":message-type": "event"}, payload | {"p": "abcdef"}), gain)


def frame(headers: dict[str, str], payload: Json) -> bytes:
    """One event-stream message: two lengths and their CRC, headers, payload, the CRC of it all."""
    body = dump(payload)
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in {**headers, ":content-type": "application/json"}.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(body), len(head))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + body
    return message + struct.pack("!I", zlib.crc32(message))


def _time(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
