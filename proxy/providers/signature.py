"""AWS's signature, version 4, by botocore's own code, as LiteLLM has it made.

What must stay true: what is signed is what is sent: the body byte for byte, the path as it stands in the URL, and the
headers that AWS counts.
"""

from __future__ import annotations

from collections.abc import Mapping

PAIR = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
"""The settings of a pair of keys; the token may be empty."""

MADE = frozenset({"x-amz-date", "x-amz-security-token"})
"""Headers that a signature brings, besides the `authorization`."""

SCHEME = "AWS4-HMAC-SHA256"
COUNTED = ("content-type", "x-amz-", "x-amzn-")
"""How the names of the headers begin that are signed, besides the host."""


def made(pair: Mapping[str, str], region: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The headers that sign a POST of `body` to Bedrock, besides its own, which are lower-case."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    credentials = Credentials(*(pair[name] for name in PAIR[:2]), pair["aws_session_token"] or None)
    counted = {name: value for name, value in headers.items() if name.startswith(COUNTED)}
    request = AWSRequest(method="POST", url=url, data=body, headers=counted)
    SigV4Auth(credentials, "bedrock", region).add_auth(request)
    found = {name.lower(): value for name, value in request.headers.items()}
    return {name: found[name] for name in (*MADE, "authorization") if name in found}
