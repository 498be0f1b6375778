"""The settings of the HTTP face; the only file that reads them (GATEWAY_HTTP_…)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.config import ServiceSettings, is_local

OptionalPath = Annotated[Path | None, BeforeValidator(lambda given: given or None)]
"""A path; empty: none, though the gateway has one."""


class HttpSettings(ServiceSettings):
    """Settings of the HTTP face. Those of INHERITED are the gateway's own (`GATEWAY_…`), unless
    they are set for the face alone."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_HTTP_")

    INHERITED: ClassVar[Mapping[str, str]] = {
        "mode": "GATEWAY_MODE",
        "tls_folder": "GATEWAY_TLS_FOLDER",
        "tls_callers_ca_file": "GATEWAY_TLS_CALLERS_CA_FILE",
    }
    """Variables of the gateway that hold for its face too, by field."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on, for requests and for metrics."""

    port: int = Field(default=8680, ge=0, le=65535)
    """Port for HTTP/1.1. 0: a free port."""

    gateway_target: str = "127.0.0.1:8600"
    """Address of the gateway: host:port, a gRPC target such as `unix:/run/sightline/gateway.sock`
    (`GATEWAY_SOCKET`), or `local:gateway` in one process. It is called in plain text."""

    mode: Literal["development", "production"] = "development"
    """In production, the process does not start with unsafe settings and lists all of them with
    their remedies: docs/operate/access.md. Unset: as `GATEWAY_MODE`."""

    tls_folder: OptionalPath = None
    """Folder with `tls.crt` and `tls.key` (PEM) for TLS to callers; reloaded when they change.
    Unset: as `GATEWAY_TLS_FOLDER`. Empty: plain text, for an address of this machine alone."""

    tls_callers_ca_file: OptionalPath = None
    """File with the CA of the certificates that callers must present (mutual TLS); needs
    `tls_folder`. Unset: as `GATEWAY_TLS_CALLERS_CA_FILE`. Empty: no client certificates."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP. 0 disables them."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log lines."""

    drain_seconds: float = Field(default=10.0, ge=0, le=600)
    """Seconds after SIGTERM until requests in progress are cancelled."""

    body_seconds: float = Field(default=10.0, gt=0, le=600)
    """Seconds in which the body of a request has to arrive (REQUEST_LATE)."""

    head_seconds: float = Field(default=10.0, gt=0, le=600)
    """Seconds in which the head of a request has to arrive; its connection is closed then."""

    reader_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Seconds for which a client may leave an answer unread; its connection is closed then."""

    connection_idle_seconds: int = Field(default=75, ge=1, le=3600)
    """Seconds after which a connection without requests is closed. More than those of a proxy in
    front, which would otherwise send a request into a closing connection."""

    max_connections: int = Field(default=4_000, ge=1, le=1_000_000)
    """Maximum number of connections. A further one takes the place of the one that has waited
    longest for a request; if none waits, it is closed at once."""

    max_bytes_in_flight: int = Field(default=0, ge=0)
    """Bytes of bodies, and of the values in them, that the process holds at once, of which one
    caller may hold half. 0: an eighth of its memory (of the container's limit), at least 256 MiB.
    Further requests are rejected (BYTES_EXHAUSTED)."""

    longest_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """Maximum seconds of a caller's deadline (`X-Request-Timeout`, `grpc-timeout`,
    `Connect-Timeout-Ms`), and of `Prefer: wait`."""

    origins: tuple[str, ...] = ()
    """Origins whose pages may call from a browser (CORS), such as `https://shop.example`; `*`: all.
    A page's calls need a token that its visitors may have. Empty: none; what a browser sends for a
    page of another origin is rejected (ORIGIN_FORBIDDEN)."""

    hosts: tuple[str, ...] = ()
    """Names, without ports, by which callers reach the server beside `localhost` and its addresses,
    such as `gateway-http.sightline` or `api.shop.example`; `*`: all. Requests that name another
    `Host` are rejected (HOST_FORBIDDEN)."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take the gateway's settings for those that are not given."""
        found = {field: os.environ.get(name) for field, name in cls.INHERITED.items()}
        return {field: value for field, value in found.items() if value is not None} | given

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.tls_callers_ca_file is not None and self.tls_folder is None:
            raise ValueError("tls_callers_ca_file needs tls_folder")
        return self

    def unsafe(self) -> Iterator[str]:
        """Yield the settings that are unsafe in production."""
        yield from super().unsafe()
        if self.tls_folder is None and not is_local(f"{self.host}:{self.port}"):
            variable = self.variable("tls_folder")
            yield (
                f"{self.variable('host')}: {self.host} is served in plain text: set {variable}, or"
                " 127.0.0.1 behind a proxy that ends TLS"
            )
        if not is_local(self.gateway_target):
            variable = self.variable("gateway_target")
            yield f"{variable}: {self.gateway_target} is called in plain text: use a unix socket"
