"""The shape of the config file: one model per block, from which the JSON Schema is made.

Blocks of LiteLLM's format keep the keys they do not know, which `foreign` judges by name; blocks of the gateway's own
refuse them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from proxy.config.block import Block, Foreign
from proxy.config.deployment import Entry
from proxy.config.fields import (
    Bytes,
    Host,
    Integer,
    Name,
    Number,
    Plugin,
    Price,
    Seconds,
    Secret,
    Share,
    Text,
    Url,
)
from proxy.config.keys import KeyBlock
from proxy.config.project import ProjectKeys
from proxy.config.prompt import Params
from proxy.config.reliability import GroupKeys, Limit, LiteLLMKeys, RouterKeys
from proxy.patterns import NAMED, Rule, own
from proxy.redaction import fault
from proxy.target import Transport


def _sound(pattern: str) -> str:
    if (problem := fault(pattern)) is not None:
        raise ValueError(problem)
    return pattern


def _free(name: str) -> str:
    if name in NAMED:
        raise ValueError("is a built-in pattern's name, and would read as if that one held: choose another")
    return name


class Access(BaseModel):
    """Where and with which credentials one provider is called."""

    api_key: Secret = None
    api_base: Url = None
    api_version: Text = None
    organization: Text = None
    azure_ad_token: Secret = None
    aws_access_key_id: Text = None
    aws_secret_access_key: Secret = None
    aws_session_token: Secret = None
    aws_region_name: Text = None
    vertex_project: Text = None
    vertex_location: Text = None
    vertex_credentials: Secret = None


SETTINGS = tuple(name for name in Access.model_fields if name not in {"api_key", "api_base"})
"""What goes into a target's `settings`."""


class Endpoint(Access):
    """How one provider is called: `timeout` is for the whole of an answer, `stream_timeout`, which is LiteLLM's word,
    until its first token, `idle_timeout` between two pieces of it.
    """

    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None


class Provider(Endpoint, Block):
    """One provider of the `providers` block: `params` are its defaults, `transport: litellm` has its calls made by
    LiteLLM's own wrapper.
    """

    params: Params = Params()
    transport: Transport | None = None


class Providers(Block):
    """The providers by their names in Parea's enum."""

    openai: Provider | None = None
    azure: Provider | None = None
    anthropic: Provider | None = None
    anyscale: Provider | None = None
    vertexai: Provider | None = None
    aws_bedrock: Provider | None = None
    openrouter: Provider | None = None
    mistral: Provider | None = None
    litellm: Provider | None = None
    groq: Provider | None = None
    fireworks: Provider | None = None
    cohere: Provider | None = None
    echo: Provider | None = None


class LiteLLMParams(Endpoint, Params, Foreign):
    """`litellm_params`: a model, its credentials, its share, its limits, its price and its default parameters.

    `organization` may be a list of OpenAI's organizations, each of which is a target. `base_url` is `api_base`.
    """

    model_config = ConfigDict(extra="allow")

    model: Name
    custom_llm_provider: Text = None
    base_url: Url = None
    organization: Text | list[Name] = None  # type: ignore[assignment] # an entry's own may be several
    litellm_credential_name: Text = None
    weight: Share | None = None
    order: Integer | None = None
    rpm: Limit | None = None
    tpm: Limit | None = None
    max_parallel_requests: Limit | None = None
    input_cost_per_token: Price | None = None
    output_cost_per_token: Price | None = None


class ModelInfo(Foreign):
    """`model_info`: `id` names the target, `base_model` is the name under which LiteLLM knows the price of an Azure
    deployment, `mode` is LiteLLM's word for what the model is made for, `transport` how it is called if not as its
    provider is.
    """

    id: Text = None
    base_model: Text = None
    mode: Text = None
    transport: Transport | None = None
    input_cost_per_token: Price | None = None
    output_cost_per_token: Price | None = None


class ModelEntry(Foreign):
    """One target of one model name, which is a pattern where it has a `*`."""

    model_name: Name
    litellm_params: LiteLLMParams
    model_info: ModelInfo = ModelInfo()
    rpm: Limit | None = None
    tpm: Limit | None = None


class CredentialValues(Access, Foreign):
    """`credential_values`: keys of `litellm_params`, from `api_key` to `vertex_credentials`."""


class Credential(Block):
    """One of `credential_list`, which targets name by `litellm_credential_name`."""

    credential_name: Name
    credential_values: CredentialValues
    credential_info: dict[str, Any] = {}


class GeneralSettings(Foreign):
    """`master_key`: the key that clients must send; without one only this machine is served."""

    master_key: Secret = None


class CacheSettings(Block):
    """The answer cache. `ttl` in seconds, `max_size` in bytes."""

    store: Plugin = "diskcache"
    ttl: Seconds = 30 * 86400.0
    max_size: Bytes = 2 * 2**30


class Keep(Block):
    """How much of the trace log is kept: no tree whose latest row is older than `age` seconds, no more than `size`
    bytes of the file; all of it where neither is said.
    """

    age: Annotated[Seconds, Field(ge=3600, le=100 * 365 * 86400)] | None = None
    size: Annotated[Bytes, Field(ge=2**20)] | None = None


class RedactRule(Block):
    """A pattern of one's own in `log.redact`; `replace` stands as it is where a match was, by default `[name]`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$"), AfterValidator(_free)]
    pattern: Annotated[Name, AfterValidator(_sound)]
    replace: str | None = None


Redacted = Annotated[
    Annotated[Literal["emails", "keys", "cards", "phones", "ips"], Tag("str")]
    | Annotated[RedactRule, Tag("RedactRule")],
    Discriminator(lambda value: "RedactRule" if isinstance(value, dict | RedactRule) else "str"),
]
"""What is told of a wrong pattern is what is wrong with it, and not that it is no name."""


class LogSettings(Block):
    """The trace log: what is written down, how long it is kept, and how hard SQLite makes sure of it."""

    store: Plugin = "sqlite"
    sample_rate: Annotated[Number, Field(ge=0, le=1)] = 1.0
    omit: Literal["none", "inputs", "outputs", "all"] = "none"
    synchronous: Literal["normal", "full"] = "normal"
    keep: Keep = Keep()
    redact: list[Redacted] = []

    @property
    def redacted(self) -> list[str]:
        """The names of what is redacted."""
        return [one if isinstance(one, str) else one.name for one in self.redact]

    def rules(self) -> list[Rule]:
        """What `redact` comes to, in its order."""
        found: list[Rule] = []
        for one in self.redact:
            found += NAMED[one] if isinstance(one, str) else [own(one.name, one.pattern, one.replace)]
        return found


class ServerSettings(Block):
    """Limits in bytes, the depth of JSON, how many clients may be connected and how slow they may be, the Host names
    answered besides this machine's own, the APIs spoken, whether calls are counted for `/metrics`.
    """

    max_body: Bytes = 32 * 2**20
    max_depth: Annotated[Integer, Field(gt=0, le=1000)] = 200
    max_response: Bytes = 48 * 2**20
    max_connections: Annotated[Integer, Field(gt=0)] = 1000
    receive_timeout: Seconds = 10.0
    send_timeout: Seconds = 60.0
    allowed_hosts: list[Host] = []
    metrics: bool = True
    dialects: list[Plugin] = ["parea", "openai", "anthropic", "responses", "humanloop", "scale"]


class OtelSettings(Block):
    """Spans to an OpenTelemetry collector, over OTLP and HTTP: `endpoint` is its base, `headers` go with every request,
    `content` sends messages and answers, too.
    """

    endpoint: Url = None
    headers: Annotated[dict[Name, Secret], Field(repr=False)] = {}
    service_name: Text = None
    content: bool = False


class File(Block):
    """The whole file."""

    include: Name | list[Name] = []
    environment_variables: Annotated[dict[Name, str | bool | int | float | None], Field(repr=False)] = {}
    credential_list: list[Credential] = []
    model_list: list[ModelEntry] = []
    groups: dict[Name, GroupKeys] = {}
    router_settings: RouterKeys = RouterKeys()
    litellm_settings: LiteLLMKeys = LiteLLMKeys()
    general_settings: GeneralSettings = GeneralSettings()
    providers: Providers = Providers()
    deployments: dict[Name, Entry] = {}
    deployments_folder: str | None = None
    projects: dict[Name, ProjectKeys] = {}
    keys: dict[Name, KeyBlock] = {}
    cache: CacheSettings = CacheSettings()
    log: LogSettings = LogSettings()
    server: ServerSettings = ServerSettings()
    otel: OtelSettings | None = None
