"""Settings as frozen values, read from the environment once.

All invalid ones are reported at once.
"""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, TextIO, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

DEFAULT_CATALOG = "default"
"""Catalog of requests with an empty catalog_id."""

_PASSWORDS = frozenset(
    {"admin", "change-me", "changeme", "milvus", "password", "postgres", "secret", "sightline"}
)
_COLLECTOR = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}/?")
CATALOG_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Valid ids of catalogs."""


@dataclass(frozen=True, slots=True)
class _SecretFile:
    """The file of a secret; read during validation, so that its errors are reported with all
    others."""

    path: str
    variable: str
    alone: bool
    """True if the environment does not set the secret itself too."""


def _content(given: object) -> object:
    if not isinstance(given, _SecretFile):
        return given
    if not given.alone:
        raise ValueError(f"{given.variable} is set too: set only one of the two")
    try:
        return Path(given.path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{given.variable}: can't be read ({type(error).__name__})") from None


Secret = Annotated[SecretStr, BeforeValidator(_content)]
"""A password, a key, or a URL that may contain one; never shown by repr or logs.

It may be read from the file named by the variable with the suffix `_FILE`.
"""


def _without_password(url: str) -> str:
    try:
        named = "://" in url and urlsplit(url).username is not None
    except ValueError:
        named = True
    if named:
        raise ValueError("must be a folder or a URL without a user name or password")
    return url


Place = Annotated[str, AfterValidator(_without_password)]
"""A folder or a URL that logs may show: credentials of buckets come from their drivers' files."""


class _Environment(EnvSettingsSource):
    """Reads lists as `a,b` too, secrets from files, and leaves unparsable values to validation.

    pydantic-settings would stop at the first value that is not JSON.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the variable's value, or the file of a secret."""
        given, key, is_complex = super().get_field_value(field, field_name)
        name = f"{self.env_prefix}{field_name}_file"
        path = self.env_vars.get(self._apply_case_sensitive(name))
        if path and field.annotation is SecretStr:
            return _SecretFile(path, name.upper(), given is None), key, is_complex
        return given, key, is_complex

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            text = str(value)
            if text.lstrip()[:1] in ("[", "{"):
                return text
            return [part.strip() for part in text.split(",") if part.strip()]


class ProcessSettings(BaseSettings):
    """Base of every process's settings: frozen, unknown variables ignored.

    A subclass sets `model_config = SettingsConfigDict(env_prefix="GATEWAY_")` and writes a
    docstring under each field. Lists are given as JSON or as `a,b,c`.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, validate_default=True
    )

    def variable(self, field: str) -> str:
        """Return the environment variable of a field."""
        return (self.model_config.get("env_prefix", "") + field).upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment; no .env files."""
        return init_settings, _Environment(settings_cls)


class ServiceSettings(ProcessSettings):
    """Base of every service's settings."""

    mode: Literal["development", "production"] = "development"
    """In production, the process does not start with unsafe settings and lists all of them with
    their remedies: docs/operate/access.md."""

    def unsafe(self) -> Iterator[str]:
        """Yield the settings that are unsafe in production, each with its remedy.

        Subclasses add to those of their base classes.
        """
        yield from ()


def names_of(what: str, pattern: re.Pattern[str], rule: str) -> AfterValidator:
    """Return the check of a list of names: each is as the rule says, and none is there twice."""

    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in names if not pattern.fullmatch(name)]:
            raise ValueError(f"{', '.join(map(repr, bad))}: {rule}")
        if len(set(names)) != len(names):
            raise ValueError(f"{what} is named twice")
        return names

    return AfterValidator(check)


_CATALOG_RULE = "a catalog is 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit"
Catalogs = Annotated[
    tuple[str, ...], Field(min_length=1), names_of("a catalog", CATALOG_ID, _CATALOG_RULE)
]


def _collector(url: str) -> str:
    if url and not _COLLECTOR.fullmatch(url):
        raise ValueError(
            "must be http://host:port, or https://host:port for TLS, without a name, a password or"
            " a path"
        )
    return url


class TraceSettings(ServiceSettings):
    """Collector and sampling of traces."""

    traces_endpoint: Annotated[str, AfterValidator(_collector)] = ""
    """Collector for traces (OTLP over gRPC), such as `http://otel-collector:4317` (`https://` for
    TLS). Empty: tracing is off."""

    traces_share: float = Field(default=0.01, ge=0, le=1)
    """Share of the calls without a `traceparent` that are traced, 0 (none) to 1 (all). A call with
    one is traced if it is sampled."""

    def traces_followed(self) -> float:
        """Return the most traces a second that a process records because callers ask for it."""
        return math.inf


class PeerSettings(TraceSettings):
    """How the services of an installation authenticate one another."""

    CALLED: ClassVar[tuple[str, ...]] = ()
    """The fields that name peers to call."""

    peer_keys_folder: Path | None = None
    """Folder with a key file for each service that calls this one or is called by it,
    `SERVICE.key`: at least 32 random characters that only these two have; a second line is another
    key that is accepted during rotation. Reloaded when they change. Without it and without
    `peer_tls_folder`, a service does not authenticate callers."""

    peer_tls_folder: Path | None = None
    """Folder with `tls.crt`, `tls.key` and `ca.crt` (PEM) for TLS and mutual authentication between
    the services. The certificate names its service: `spiffe://TRUST-DOMAIN/sightline/SERVICE` is
    its only URI. Reloaded when they change."""

    peer_trust_domain: str = Field(default="cluster.local", pattern=r"^[a-z0-9._-]{1,255}$")
    """Trust domain of the services' names in certificates."""

    peer_names: tuple[str, ...] = ()
    """Subject alternative names, one of which a caller's certificate must have in addition. Empty:
    no other name is required."""

    @model_validator(mode="after")
    def _names_of_certificates(self) -> Self:
        if self.peer_names and self.peer_tls_folder is None:
            raise ValueError("peer_names needs peer_tls_folder: names stand in certificates")
        return self

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        folder = self.variable("peer_tls_folder")
        if not (self.peer_keys_folder or self.peer_tls_folder):
            keys = self.variable("peer_keys_folder")
            yield f"services do not authenticate callers: set {keys}, {folder} or both"
        for field in self.CALLED if self.peer_tls_folder is None else ():
            if (target := getattr(self, field)) and not is_local(target):
                yield f"{self.variable(field)}: {target} is called in plain text: set {folder}"


class ServerSettings(PeerSettings):
    """Settings of every gRPC server."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on, for calls and for metrics."""

    port: int = Field(default=0, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    probe_port: int = Field(default=0, ge=0, le=65535)
    """Additional port for health checks in plain text, for probes without TLS such as those of
    Kubernetes. 0: none; `port` serves health checks too."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP. 0 disables them."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log lines."""

    drain_seconds: float = Field(default=10.0, ge=0, le=600)
    """Seconds after SIGTERM until calls in progress are cancelled."""

    connection_age_seconds: float = Field(default=0.0, ge=0, le=86_400)
    """Seconds after which a connection is closed, ± 10%, once its calls have ended, so that callers
    reconnect and find added pods. No call fails by it. 0: never."""

    connection_idle_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """Seconds after which a connection without calls is closed; its caller reconnects with the next
    call. 0: never."""

    max_connections: int = Field(default=0, ge=0, le=1_000_000)
    """Maximum number of connections to each port; further ones are closed at once. 0: half of the
    files that the process may open, at most 4,000."""

    max_calls_per_connection: int = Field(default=1000, ge=1, le=100_000)
    """Maximum number of calls and streams in progress on one connection; further ones wait at the
    caller."""

    max_message_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Maximum size in bytes of a gRPC message sent or received; most calls accept less, by their
    protos."""

    max_concurrent_calls: int = Field(default=200, ge=1, le=100_000)
    """Maximum number of concurrent calls; a process that answers too late accepts fewer. Further
    calls are rejected (SERVICE_OVERLOADED)."""

    max_bytes_in_flight: int = Field(default=0, ge=0)
    """Bytes of requests that a process holds at once, and as many of unread answers, of which one
    caller may hold half. 0: a quarter of its memory (of the container's limit), shared by the
    processes. Further calls are rejected (BYTES_EXHAUSTED)."""

    max_streams: int = Field(default=1000, ge=1, le=100_000)
    """Maximum number of concurrent streams (watches of jobs, fits), half of them for one caller;
    and as many again of health and reflection, half of them for one address."""

    max_streams_per_connection: int = Field(default=100, ge=1, le=100_000)
    """Maximum number of concurrent streams on one connection, half of them for one caller."""

    stream_seconds: float = Field(default=3600.0, gt=0, le=604_800)
    """Maximum duration of a stream in seconds; clients reopen it."""

    catalogs: Catalogs = (DEFAULT_CATALOG,)
    """Catalogs of this installation that need no registry. Others can be created at run time
    (docs/operate/catalogs.md); a request for any other fails with CATALOG_NOT_FOUND."""

    reflection: bool = True
    """If true, gRPC reflection describes the server's calls; not allowed in production."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.reflection:
            yield f"gRPC reflection describes all calls: set {self.variable('reflection')}=false"
        tls = self.tls_field()
        if getattr(self, tls) is None and not is_local(f"{self.host}:{self.port}"):
            yield (
                f"{self.variable('host')}: {self.host} is served in plain text: set"
                f" {self.variable(tls)}, or 127.0.0.1"
            )

    def tls_field(self) -> str:
        """Return the field that makes the server speak TLS."""
        return "peer_tls_folder"


class SharedServerSettings(ServerSettings):
    """Settings of a server without per-caller state in memory."""

    processes: int = Field(default=1, ge=1, le=64)
    """Processes that serve the port together, to use several cores; another one supervises them and
    serves their merged metrics. Each needs the same memory."""

    @model_validator(mode="after")
    def _one_port(self) -> Self:
        if self.processes > 1 and not self.port:
            raise ValueError("several processes need a fixed port, not 0")
        return self


LOCAL = "local:"
"""Beginning of the target of a service in the same process (servicekit.rpc.hosting)."""


def is_local(target: str) -> bool:
    """Return whether `host:port`, or gRPC's name of it, stays on this machine."""
    if target.startswith(("unix", LOCAL)):
        return True
    host = re.sub(r"^(dns|ipv4|ipv6):(//[^/]*/)?", "", target).rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_guessable(user: str, password: str) -> bool:
    """Return whether a password is a vendor's default or one from examples; an empty one is not."""
    return password != "" and password.lower() in {user.lower(), *_PASSWORDS}


S = TypeVar("S", bound=ProcessSettings)


def load(cls: type[S]) -> S:
    """Return the settings of `cls` from the environment.

    If some are invalid, prints each variable, the problem and its purpose, and exits with status 2.
    Values are not printed: they may be secrets.
    """
    try:
        return cls()
    except ValidationError as error:
        _refuse(cls, error, sys.stderr)


def _refuse(cls: type[ProcessSettings], error: ValidationError, out: TextIO) -> NoReturn:
    prefix = cls.model_config.get("env_prefix", "")
    print(f"{error.error_count()} invalid setting(s):", file=out)
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        path = ".".join(str(part) for part in problem["loc"][1:])
        where = (prefix + name).upper() + (f" (at {path})" if path else "")
        print(f"  {where or 'together'}: {problem['msg']}", file=out)
        field = cls.model_fields.get(name)
        if field and field.description:
            print(f"      {' '.join(field.description.split())}", file=out)
    raise SystemExit(2)
