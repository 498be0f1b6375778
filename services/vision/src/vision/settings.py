"""Settings of vision, of both its processes: the server and the worker.

The only module that reads the environment; variables start with VISION_.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.artefacts.backup_settings import BackupSettings
from servicekit.config import Place, Secret, ServerSettings
from servicekit.decoding.limits import DecodingSettings
from servicekit.outbound.fetch import FetchSettings
from servicekit.outbound.posting import WebhookSettings, private_networks
from servicekit.sql.database import check_secret_url
from servicekit.sql.migrations import MigrationSettings
from servicekit.sql.retention import JobSettings


class RecordSettings(MigrationSettings):
    """Settings of the record, all that `python -m vision.migrate` needs."""

    model_config = SettingsConfigDict(env_prefix="VISION_")

    database_url: Annotated[Secret, AfterValidator(check_secret_url)] = SecretStr(
        "sqlite:///.data/vision/record.db"
    )
    """SQLAlchemy URL of the record: `sqlite:////dir/record.db` or `postgresql+psycopg://…`."""


class VisionSettings(
    ServerSettings,
    RecordSettings,
    DecodingSettings,
    FetchSettings,
    JobSettings,
    BackupSettings,
    WebhookSettings,
):
    """Settings of both processes, all that the worker needs."""

    model_config = SettingsConfigDict(env_prefix="VISION_")

    CALLED: ClassVar[tuple[str, ...]] = ("embedder_target", "retriever_target")

    port: int = Field(default=8605, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    embedder_target: str = Field(default="127.0.0.1:8601", min_length=1)
    """gRPC target of the embedder, such as `host:port`, which embeds frames, finds faces and
    objects in them, and describes patches of photos of pieces."""

    retriever_target: str = Field(default="127.0.0.1:8602", min_length=1)
    """gRPC target of the retriever, which has the products that photos and frames show, the list of
    catalogs and the audit log."""
    catalogs_file: Path | None = None
    """File that keeps the list of catalogs created at run time, for a start while the retriever
    can't be read. `None`: it is read anew."""

    photos_url: Place = Field(default=".data/vision/photos", min_length=1)
    """Folder or fsspec URL (such as `s3://bucket/frames`) in which photos of alerts, those that
    rules look for, and references of good pieces are stored."""

    backups: Place = Field(default=".data/vision/backups", min_length=1)
    """Folder or fsspec URL (such as `s3://bucket/backups`) in which backups are stored."""

    image_max_bytes: int = Field(default=10 * 2**20, ge=1024, le=32 * 2**20)
    """Maximum size of a frame, in bytes. Must equal the embedder's limit."""

    image_max_pixels: int = Field(default=50_000_000, ge=1024, le=500_000_000)
    """Maximum number of pixels of a frame. Must equal the embedder's limit."""

    webhook_keys_file: Path | None = None
    """File with the keys that secrets of webhooks are derived from, one a line of 64 hexadecimal
    digits, the current one first; reloaded when it changes. Server and worker need the same file.
    A line can be deleted once each webhook's secret was rotated. `None`: no webhook can be
    created."""

    webhook_retry_hours: float = Field(default=72.0, ge=0, le=720)
    """Age of an alert, in hours, from which a failed delivery is not tried again: it becomes a dead
    letter."""

    alert_days: float = Field(default=90.0, ge=0, le=3650)
    """Days after which alerts of watches are deleted. 0: never."""

    snapshot_networks: Annotated[tuple[IPvAnyNetwork, ...], AfterValidator(private_networks)] = ()
    """Private networks in which hosts of `fetch_hosts` may be when frames of watches are taken from
    them, such as `10.3.0.0/16`."""

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """The worker's port for Prometheus metrics over HTTP. 0 disables them."""

    worker_lease_seconds: float = Field(default=10.0, ge=1, le=600)
    """Seconds after the leading worker's last heartbeat until another one takes over."""

    @model_validator(mode="after")
    def _alerts_kept_until_delivered(self) -> Self:
        if 0 < self.alert_days * 24 < self.webhook_retry_hours:
            raise ValueError("alert_days is shorter than webhook_retry_hours: alerts would be lost")
        return self


class VisionServerSettings(VisionSettings):
    """Settings of the server."""

    model_config = SettingsConfigDict(env_prefix="VISION_")

    CALLED = (*VisionSettings.CALLED, "ranker_target")

    ranker_target: str = Field(default="127.0.0.1:8603", min_length=1)
    """gRPC target of the ranker, which counts the sales that quantities to reorder follow from."""
