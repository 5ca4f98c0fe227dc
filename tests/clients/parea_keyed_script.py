"""What a user of parea-ai writes who has a key of the gateway's. Run with PAREA_BASE_URL set and the key in
PAREA_API_KEY; prints one JSON object of what it saw.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from parea import Parea, trace
from parea.schemas import Completion, LLMInputs, Message, Role
from parea.utils.trace_utils import get_current_trace_id

seen: dict[str, Any] = {}
begun = time.monotonic()
client = Parea(api_key=os.environ["PAREA_API_KEY"], project_name="named-by-the-client")
seen["project"] = client._project.name


def asked() -> str:
    seen["function"] = get_current_trace_id()
    inputs = LLMInputs(model="echo", messages=[Message(content="hi", role=Role.user)])
    return str(client.completion(Completion(llm_configuration=inputs)).content)


seen["answer"] = trace(asked)()
seen["seconds"] = time.monotonic() - begun
for thread in threading.enumerate():
    if thread is not threading.main_thread() and not thread.daemon:
        thread.join()
json.dump(seen, sys.stdout)
