"""Streams one completion many times with parea-ai and prints how often it arrived whole. Arguments: rounds, length."""

from __future__ import annotations

import sys

from parea import Parea
from parea.schemas import Completion, LLMInputs, Message

rounds, length = int(sys.argv[1]), int(sys.argv[2])
client = Parea(api_key="anything", project_name="replay")
text = ("The cached answer of a model, with data: and é, again. " * length)[:length]
asked = Completion(llm_configuration=LLMInputs(model="echo", messages=[Message(content=text)]))
whole = 0
for _ in range(rounds):
    pieces = list(client.stream(asked))
    whole += None not in pieces and "".join(pieces) == f"You said: {text}"
print(whole)
