"""The settings of the HTTP face; the only file that reads them (GATEWAY_HTTP_…)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from servicekit.config import ServiceSettings, is_local


class HttpSettings(ServiceSettings):
    """Settings of the HTTP face."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_HTTP_")

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on, for requests and for metrics."""

    port: int = Field(default=8680, ge=0, le=65535)
    """Port for HTTP/1.1. 0: a free port."""

    gateway_target: str = "127.0.0.1:8600"
    """Address of the gateway: host:port, a gRPC target such as `unix:/run/sightline/gateway.sock`
    (`GATEWAY_SOCKET`), or `local:gateway` in one process. It is called in plain text."""

    tls_folder: Path | None = None
    """Folder with `tls.crt` and `tls.key` (PEM) for TLS to callers; reloaded when they change.
    `None`: plain text, as behind an ingress that ends TLS."""

    tls_callers_ca_file: Path | None = None
    """File with the CA of the certificates that callers must present (mutual TLS); needs
    `tls_folder`. `None`: no client certificates."""

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
    """Bytes of bodies above 64 KiB that the process holds at once, of which one address may hold
    half. 0: an eighth of its memory (of the container's limit), at least 256 MiB. Further requests
    are rejected (BYTES_EXHAUSTED)."""

    longest_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """Maximum seconds of a caller's deadline (`X-Request-Timeout`, `grpc-timeout`,
    `Connect-Timeout-Ms`), and of `Prefer: wait`."""

    origins: tuple[str, ...] = ()
    """Origins whose pages may call from a browser (CORS), such as `https://shop.example`; `*`: all.
    A page's calls need a token that its visitors may have. Empty: none."""

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
