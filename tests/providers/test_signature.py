"""AWS's signature: the upstream of the fleet computes it again by hand (tests/upstreams/bedrock.py)."""

from __future__ import annotations

import re

from proxy.providers import signature

PAIR = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "a-secret", "aws_session_token": ""}
URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/converse"
HEADERS = {"content-type": "application/json", "accept": "*/*", "x-amzn-bedrock-trace": "ENABLED"}


def sign(pair: dict[str, str] = PAIR, url: str = URL, body: bytes = b"{}") -> dict[str, str]:
    return signature.made(pair, "us-east-1", url, HEADERS, body)


def counted(headers: dict[str, str]) -> str:
    found = re.search("SignedHeaders=([^,]+)", headers["authorization"])
    assert found is not None
    return found[1]


def test_those_headers_are_signed_that_aws_counts() -> None:
    headers = sign()
    assert counted(headers) == "content-type;host;x-amz-date;x-amzn-bedrock-trace"
    assert headers.keys() == {"x-amz-date", "authorization"}
    assert headers["authorization"].startswith(f"{signature.SCHEME} Credential=AKIATEST/")


def test_a_sessions_token_is_sent_and_signed() -> None:
    headers = sign({**PAIR, "aws_session_token": "a-token"})
    assert headers["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in counted(headers)


def test_the_body_the_path_and_the_secret_are_signed() -> None:
    others = [sign(body=b"{ }"), sign(url=URL + "-stream"), sign({**PAIR, "aws_secret_access_key": "another"})]
    assert len({headers["authorization"] for headers in [sign(), *others]}) == 4
