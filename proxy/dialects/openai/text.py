"""Text completions as OpenAI writes them: `text_completion`, whole and for a stream.

Any model may have completed the text. A chat model's log probabilities are written the older way: lists beside each
other, with the place of each token in the choice's text. A prompt that shall be repeated before its completion
(`echo`) is put there for a chat model; a completion model does it itself, and has log probabilities for it.

Of several prompts each has `n` choices: those of the first come first.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dialects.openai.frame import counted, head, part, total
from proxy.models import Call, Chunk, Completion, Event, Json
from proxy.vendors import asked

KIND = "text_completion"


def whole(call: Call, completion: Completion) -> dict[str, Json]:
    """The whole answer."""
    return {
        **head(call, completion, KIND),
        "choices": [
            {
                "text": prompt + choice.text,
                "index": choice.index,
                "logprobs": logprobs(choice.logprobs, len(prompt)),
                "finish_reason": choice.finish_reason,
            }
            for choice in completion.choices
            for prompt in [_repeated(call, choice.index)]
        ],
        "usage": counted(completion.usage),
    }


def chunks(call: Call, event: Event) -> list[dict[str, Json]]:
    """What a stream tells of `event`; its end is a chunk per choice, and one with the count of tokens if asked for."""
    places: dict[int, int] = call.told.setdefault("places", {})
    if isinstance(event, Chunk):
        choice = _told(call, places, event.index, event.text, event.logprobs)
        return [part(call, None, KIND, choice)] if choice["text"] or event.logprobs is not None else []
    found = []
    for ended in event.choices:
        untold = ended.index not in places
        choice = _told(call, places, ended.index, *((ended.text, ended.logprobs) if untold else ("", None)))
        found.append(part(call, event, KIND, {**choice, "finish_reason": ended.finish_reason}))
    return found + total(call, event, KIND)


def logprobs(found: Json, start: int = 0) -> Json:
    """Log probabilities in the older shape, from either; `start` is where their text begins in the choice's."""
    if not isinstance(found, Mapping) or not isinstance(found.get("content"), list):
        return found
    listed: list[Mapping[str, Json]] = [entry for entry in found["content"] if isinstance(entry, Mapping)]
    tokens = [str(entry.get("token") or "") for entry in listed]
    offsets = []
    for token in tokens:
        offsets.append(start)
        start += len(token)
    tops = [{str(top.get("token")): top.get("logprob") for top in entry.get("top_logprobs") or ()} for entry in listed]
    return {
        "tokens": tokens,
        "token_logprobs": [entry.get("logprob") for entry in listed],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


def _repeated(call: Call, index: int) -> str:
    """The prompt of choice `index`, if it shall be repeated and the model does not do so itself."""
    request, target = call.request, call.target
    if not request.params.get("echo") or not request.messages:
        return ""
    if target is not None and asked(target, request.kind) == "text":
        return ""
    place = -1
    if request.kind == "text" and len(request.messages) > 1:
        n = {**(target.params if target is not None else {}), **request.params}.get("n") or 1
        place = index // n
    content = request.messages[place].get("content")
    return content if isinstance(content, str) else ""


def _told(call: Call, places: dict[int, int], index: int, text: str, found: Json) -> dict[str, Json]:
    """A choice that gained `text`; `places` has how much text of each choice was told before."""
    prompt = "" if index in places else _repeated(call, index)
    start = places.get(index, len(prompt))
    places[index] = start + len(text)
    return {"text": prompt + text, "index": index, "logprobs": logprobs(found, start), "finish_reason": None}
