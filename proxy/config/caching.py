"""LiteLLM's `cache` and `cache_params`, as far as `cache` has the same."""

from __future__ import annotations

from proxy.config.document import Document
from proxy.config.settings import CacheSettings, File
from proxy.config.validation import ConfigWarning, warned

STORES = {"local": "memory", "disk": "diskcache"}
"""LiteLLM's words for the stores that are here, too."""


def cache(document: Document, file: File) -> tuple[CacheSettings, list[ConfigWarning]]:
    """The cache's settings, of which those in `cache` win, and what LiteLLM's keys say that is not so here."""
    keys, place = file.litellm_settings, ("litellm_settings", "cache_params")
    if not keys.cache:
        idle = keys.cache_params.model_fields_set
        return file.cache, [warned(document, place, "has no effect without cache: true, as in LiteLLM")] if idle else []
    said = "is for the calls that ask for it, in their own way, and not for all"
    told = [warned(document, ("litellm_settings", "cache"), said)]
    found: dict[str, object] = {"ttl": keys.cache_params.ttl, "store": STORES.get(keys.cache_params.type or "")}
    if keys.cache_params.type is not None and found["store"] is None:
        instead = f"is no store of this gateway's; cache.store is {file.cache.store}"
        told.append(warned(document, (*place, "type"), instead))
    own = file.cache.model_fields_set
    given = {name: value for name, value in found.items() if value is not None and name not in own}
    return file.cache.model_copy(update=given), told
