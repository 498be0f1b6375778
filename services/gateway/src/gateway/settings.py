"""The gateway's settings; the only file that reads the environment (GATEWAY_…)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.admission.quotas import QuotaSettings
from servicekit.config import Place, SharedServerSettings, is_local


def _https(address: str) -> str:
    parts = urlsplit(address)
    if address and parts.scheme != "https" and not is_local(f"{parts.hostname}:{parts.port}"):
        raise ValueError("must begin with https://, so that the keys can't be changed in transit")
    return address


class GatewaySettings(SharedServerSettings, QuotaSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    CALLED = ("embedder_target", "retriever_target", "ranker_target", "vision_target")

    port: int = Field(default=8600, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    admin_port: int = Field(default=0, ge=0, le=65535)
    """A second port, for operators. If set, AdminService and all calls that purge are served on
    this port only; other calls on both. 0: all calls are served on `port`."""

    socket: Path | None = None
    """Unix socket on which calls are answered too, in plain text and as on `port`: for the HTTP
    face in a process beside this one (`GATEWAY_HTTP_GATEWAY_TARGET=unix:PATH`). Only the process's
    user may connect. Of several `processes` the first one answers. `None`: none."""

    embedder_target: str = "127.0.0.1:8601"
    """Address of the embedder: host:port or a gRPC target."""

    retriever_target: str = "127.0.0.1:8602"
    """Address of the retriever: host:port or a gRPC target."""

    ranker_target: str = "127.0.0.1:8603"
    """Address of the ranker: host:port or a gRPC target."""

    vision_target: str = ""
    """Address of the optional service of cameras: host:port or a gRPC target. Empty: calls about
    products in photos, watches, alerts, webhooks and inspections fail with VISION_ABSENT."""

    default_seconds: float = Field(default=2.0, gt=0, le=60)
    """Seconds for Recommend and Search if the caller sets no deadline."""

    longest_seconds: float = Field(default=10.0, gt=0, le=600)
    """Maximum seconds of a caller's deadline that Recommend and Search use, so that an unresponsive
    peer does not hold a request for minutes."""

    reserve_seconds: float = Field(default=0.02, ge=0, le=1)
    """Seconds of a deadline reserved at each call to a peer, to report its failure."""

    call_seconds: float = Field(default=60.0, gt=0, le=3600)
    """Maximum seconds for one call that is passed to a peer (catalog, events, models, jobs,
    cameras)."""

    request_seconds: float = Field(default=1.0, gt=0, le=60)
    """Maximum price of one request in processor seconds on a catalog of 5,000 products, computed
    before it runs (docs/operate/limits.md). Dearer requests are rejected
    (REQUEST_TOO_EXPENSIVE)."""

    expensive_requests: int = Field(default=1, ge=0, le=1_000)
    """Expensive requests that run at a time, in each process (docs/operate/limits.md): those whose
    price, without that of one photo, is above 0.1 processor seconds. Others wait, cheaper ones and
    those of less busy callers first, until their deadlines (SERVICE_OVERLOADED). 0: no limit."""

    traces_per_second: float = Field(default=10.0, ge=0, le=10_000)
    """Maximum number of traces per second that are recorded because callers request it (sampled, in
    `traceparent`). 0: none. Further ones are passed on as not sampled."""

    status_seconds: float = Field(default=2.0, gt=0, le=60)
    """Seconds that GetStatus waits for each peer."""

    tls_folder: Path | None = None
    """Folder with `tls.crt` and `tls.key` (PEM) for TLS to callers; reloaded when they change.
    `None`: plain text."""

    tls_callers_ca_file: Path | None = None
    """File with the CA of the certificates that callers must present (mutual TLS); needs
    `tls_folder`. `None`: no client certificates."""

    keys_file: Path | None = None
    """TOML file with the keys of callers (docs/operate/access.md), reloaded when it changes.
    Without this setting and `jwt_keys_…`, callers are not authenticated: for use on a single
    machine only."""

    jwt_keys_file: Path | None = None
    """File with public keys of an identity provider (JWKS, RFC 7517) whose signed tokens (JWT) are
    accepted; reloaded when it changes. Needs `jwt_issuer`."""

    jwt_keys_url: Annotated[Place, AfterValidator(_https)] = ""
    """Address of such keys, https://…, fetched every five minutes and when a token names an unknown
    key; redirects are not followed. Needs `jwt_issuer`."""

    jwt_issuer: str = ""
    """Required `iss` of the tokens."""

    jwt_audience: str = "sightline"
    """Required `aud` of the tokens; one of several is enough."""

    jwt_roles_claim: str = "roles"
    """Claim that lists roles, as a list or as words: read, events, catalog, models, privacy,
    operate; others are ignored."""

    jwt_catalogs_claim: str = "catalogs"
    """Claim that lists catalogs, as a list or as words; `*`: all."""

    jwt_shopper_claim: str = ""
    """Claim with the user id of the only shopper that a token's requests may name; `*`: any; a
    token without the claim: none. Empty: tokens may name any shopper."""

    jwt_max_seconds: float = Field(default=86_400.0, ge=60, le=31_536_000)
    """Maximum lifetime of a token in seconds, from `iat` to `exp`. Longer ones are rejected."""

    token_keys_file: Path | None = None
    """File with keys that sign the tokens in answers (docs/operate/keys.md), one a line, the
    signing one first; reloaded when it changes. All gateways of an installation need the same keys.
    Without it anyone can forge such tokens: for use on a single machine only."""

    scenes_folder: Path | None = None
    """Folder of scene files (*.toml) that add to the built-in scenes or replace those with the same
    name. A subfolder named after a catalog holds that catalog's own scenes. Changes are loaded
    without a restart. Unset: built-in scenes only."""

    experiments_folder: Path | None = None
    """Folder of experiment files (*.toml; docs/merchandise/experiments.md). Changes are loaded
    without a restart; a running experiment can't be changed. Unset: none."""

    answer_queue_products: int = Field(default=100_000, ge=0, le=10_000_000)
    """Capacity of the queue of records of answers that the ranker did not rank, in products (about
    100 bytes each). Records that do not fit are dropped and counted. 0 disables the queue: such
    answers then have no later pages."""

    answer_days: float = Field(default=30.0, gt=0, le=3650)
    """Days for which an answer's record and its attribution token are valid."""

    snapshot_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds between two reads of each catalog's popular and new products, which are shown while
    the record can't be read (docs/operate/fallbacks.md). 0 disables this."""

    snapshot_age_seconds: float = Field(default=21_600.0, gt=0, le=604_800)
    """Maximum age in seconds of these products, and so of the prices and stock that are shown."""

    snapshot_products: int = Field(default=500, ge=1, le=1000)
    """Number of popular products read of a catalog, and of new ones; at most 32 MiB in total."""

    snapshot_category_products: int = Field(default=50, ge=0, le=1000)
    """Number of further products read of each of the 50 largest top-level categories."""

    snapshots: Path | None = None
    """Folder in which these products are stored for a gateway that starts while nothing can be
    read: one file for each catalog, readable by the process's user only. It may be deleted at any
    time. `None`: in memory only."""

    @model_validator(mode="after")
    def _issuer(self) -> Self:
        if (self.jwt_keys_file or self.jwt_keys_url) and not self.jwt_issuer:
            raise ValueError("jwt_keys_… needs jwt_issuer")
        if self.jwt_keys_file and self.jwt_keys_url:
            raise ValueError("jwt_keys_file and jwt_keys_url: set only one")
        return self

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.tls_callers_ca_file is not None and self.tls_folder is None:
            raise ValueError("tls_callers_ca_file needs tls_folder")
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.admin_port and self.admin_port == self.port:
            raise ValueError("admin_port must differ from port")
        return self

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.keys_file is None and self.jwt_keys_file is None and not self.jwt_keys_url:
            names = ("keys_file", "jwt_keys_file", "jwt_keys_url")
            fields = ", ".join(map(self.variable, names))
            yield f"callers are not authenticated: set one of {fields}"
        if self.token_keys_file is None:
            yield f"anyone can forge the tokens of answers: set {self.variable('token_keys_file')}"

        if not self.admin_port:
            variable = self.variable("admin_port")
            yield f"operators' calls are answered on the port of all callers: set {variable}"

    def traces_followed(self) -> float:
        return self.traces_per_second

    def tls_field(self) -> str:
        return "tls_folder"
