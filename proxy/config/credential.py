"""The address and the credentials that a block of the file gives, and where it says so.

What must stay true: a key that a block names, even an empty one, is its own, and no other is taken in its place; a key
that stands in the environment goes to its provider's own address only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from proxy.config.document import VARIABLE, Document, Place
from proxy.config.hint import nearest
from proxy.config.settings import SETTINGS, Access, File, LiteLLMParams

CREDENTIALS = (
    "api_key",
    "azure_ad_token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "vertex_credentials",
)
"""The settings that only make sense together: a block that gives one takes none of the others from elsewhere."""

REFERRING = frozenset({*CREDENTIALS, "api_base", "base_url"})
"""The settings of an entry that may refer to a variable which is not there."""

KEYLESS = frozenset({"hosted_vllm", "llamafile", "lm_studio", "ollama", "ollama_chat", "xinference"})
"""Servers of LiteLLM's that ask for no key."""

OTHER_KEYS = {"perplexity": "PERPLEXITYAI_API_KEY", "together_ai": "TOGETHERAI_API_KEY"}
"""Where LiteLLM has a provider's key if not under the provider's name."""


@dataclass(slots=True, frozen=True)
class Given:
    """What a block gives of address and credentials, as plain values, and where it says so: in itself, and for an entry
    also in the credential that it names.
    """

    document: Document
    places: tuple[Place, ...]
    values: dict[str, Any]

    def names(self, setting: str) -> bool:
        """Whether the setting stands there, be it empty."""
        return any(place in self.document.lines for place in self._where(setting))

    def variables(self, setting: str) -> tuple[str, ...]:
        """The environment variables that the setting was taken from."""
        found = (self.document.variables.get(place) for place in self._where(setting))
        return next((names for names in found if names), ())

    def _where(self, setting: str) -> list[Place]:
        words = (setting, "base_url") if setting == "api_base" else (setting,)
        return [(*place, word) for place in self.places for word in words]

    def unset(self) -> str | None:
        """A setting that refers to a variable which is not there, if there is one."""
        return next(
            (str(place[-1]) for place in sorted(self.document.unset, key=str) if place[:-1] in self.places), None
        )

    @property
    def origin(self) -> str | None:
        """Where the credential comes from: a variable's name, `config`, or None if there is none."""
        for name in CREDENTIALS:
            if name in self.values:
                return "+".join(self.variables(name)) or "config"
        return None


def forgive(document: Document) -> None:
    """Let an entry of `model_list` refer to variables that are not there for its credentials and its address: it is
    left out, as one whose key is nowhere. What is no variable's name may be a pasted key, and stays a problem.
    """

    def forgiven(place: Place) -> bool:
        mine = len(place) == 4 and place[0] == "model_list" and place[2] == "litellm_params" and place[3] in REFERRING
        return mine and all(map(VARIABLE.fullmatch, document.variables.get(place, ("",))))

    document.unset = {one.place for one in document.problems if forgiven(one.place)}
    document.problems = [one for one in document.problems if one.place not in document.unset]


def given(document: Document, file: File, place: Place, params: LiteLLMParams) -> Given:
    """What an entry gives, its own before that of the credential that it names."""
    own = Given(document, (place,), values_of(params))
    if params.base_url:
        own.values.setdefault("api_base", params.base_url)
    name = params.litellm_credential_name
    if name is None:
        return own
    names = [one.credential_name for one in file.credential_list]
    if name not in names:
        message = f"no credential_name of credential_list{nearest(name, names)}"
        document.problem((*place, "litellm_credential_name"), message)
        return own
    index = names.index(name)
    theirs = values_of(file.credential_list[index].credential_values)
    values = {setting: value for setting, value in theirs.items() if not own.names(setting)} | own.values
    return Given(document, (place, ("credential_list", index, "credential_values")), values)


def unlisted(document: Document, model: str, said: Given) -> str | None:
    """Give a model of a provider that LiteLLM alone knows the key that LiteLLM would find; says where that was."""
    provider = model.partition("/")[0]
    if said.names("api_key"):
        return None
    if provider in KEYLESS:
        said.values["api_key"] = "none"
        return None
    variable = OTHER_KEYS.get(provider, f"{provider.upper()}_API_KEY")
    if said.names("api_base") or not document.environ.get(variable):
        return None
    said.values["api_key"] = document.environ[variable]
    return variable


def values_of(endpoint: Access) -> dict[str, Any]:
    """What a block gives of address and credentials, as plain values."""
    found: dict[str, Any] = {}
    for name in ("api_key", "api_base", *SETTINGS):
        value = getattr(endpoint, name)
        if value is not None:
            found[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    return found
