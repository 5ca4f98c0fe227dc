"""Vertex AI: generateContent and streamGenerateContent, behind a token that a service account's signed assertion buys.

The token endpoint is on the same loopback server: it verifies the RS256 signature with the public half of a key made
for the run, and generation takes only the access token it gave out.
"""

from __future__ import annotations

import base64
import json
import re
import time
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import AliasChoices, ConfigDict, Field

from tests.upstreams.connection import Json, Request
from tests.upstreams.embeddings import vector
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Strict, flaw
from tests.upstreams.server import Frame, Refusal, Upstream, sse

PROJECT = "test-project"
LOCATION = "us-central1"
# what google-auth signs for, whatever the key file's token_uri says
AUDIENCE = "https://oauth2.googleapis.com/token"
Data = dict[str, Any]


def either(camel: str, snake: str) -> Any:
    """A field of protobuf's JSON, which may be written in both ways."""
    return Field(default=None, validation_alias=AliasChoices(camel, snake))


class Proto(Strict):
    model_config = ConfigDict(extra="forbid", strict=True)


class Blob(Proto):
    mime_type: Annotated[str, Field(validation_alias=AliasChoices("mimeType", "mime_type"))]
    data: str


class File(Proto):
    mime_type: str | None = either("mimeType", "mime_type")
    file_uri: Annotated[str, Field(validation_alias=AliasChoices("fileUri", "file_uri"))]


class FunctionCall(Proto):
    name: str
    args: Data | None = None
    id: str | None = None


class FunctionResponse(Proto):
    name: str
    response: Data
    id: str | None = None


class Part(Proto):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = either("thoughtSignature", "thought_signature")
    inline_data: Blob | None = either("inlineData", "inline_data")
    file_data: File | None = either("fileData", "file_data")
    function_call: FunctionCall | None = either("functionCall", "function_call")
    function_response: FunctionResponse | None = either("functionResponse", "function_response")


class Content(Proto):
    role: Literal["user", "model", "function"] | None = None
    parts: Annotated[list[Part], Field(min_length=1)]


class System(Proto):
    role: str | None = None
    parts: Annotated[list[Part], Field(min_length=1)]


class Declaration(Proto):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$")]
    description: str | None = None
    parameters: Data | None = None
    parameters_json_schema: Data | None = either("parametersJsonSchema", "parameters_json_schema")
    response: Data | None = None


class Tool(Proto):
    declarations: list[Declaration] | None = either("functionDeclarations", "function_declarations")
    search: Data | None = either("googleSearch", "google_search")


class CallingConfig(Proto):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed: list[str] | None = either("allowedFunctionNames", "allowed_function_names")


class ToolConfig(Proto):
    calling: CallingConfig | None = either("functionCallingConfig", "function_calling_config")


class Generation(Proto):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = either("topP", "top_p")
    top_k: float | None = either("topK", "top_k")
    candidates: int | None = either("candidateCount", "candidate_count")
    max_tokens: int | None = either("maxOutputTokens", "max_output_tokens")
    stop: list[str] | None = either("stopSequences", "stop_sequences")
    presence_penalty: float | None = either("presencePenalty", "presence_penalty")
    frequency_penalty: float | None = either("frequencyPenalty", "frequency_penalty")
    mime_type: Literal["text/plain", "application/json", "text/x.enum"] | None = either(
        "responseMimeType", "response_mime_type"
    )
    schema_: Data | None = either("responseSchema", "response_schema")
    json_schema: Data | None = either("responseJsonSchema", "response_json_schema")
    seed: int | None = None
    response_logprobs: bool | None = either("responseLogprobs", "response_logprobs")
    logprobs: int | None = None
    thinking: Data | None = either("thinkingConfig", "thinking_config")
    modalities: list[str] | None = either("responseModalities", "response_modalities")


class Body(Proto):
    contents: Annotated[list[Content], Field(min_length=1)]
    system: System | None = either("systemInstruction", "system_instruction")
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = either("toolConfig", "tool_config")
    generation: Generation | None = either("generationConfig", "generation_config")
    safety: list[Data] | None = either("safetySettings", "safety_settings")
    labels: dict[str, str] | None = None
    cached: str | None = either("cachedContent", "cached_content")


class Instance(Proto):
    content: Annotated[str, Field(min_length=1)]
    task_type: Literal["RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION"] | None = None
    title: str | None = None


class PredictParameters(Proto):
    """What a prediction takes besides; the API does not look at the rest, and LiteLLM repeats the instance's here."""

    task_type: str | None = None
    title: str | None = None
    dimensions: int | None = either("outputDimensionality", "output_dimensionality")
    truncate: bool | None = either("autoTruncate", "auto_truncate")


class Predict(Proto):
    """Texts to embed, for the models that answer predictions."""

    instances: Annotated[list[Instance], Field(min_length=1)]
    parameters: PredictParameters | None = None


class EmbedContent(Proto):
    """Content to embed, all of it in one vector."""

    content: System
    dimensions: int | None = either("outputDimensionality", "output_dimensionality")
    task: str | None = either("taskType", "task_type")
    title: str | None = None


BODIES: dict[str, type[Proto]] = {
    "generateContent": Body,
    "streamGenerateContent": Body,
    "predict": Predict,
    "embedContent": EmbedContent,
}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}
REASONS = {
    "context_length": "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
    "content_filter": "It contains sensitive words that violate Google's Responsible AI practices.",
}
WORDS = {
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential.",
    403: "Permission 'aiplatform.endpoints.predict' denied on resource.",
    404: "Publisher Model was not found or your project does not have access to it.",
    429: "Resource exhausted. Please try again later.",
    503: "The model is overloaded. Please try again later.",
}
FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
PATH = re.compile(
    rf"/v1(?:beta1)?/projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/([^/:]+)"
    r":(generateContent|streamGenerateContent|predict|embedContent)"
)


class Vertex(Upstream):
    """Gemini on Vertex AI."""

    def __init__(self, name: str = "vertexai") -> None:
        super().__init__(name)
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.token = f"ya29.token-of-{name}-0123456789"
        self.tokens_given = 0
        self.elsewhere = ""

    @cached_property
    def credentials(self) -> str:
        """A service account's key file, as Google hands it out, with the token endpoint on loopback."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "key-1",
                "private_key": pem.decode(),
                "client_email": f"tester@{PROJECT}.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": f"{self.url}/token",
            }
        )

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        words = message or REASONS.get(reason) or WORDS.get(status, "The request failed.")
        return Refusal(status, {"error": {"code": status, "message": words, "status": STATUSES.get(status, "UNKNOWN")}})

    def model_of(self, request: Request) -> str:
        match = PATH.fullmatch(request.path)
        return match[1] if match else ""

    # the token endpoint

    def route(self, request: Request) -> Json:
        if request.path != "/token":
            return None
        if self.elsewhere:
            raise Refusal(307, {}, {"location": self.elsewhere})
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refusal(400, {"error": "unsupported_grant_type"})
        self._verify(form.get("assertion", ""))
        self.tokens_given += 1
        return {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}

    def _verify(self, assertion: str) -> None:
        try:
            signed, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_unbase64(part)) for part in signed.split("."))
            self._private.public_key().verify(
                _unbase64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, InvalidSignature) as error:
            raise Refusal(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}) from error
        right = header["alg"] == "RS256" and claims["aud"] == AUDIENCE and claims["exp"] > time.time()
        if not right or "https://www.googleapis.com/auth/cloud-platform" not in claims["scope"]:
            raise Refusal(400, {"error": "invalid_grant", "error_description": "Invalid JWT."})

    # the model

    def check(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise self.refusal(401)
        match = PATH.fullmatch(request.path)
        if request.method != "POST" or match is None:
            raise self.refusal(404, message=f"Not found: {request.path}")
        request.stream = match[2] == "streamGenerateContent"
        if request.stream and request.query.get("alt") != "sse":
            raise self.refusal(400, message="This server streams with alt=sse only.")
        wrong = flaw(BODIES[match[2]], request.body)
        if wrong is not None and wrong.unknown:
            *where, name = wrong.loc
            place = f" at '{'.'.join(map(str, where))}'" if where else ""
            raise self.refusal(
                400, message=f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
            )
        if wrong is not None:
            raise self.refusal(400, message=f"Invalid value at '{wrong.dotted}': {wrong.message}")
        if match[2] in ("predict", "embedContent"):
            request.kind = "embedding"
            return
        self._check_turns(request.json["contents"])

    def _check_turns(self, contents: list[Json]) -> None:
        called = 0
        for content in contents:
            answered = sum(1 for part in content["parts"] if "functionResponse" in part or "function_response" in part)
            if answered != called:
                raise self.refusal(
                    400,
                    message="Please ensure that the number of function response parts is equal to the number of "
                    "function call parts of the function call turn.",
                )
            called = sum(1 for part in content["parts"] if "functionCall" in part or "function_call" in part)
        if contents[-1].get("role") == "model" and called:
            raise self.refusal(400, message="Please ensure that function call turn is followed by a response turn.")

    def whole(self, request: Request, reply: Reply) -> Json:
        if request.kind == "embedding":
            return _embedded(request.json, reply)
        parts = _thoughts(reply)
        if reply.finish == "content_filter":
            # a whole answer that is stopped for safety holds none of it
            return self._answer_of(request, [], FINISH[reply.finish]) | _usage(reply)
        if reply.text or not reply.tools:
            parts.append({"text": reply.text})
        parts += _calls(reply)
        return self._answer_of(request, parts, FINISH[reply.finish]) | _usage(reply)

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        pieces: list[list[Json]] = [[part] for part in _thoughts(reply)]
        pieces += [[{"text": piece}] for piece in reply.pieces]
        frames = [sse(self._answer_of(request, parts), delta=True) for parts in pieces]
        if reply.tools:
            frames.append(sse(self._answer_of(request, _calls(reply)), delta=True))
        last = self._answer_of(request, [{"text": ""}], FINISH[reply.finish]) | _usage(reply)
        return [*frames, sse(last)]

    def error_frame(self) -> Frame:
        return sse({"error": {"code": 503, "message": WORDS[503], "status": "UNAVAILABLE"}})

    def _answer_of(self, request: Request, parts: list[Json], finish: str | None = None) -> dict[str, Json]:
        content = {"role": "model", "parts": parts} if parts else {"role": "model"}
        candidate: dict[str, Json] = {"content": content, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "modelVersion": self.model_of(request), "responseId": "resp-1"}


def _thoughts(reply: Reply) -> list[Json]:
    return [{"text": reply.reasoning, "thought": True}] if reply.reasoning else []


def _calls(reply: Reply) -> list[Json]:
    return [{"functionCall": {"name": tool.name, "args": tool.arguments}} for tool in reply.tools]


def _usage(reply: Reply) -> dict[str, Json]:
    if reply.usage is None:
        return {}
    prompt, completion = reply.usage
    counts = {"promptTokenCount": prompt, "totalTokenCount": prompt + completion}
    counts |= {"candidatesTokenCount": completion - reply.thought}
    counts |= {"thoughtsTokenCount": reply.thought} if reply.thought else {}
    counts |= {"cachedContentTokenCount": reply.cached} if reply.cached else {}
    return {"usageMetadata": counts | {"trafficType": "ON_DEMAND"}}


def _embedded(body: Json, reply: Reply) -> Json:
    if "content" in body:
        text = "".join(part["text"] for part in body["content"]["parts"])
        counts = {"promptTokenCount": reply.usage[0], "totalTokenCount": reply.usage[0]} if reply.usage else {}
        values = vector(text, body.get("outputDimensionality"))
        return {"embedding": {"values": values}, "usageMetadata": counts, "truncated": False}
    size = (body.get("parameters") or {}).get("outputDimensionality")
    texts = [instance["content"] for instance in body["instances"]]
    # the tokens of all texts are those of the first
    counts_of = [(reply.usage or (0, 0))[0]] + [0] * (len(texts) - 1)
    return {
        "predictions": [
            {"embeddings": {"values": vector(text, size), "statistics": {"token_count": count, "truncated": False}}}
            for text, count in zip(texts, counts_of, strict=True)
        ],
        "metadata": {"billableCharacterCount": sum(map(len, texts))},
    }


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
