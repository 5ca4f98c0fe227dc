"""Keeps the libraries below from printing: what they say about a call quotes the prompt, the answer or the key.

What must stay true: failures are told by exceptions only (`translation/failures.py`), and no logger, warning or handler
of these libraries writes to stdout or stderr. What asyncio reports of a task that nobody waited for is told with its
place, not its text.
"""

from __future__ import annotations

import logging
import traceback
import warnings

LOGGERS = (
    "LiteLLM",
    "LiteLLM Router",
    "LiteLLM Proxy",
    "litellm",
    "openai",
    "httpx",
    "httpcore",
    "aiohttp",
    "boto3",
    "botocore",
    "google",
    "urllib3",
    "requests",
)
"""Loggers of LiteLLM and of what it sends with; those below them follow."""

WARNERS = r"(litellm|pydantic|openai|httpx|httpcore|aiohttp|boto3|botocore|google|urllib3|requests)(\.|$)"
"""Modules whose warnings are not shown: pydantic's about an answer's odd types quote them."""

QUOTING = (r"Pydantic serializer warnings", r"PydanticSerializationUnexpectedValue")
"""Warnings that quote an answer, wherever they are raised."""


def install() -> None:
    """Silence the libraries; once, after they were imported, because they set up their loggers then."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    for name in list(logging.Logger.manager.loggerDict):
        if name.startswith(tuple(f"{each}." for each in LOGGERS)):
            below = logging.getLogger(name)
            below.handlers[:] = []
            below.propagate, below.level = True, logging.NOTSET
    warnings.filterwarnings("ignore", module=WARNERS)
    for message in QUOTING:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("asyncio").addFilter(placed)


def placed(record: logging.LogRecord) -> bool:
    """asyncio's report without the reprs and messages in it: what happened, of which class, and where."""
    happened = record.getMessage().partition("\n")[0]
    for bracket in "(<":
        happened = happened.partition(bracket)[0]
    lines = [happened.strip()]
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        kind, _, place = record.exc_info
        lines += [kind.__name__, *traceback.format_tb(place)]
    record.msg, record.args, record.exc_info, record.exc_text = "\n".join(lines), (), None, None
    return True
