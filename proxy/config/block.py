"""The two kinds of blocks in the config file: the gateway's own, and those of LiteLLM's format."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of the gateway's own: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Foreign(BaseModel):
    """A block of LiteLLM's format: an unknown key is kept, to be judged by name."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, hide_input_in_errors=True)
