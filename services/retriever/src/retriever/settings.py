"""Settings of the retriever, of both its processes: the server and the worker.

The only module that reads the environment; variables start with RETRIEVER_.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from retriever.columns.keeper import EXACT_BYTES, EXACT_ROWS, MOST_PRODUCTS
from retriever.search.fallback.from_record import MOST_ROWS
from servicekit.backups.settings import BackupSettings
from servicekit.config import Place, Secret, ServerSettings, is_guessable
from servicekit.decoding_limits import DecodingSettings
from servicekit.fetch import FetchSettings
from servicekit.migrations import MigrationSettings
from servicekit.retention import JobSettings
from servicekit.sql import check_secret_url, has_guessable_password


def _spaces(names: tuple[str, ...]) -> tuple[str, ...]:
    known = {"visual", "text"}
    if unknown := set(names) - known:
        raise ValueError(f"{', '.join(sorted(unknown))}: the embedder fills {sorted(known)} only")
    return names


class RecordSettings(MigrationSettings):
    """Where the record is: all that `python -m retriever.migrate` reads."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVER_")

    database_url: Annotated[Secret, AfterValidator(check_secret_url)] = SecretStr(
        "sqlite:///.data/retriever/record.db"
    )
    """The record, as a SQLAlchemy URL: `sqlite:////dir/record.db` or `postgresql+psycopg://…`."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if has_guessable_password(self.database_url.get_secret_value()):
            yield f"{self.variable('database_url')}: has a well-known password: change it"


class RetrieverSettings(
    ServerSettings, RecordSettings, DecodingSettings, FetchSettings, JobSettings, BackupSettings
):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVER_")

    CALLED = ("embedder_target",)

    port: int = Field(default=8602, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    photos_url: Place = Field(default=".data/retriever/photos", min_length=1)
    """Where photos are kept: a folder, or what fsspec takes, such as `s3://bucket/photos`."""

    photo_days: float = Field(default=7.0, ge=0, le=36500)
    """After how many days without a product a photo is deleted, with all that was made of it; 0 =
    never. Keep photos of two installations in two places: each knows its own products only."""

    backups: Place = Field(default=".data/retriever/backups", min_length=1)
    """Where backups are kept: a folder, or what fsspec takes, such as `s3://bucket/backups`."""

    own_memory_bytes: int = Field(default=2**30, ge=64 * 2**20, le=2**40)
    """Memory that the process itself is counted with where a container has a limit, columns and
    exact vectors among it: with what decoding photos may take it has to fit."""

    backup_count: int = Field(default=100, ge=1, le=100_000)
    """Most backups of a catalog: another one is refused with BACKUP_QUOTA until one is deleted."""

    backup_megabytes: int = Field(default=0, ge=0)
    """What the backups of a catalog may take before another one is refused, in MB; 0 = any."""

    milvus_uri: Place = Field(default="http://127.0.0.1:8607", pattern=r"^https?://")
    """The engine: Milvus Lite as a server (deploy/milvus), a Milvus server or a cluster."""

    milvus_token: Secret = SecretStr("")
    """The engine's token, `user:password` or an API key; empty = none is sent."""

    milvus_seconds: float = Field(default=5.0, gt=0, le=600)
    """How long one call to the engine may take when the caller sets no deadline."""

    milvus_probe_seconds: float = Field(default=1.0, gt=0, le=60)
    """Seconds that a probe of the engine may take after a search failed or found nothing. When it
    takes longer, searches are answered from the record until a probe succeeds."""

    milvus_standin_rows: int = Field(default=MOST_ROWS, ge=0, le=1_000_000)
    """Photos of a generation, at most, that are compared in the record while the engine does not
    answer; 0 = none are, and such searches fail. Held in memory: 51 MB for 10,000 × 1,280-d."""

    columns_products: int = Field(default=MOST_PRODUCTS, ge=0, le=100_000_000)
    """Products of a catalog, at most, whose columns are held in memory (some 300 bytes each
    and their ids): filters and near-duplicates need not read the record then. 0 = none."""

    exact_rows: int = Field(default=EXACT_ROWS, ge=0, le=10_000_000)
    """Photos of a generation, and products of a catalog by their words, at most, that searches
    compare in memory instead of asking the engine and the store's full-text search, which keep
    their indexes either way; 0 = these answer always. docs/operate/engines.md."""

    exact_megabytes: int = Field(default=EXACT_BYTES // 2**20, ge=1, le=1_000_000)
    """Vectors of a generation, at most, that are held for that, in MiB: 4 × photos × dimensions."""

    milvus_prefix: str = Field(default="sightline", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,31}$")
    """What the names of collections begin with: several installations may share an engine."""

    embedder_target: str = Field(default="127.0.0.1:8601", min_length=1)
    """The embedder, as `host:port` or a gRPC target. Only the worker calls it."""

    spaces: Annotated[tuple[str, ...], AfterValidator(_spaces)] = ("visual",)
    """Spaces that the worker has the embedder fill:
    `visual`, of photos; `text`, of products' texts."""

    image_max_bytes: int = Field(default=10 * 2**20, ge=1024, le=32 * 2**20)
    """Largest photo, in bytes. Keep it equal to the embedder's."""

    image_max_pixels: int = Field(default=50_000_000, ge=1024, le=500_000_000)
    """Largest photo, width × height. Keep it equal to the embedder's."""

    import_delete_share: float = Field(default=0.2, ge=0, le=1)
    """What part of a catalog the end of a full import may delete without `force`."""

    watch_share: float = Field(default=0.01, ge=0, le=1)
    """What part of all searches the watchdog looks at again, after the answer; 0 turns it off."""

    watch_floor: float = Field(default=0.95, gt=0, lt=1)
    """Recall below which the watchdog says that something is wrong."""

    watch_rows: int = Field(default=2_000, ge=100, le=20_000)
    """Rows of a generation that the watchdog compares with: 12 MB of memory at 1,280 dimensions.
    Vectors take 16 MiB of a generation, at most, and eight generations are watched at a time."""

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """The worker's port for Prometheus metrics over HTTP; 0 turns them off."""

    worker_poll_seconds: float = Field(default=0.1, gt=0, le=60)
    """How often the idle worker looks for work: about the time that a write takes to appear."""

    worker_lease_seconds: float = Field(default=10.0, ge=1, le=600)
    """After the death of the worker, how long another one waits before it takes over."""

    worker_embed_batch: int = Field(default=32, ge=1, le=64)
    """Photos of one call to the embedder."""

    worker_embed_texts: int = Field(default=64, ge=1, le=64)
    """Products' texts of one call to the embedder."""

    worker_check_seconds: float = Field(default=3600.0, ge=1)
    """How often the whole index is compared with the record, even if nothing hints at a loss."""

    worker_flush_seconds: float = Field(default=10.0, ge=0.1)
    """Least time between two flushes of a collection: Milvus Lite searches unflushed rows slowly.
    A Milvus server, whose writes wait for a flush, is left alone while any came within that time:
    it turns large parts into its graph by itself."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if is_guessable(*self.milvus_token.get_secret_value().partition(":")[::2]):
            yield f"{self.variable('milvus_token')}: is one that Milvus comes with: change it"
