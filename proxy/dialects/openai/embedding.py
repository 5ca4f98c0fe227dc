"""Embeddings as OpenAI writes them.

Vectors come as numbers or in base64, whichever the provider likes; they leave in the form that the client asked for,
which `Call.told` keeps as `base64`: little-endian floats of 32 bits.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from binascii import Error as NoBase64

from proxy.errors import UpstreamError
from proxy.models import Call, Completion, Json


def whole(call: Call, completion: Completion) -> dict[str, Json]:
    """The whole answer."""
    written = _base64 if call.told.get("base64") else _numbers
    try:
        vectors = [written(vector) for vector in completion.embeddings]
    except (NoBase64, struct.error, TypeError, ValueError):
        raise UpstreamError(
            f"{completion.provider} gave an embedding that cannot be read",
            code="bad_answer",
            provider=completion.provider,
        ) from None
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": completion.model,
        "usage": {"prompt_tokens": completion.usage.prompt_tokens, "total_tokens": completion.usage.total_tokens},
    }


def _base64(vector: Json) -> str:
    return vector if isinstance(vector, str) else b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _numbers(vector: Json) -> list[float]:
    if not isinstance(vector, str):
        return [float(number) for number in vector]
    packed = b64decode(vector, validate=True)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))
