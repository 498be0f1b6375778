"""The gateway's settings; the only file that reads the environment (GATEWAY_…)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.config import Place, SharedServerSettings, is_local
from servicekit.quotas import QuotaSettings


def _https(address: str) -> str:
    parts = urlsplit(address)
    if address and parts.scheme != "https" and not is_local(f"{parts.hostname}:{parts.port}"):
        raise ValueError("keys come by https:// alone: who changes them on the way makes tokens")
    return address


class GatewaySettings(SharedServerSettings, QuotaSettings):
    """Everything that can be set, with what it does."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    CALLED = ("embedder_target", "retriever_target", "ranker_target")

    port: int = Field(default=8600, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    admin_port: int = Field(default=0, ge=0, le=65535)
    """A second port, for those who run the suite: all of AdminService, and each call that purges or
    merges, are then answered there alone; other calls too. 0 = all are answered on `port`."""

    embedder_target: str = "127.0.0.1:8601"
    """Where the embedder listens: host:port or a gRPC target."""

    retriever_target: str = "127.0.0.1:8602"
    """Where the retriever listens: host:port or a gRPC target."""

    ranker_target: str = "127.0.0.1:8603"
    """Where the ranker listens: host:port or a gRPC target."""

    default_seconds: float = Field(default=2.0, gt=0, le=60)
    """Time for Recommend and Search when the caller gives no deadline."""

    longest_seconds: float = Field(default=10.0, gt=0, le=600)
    """Most of a caller's deadline that Recommend and Search plan with, so that a peer that hangs
    does not hold a request for minutes."""

    reserve_seconds: float = Field(default=0.02, ge=0, le=1)
    """What is kept back of a deadline at each call to a peer, to report its failure."""

    call_seconds: float = Field(default=60.0, gt=0, le=3600)
    """Most time for one call to a peer that is passed through (catalog, events, models, jobs)."""

    hedge_share: float = Field(default=0.02, ge=0, le=0.5)
    """Searches and candidates that are asked of another replica once more, when they take longer
    than 95% do, as a share of all; 0 = none. Of use where peers have several replicas."""

    traces_per_second: float = Field(default=10.0, ge=0, le=10_000)
    """Most traces a second that this process has recorded because callers say so (sampled, in
    `traceparent`), 0 = none; more of theirs are passed on as not recorded."""

    status_seconds: float = Field(default=2.0, gt=0, le=60)
    """How long GetStatus waits for each peer."""

    tls_folder: Path | None = None
    """Folder with `tls.crt` and `tls.key` (PEM), with which the gateway speaks TLS to its callers;
    taken up again when they change. None = plain text."""

    tls_callers_ca_file: Path | None = None
    """Who signs the certificates that callers have to show (mutual TLS); needs `tls_folder`. None =
    they show none."""

    keys_file: Path | None = None
    """TOML file with the keys of callers (docs/operate/access.md), taken up again when it changes.
    With neither this nor `jwt_keys_…` nobody is asked who they are: for one machine alone."""

    jwt_keys_file: Path | None = None
    """Public keys of an identity provider (JWKS, RFC 7517), whose signed tokens (JWT) are taken;
    taken up again when the file changes. Needs `jwt_issuer`."""

    jwt_keys_url: Annotated[Place, AfterValidator(_https)] = ""
    """The same at an address of its own, https://…, looked at every five minutes and when a token
    names an unknown key; redirects are not followed. Needs `jwt_issuer`."""

    jwt_issuer: str = ""
    """The `iss` of its tokens."""

    jwt_audience: str = "sightline"
    """One of the `aud` of its tokens."""

    jwt_roles_claim: str = "roles"
    """The claim that lists roles, as a list or as words: read, events, catalog, models, privacy,
    operate; others say nothing."""

    jwt_catalogs_claim: str = "catalogs"
    """The claim that lists catalogs, as a list or as words; `*` = all."""

    token_keys_file: Path | None = None
    """Keys that sign the tokens in answers (docs/operate/keys.md), one a line, the signing one
    first; taken up again when the file changes. Every gateway of an installation needs the same.
    Without it anybody can make such tokens: for one machine alone."""

    scenes_folder: Path | None = None
    """Folder of *.toml files, one a scene, that add to the built-in scenes or replace those of the
    same name; a folder in it named by a catalog holds what that catalog alone has. Changes are
    taken up without a restart; unset = built-in scenes only."""

    experiments_folder: Path | None = None
    """Folder of *.toml files, one an experiment (docs/merchandise/experiments.md). Changes are
    taken up without a restart; what an experiment under way is, can't be changed. Unset = none."""

    answer_queue_products: int = Field(default=100_000, ge=0, le=10_000_000)
    """Records of answers that the ranker did not rank, waiting to be handed to it, counted in
    products (about 100 bytes each). What does not fit is dropped and counted; 0 keeps none, and
    then such answers have no later pages."""

    answer_days: float = Field(default=30.0, gt=0, le=3650)
    """How long an answer's record is asked to be kept and its attribution token is good."""

    snapshot_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """How often the gateway reads popular and new products of each catalog, to show them while
    the record can't be read (docs/operate/fallbacks.md); 0 = never."""

    snapshot_age_seconds: float = Field(default=21_600.0, gt=0, le=604_800)
    """How old what was read may be and still be shown: so old may its prices and stock be."""

    snapshot_products: int = Field(default=500, ge=1, le=1000)
    """Popular products that are read of a catalog, and as many new ones; 32 MiB of them at most."""

    snapshot_category_products: int = Field(default=50, ge=0, le=1000)
    """Products of each top category, of the 50 that have most of these, that are read if they are
    not among the former."""

    snapshots: Path | None = None
    """Folder where they are kept for a gateway that starts while nothing can be read: one file for
    each catalog, for the process's user alone. It may be deleted at any time. None = in memory."""

    @model_validator(mode="after")
    def _issuer(self) -> Self:
        if (self.jwt_keys_file or self.jwt_keys_url) and not self.jwt_issuer:
            raise ValueError("jwt_keys_… needs jwt_issuer: whose tokens they are")
        if self.jwt_keys_file and self.jwt_keys_url:
            raise ValueError("jwt_keys_file and jwt_keys_url: one is enough")
        return self

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.tls_callers_ca_file is not None and self.tls_folder is None:
            raise ValueError("tls_callers_ca_file needs tls_folder: certificates are shown in TLS")
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.admin_port and self.admin_port == self.port:
            raise ValueError("admin_port is another port than port")
        return self

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.keys_file is None and self.jwt_keys_file is None and not self.jwt_keys_url:
            names = ("keys_file", "jwt_keys_file", "jwt_keys_url")
            fields = ", ".join(map(self.variable, names))
            yield f"callers are not asked who they are: set one of {fields}"
        if self.token_keys_file is None:
            yield f"anybody can make tokens of answers: set {self.variable('token_keys_file')}"

    def traces_followed(self) -> float:
        return self.traces_per_second

    def tls_field(self) -> str:
        return "tls_folder"
