"""A local LLM gateway: the Parea completion API in front of every provider LiteLLM can call."""

__version__ = "0.1.0"
