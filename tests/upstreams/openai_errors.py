"""How the vendors of the OpenAI family word an error: a status and a message in, the body of each vendor out."""

from __future__ import annotations

from tests.upstreams.connection import Json

WORDS = {
    400: "The request is invalid.",
    401: "Incorrect API key provided.",
    402: "Your credit balance is too low.",
    403: "You are not allowed to use this model.",
    404: "The model does not exist or you do not have access to it.",
    408: "The request timed out.",
    422: "The request could not be processed.",
    429: "Rate limit reached for requests.",
    500: "The server had an error while processing your request.",
    502: "Bad gateway.",
    503: "The engine is currently overloaded, please try again later.",
    529: "Overloaded.",
}
CONTEXT = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
FILTER = "Your request was rejected as a result of our safety system."


def openai_error(status: int, reason: str, message: str) -> Json:
    kind = {401: "invalid_request_error", 403: "permission_error", 429: "requests"}.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    code = {"context_length": "context_length_exceeded", "content_filter": "content_policy_violation"}.get(reason, code)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def azure_error(status: int, reason: str, message: str) -> Json:
    if reason == "content_filter":
        return {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's content policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {
                    "code": "ResponsibleAIPolicyViolation",
                    "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
                },
            }
        }
    if status == 401:
        return {
            "error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}
        }
    if status == 404:
        return {
            "error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}
        }
    return openai_error(status, reason, message)


def openrouter_error(status: int, reason: str, message: str) -> Json:
    return {"error": {"code": status, "message": message, "metadata": {"provider_name": "OpenAI"}}, "user_id": "user_1"}


def groq_error(status: int, reason: str, message: str) -> Json:
    body = openai_error(status, reason, message)["error"]
    return {"error": {key: value for key, value in body.items() if value is not None}}


def fireworks_error(status: int, reason: str, message: str) -> Json:
    code = {401: "UNAUTHORIZED", 404: "NOT_FOUND"}.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    return {"error": {"object": "error", "type": "invalid_request_error", "code": code, "message": message}}


def mistral_error(status: int, reason: str, message: str) -> Json:
    if status == 401:
        return {"detail": "Unauthorized"}
    if status == 422:
        entry = {"type": "value_error", "loc": ["body"], "msg": message, "input": None}
        return {"object": "error", "message": {"detail": [entry]}, "type": "invalid_request_error", "param": None}
    kind = {429: "rate_limited"}.get(status, "invalid_request_error" if status < 500 else "internal_server_error")
    return {"object": "error", "message": message, "type": kind, "param": None, "code": "3000"}
