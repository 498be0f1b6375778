"""Settings of the retriever, of both its processes: the server and the worker.

The only module that reads the environment; variables start with RETRIEVER_.
"""

from collections.abc import Iterator
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from retriever.catalog.faces import OTHERS
from retriever.columns.column_cache import EXACT_BYTES, EXACT_ROWS, MOST_PRODUCTS
from retriever.search.fallback.from_record import MOST_ROWS
from servicekit.artefacts.backup_settings import BackupSettings
from servicekit.config import Place, Secret, ServerSettings, is_guessable, is_local
from servicekit.decoding.limits import DecodingSettings
from servicekit.outbound.fetch import FetchSettings
from servicekit.sql.database import check_secret_url
from servicekit.sql.migrations import MigrationSettings
from servicekit.sql.retention import AuditSettings, JobSettings


def _spaces(names: tuple[str, ...]) -> tuple[str, ...]:
    known = {"visual", "text"}
    if unknown := set(names) - known:
        raise ValueError(f"{', '.join(sorted(unknown))}: the embedder fills {sorted(known)} only")
    return names


class RecordSettings(MigrationSettings):
    """Settings of the record, all that `python -m retriever.migrate` needs."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVER_")

    database_url: Annotated[Secret, AfterValidator(check_secret_url)] = SecretStr(
        "sqlite:///.data/retriever/record.db"
    )
    """SQLAlchemy URL of the record: `sqlite:////dir/record.db` or `postgresql+psycopg://…`."""


class RetrieverSettings(
    ServerSettings,
    RecordSettings,
    DecodingSettings,
    FetchSettings,
    JobSettings,
    AuditSettings,
    BackupSettings,
):
    """All settings of the retriever."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVER_")

    CALLED = ("embedder_target",)

    port: int = Field(default=8602, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    max_catalogs: int = Field(default=200, ge=1, le=10_000)
    """Maximum number of catalogs, declared ones included; further ones are rejected with
    CATALOGS_FULL. Each takes memory and time in every service, even without products
    (docs/operate/catalogs.md)."""

    catalog_settle_seconds: float = Field(default=65.0, ge=1, le=3600)
    """Minimum seconds between the deletion of a catalog and the beginning of its removal: calls
    that were in progress have ended then, the longest 60 seconds after all services know."""

    photos_url: Place = Field(default=".data/retriever/photos", min_length=1)
    """Folder or fsspec URL (such as `s3://bucket/photos`) in which photos are stored."""

    photo_days: float = Field(default=7.0, ge=0, le=36500)
    """Days after which a photo without a product is deleted, with its vectors. 0: never. Two
    installations need separate photo stores, because each knows only its own products."""

    backups: Place = Field(default=".data/retriever/backups", min_length=1)
    """Folder or fsspec URL (such as `s3://bucket/backups`) in which backups are stored."""

    own_memory_bytes: int = Field(default=2**30, ge=64 * 2**20, le=2**40)
    """Memory reserved for the process, including columns and exact vectors, if the container has a
    memory limit. It must fit into the limit together with the memory for decoding photos."""

    backup_count: int = Field(default=100, ge=1, le=100_000)
    """Maximum number of backups of a catalog. Further ones are rejected with BACKUP_QUOTA until one
    is deleted."""

    backup_megabytes: int = Field(default=0, ge=0)
    """Total size of a catalog's backups, in MB, from which further ones are rejected. 0: no
    limit."""

    milvus_uri: Place = Field(default="http://127.0.0.1:8607", pattern=r"^https?://")
    """Address of the engine: Milvus Lite as a server (deploy/milvus), a Milvus server or a
    cluster."""

    milvus_token: Secret = SecretStr("")
    """The engine's token, `user:password` or an API key. Empty: no token is sent."""

    milvus_ca_file: FilePath | None = None
    """PEM file of the authority that signed the engine's certificate. If unset: the public ones
    that gRPC brings along."""

    milvus_seconds: float = Field(default=5.0, gt=0, le=600)
    """Timeout of a call to the engine, in seconds, if the caller sets no deadline."""

    milvus_probe_seconds: float = Field(default=1.0, gt=0, le=60)
    """Timeout, in seconds, of a probe of the engine after a search failed or found nothing. After a
    timeout, searches are answered from the record until a probe succeeds."""

    milvus_standin_rows: int = Field(default=MOST_ROWS, ge=0, le=1_000_000)
    """Largest generation, in photos, that is searched in the record while the engine is
    unavailable. 0: such searches fail. Its vectors are held in memory: 51 MB for 10,000 ×
    1,280-d."""

    columns_products: int = Field(default=MOST_PRODUCTS, ge=0, le=100_000_000)
    """Largest catalog, in products, whose columns are held in memory (about 300 bytes for each
    product, and its id). Filters and near-duplicates then do not read the record. 0: no columns are
    held."""

    exact_rows: int = Field(default=EXACT_ROWS, ge=0, le=10_000_000)
    """Largest generation, in photos, and largest catalog for keyword searches, in products, that
    are searched in memory instead of by the engine and the store's full-text search, whose indexes
    are maintained anyway. 0: never in memory. See docs/operate/engines.md."""

    exact_megabytes: int = Field(default=EXACT_BYTES // 2**20, ge=1, le=1_000_000)
    """Largest generation, in MiB of vectors (4 × photos × dimensions bytes), that is searched in
    memory."""

    dictionaries: DirectoryPath | None = None
    """Folder with bilingual dictionaries, a file for each language, by which keyword searches find
    English titles; `make dictionaries` writes one. See docs/integrate/texts.md. None: queries are
    not translated."""

    milvus_prefix: str = Field(default="sightline", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,31}$")
    """Prefix of collection names, so that several installations can share an engine."""

    embedder_target: str = Field(default="127.0.0.1:8601", min_length=1)
    """gRPC target of the embedder, such as `host:port`. The worker calls it, and the server
    where faces are blurred or refused."""

    blur_faces: tuple[str, ...] = ()
    """Catalogs whose photos of products are stored with blurred faces; `*`: all that
    RETRIEVER_REFUSE_FACES does not name. See docs/operate/photos.md."""

    refuse_faces: tuple[str, ...] = ()
    """Catalogs that reject photos of products with faces, with FACE_IN_PHOTO; `*`: all that
    RETRIEVER_BLUR_FACES does not name."""

    read_labels: tuple[str, ...] = ()
    """Catalogs whose photos' labels are read by the worker, for searches by the labels of photos;
    `*`: all. See docs/integrate/labels.md."""

    spaces: Annotated[tuple[str, ...], AfterValidator(_spaces)] = ("visual",)
    """Spaces that the worker fills with the embedder's vectors: `visual` (photos), `text`
    (products' texts)."""

    image_max_bytes: int = Field(default=10 * 2**20, ge=1024, le=32 * 2**20)
    """Maximum size of a photo, in bytes. Must equal the embedder's limit."""

    image_max_pixels: int = Field(default=50_000_000, ge=1024, le=500_000_000)
    """Maximum number of pixels of a photo. Must equal the embedder's limit."""

    scene_versions: int = Field(default=20, ge=1, le=100)
    """Published versions of a scene that the record keeps, the newest included. An older one can't
    be published again."""

    import_delete_share: float = Field(default=0.2, ge=0, le=1)
    """Share of a catalog that closing a full import may delete without `force`, 0 to 1."""

    watch_share: float = Field(default=0.01, ge=0, le=1)
    """Share of searches that the recall watchdog checks after the answer, 0 to 1. 0 disables it."""

    watch_floor: float = Field(default=0.95, gt=0, lt=1)
    """Recall below which the watchdog reports a problem, 0 to 1."""

    watch_rows: int = Field(default=2_000, ge=100, le=20_000)
    """Number of a generation's rows that the watchdog compares with: 12 MB of memory at 1,280
    dimensions. Vectors take at most 16 MiB for each of at most eight watched generations."""

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """The worker's port for Prometheus metrics over HTTP. 0 disables them."""

    worker_poll_seconds: float = Field(default=0.1, gt=0, le=60)
    """Minimum seconds between two checks for work. On PostgreSQL the idle worker checks so often;
    on SQLite on Linux it waits for a commit. About the time until a write appears in the index."""

    worker_lease_seconds: float = Field(default=10.0, ge=1, le=600)
    """Seconds after the leading worker's last heartbeat until another one takes over."""

    worker_embed_batch: int = Field(default=32, ge=1, le=64)
    """Number of photos in a call to the embedder."""

    worker_embed_texts: int = Field(default=64, ge=1, le=64)
    """Number of products' texts in a call to the embedder."""

    worker_check_seconds: float = Field(default=3600.0, ge=1)
    """Seconds between two periodic comparisons of the whole index with the record."""

    worker_flush_seconds: float = Field(default=10.0, ge=0.1)
    """Minimum seconds between two flushes of a collection, because Milvus Lite searches unflushed
    rows slowly. A Milvus server, whose writes wait for a flush, is flushed only if no write arrived
    within that time; it builds graphs of large segments by itself."""

    @model_validator(mode="after")
    def _photos_of_known_catalogs(self) -> Self:
        named = [*self.blur_faces, *self.refuse_faces]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"blur_faces and refuse_faces name {', '.join(twice)} twice")
        if unknown := set(named) - {*self.catalogs, OTHERS}:
            raise ValueError(
                f"blur_faces or refuse_faces names {', '.join(sorted(unknown))}: not among catalogs"
            )
        if unknown := set(self.read_labels) - {*self.catalogs, OTHERS}:
            raise ValueError(f"read_labels names {', '.join(sorted(unknown))}: not among catalogs")
        return self

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        away = not is_local(urlsplit(self.milvus_uri).netloc)
        plain = away and not self.milvus_uri.startswith("https://")
        remedy = "set https://…" if plain else ""
        yield from self.unsafe_store(self.variable("milvus_uri"), remedy)
        if away and not self.milvus_token.get_secret_value():
            yield f"Milvus requires no token: set {self.variable('milvus_token')}"
        if is_guessable(*self.milvus_token.get_secret_value().partition(":")[::2]):
            yield f"{self.variable('milvus_token')}: is a default token of Milvus: change it"
