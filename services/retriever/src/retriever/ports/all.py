"""What the use cases ask of the doors to SQL, files, Milvus and the embedder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

from retriever.domain.archive import Row, Snapshot, Table
from retriever.domain.model import (
    EXACT,
    WHOLE,
    Backlog,
    CategoryPath,
    Change,
    Classification,
    Closing,
    CollectionState,
    Counts,
    Doubt,
    EmbeddingSpace,
    FitPhoto,
    FitPlan,
    FitProgress,
    Floats,
    Freshness,
    Generation,
    GenerationState,
    GenerationStatus,
    GivenVector,
    Hit,
    Image,
    ImportMode,
    ImportProgress,
    ImportRow,
    IndexParameters,
    IndexRow,
    Label,
    Offer,
    Order,
    Pending,
    Product,
    ProductChange,
    ProductWrite,
    Slice,
    Standing,
    Stored,
    Tally,
    VectorWrite,
    Verification,
    Waiting,
)
from retriever.ports.columns import ColumnRecord
from retriever.search.planning import Part, Survivors
from servicekit.errors import ServiceError
from servicekit.jobs import Jobs
from sightline_rules.filters import Facts, Filter
from sightline_rules.photos import PhotoInfo

T = TypeVar("T")

JobQueue = Jobs
"""What servicer/products.py calls it."""


class Photos(Protocol):
    """The content-addressed store of photos."""

    async def inspect(self, data: bytes) -> PhotoInfo:
        """What a photo is. Raises ImageRejected, PhotosUnavailable."""

    async def fetch(self, uri: str) -> bytes:
        """The file at an address. Raises UriForbidden, UriUnreadable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        """Returns once the bytes are durable. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """The bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""


class GenerationsRecord(Protocol):
    """The generations of catalogs, as everybody sees them who works with one."""

    async def generation(self, catalog_id: str, space: str, name: str = "") -> Generation | None:
        """The generation of this name, or the active one; None = there is none."""

    async def generations(self, catalog_id: str) -> list[Generation]:
        """Every live generation, oldest first."""

    async def history(self, catalog_id: str) -> list[Generation]:
        """Every generation, those that were dropped too, oldest first."""

    async def find_generation(self, catalog_id: str, name: str) -> Generation:
        """A live generation. Raises GenerationNotFound."""

    async def create_generation(self, generation: Generation) -> Generation:
        """Register it, active when its space has no active one, with all photos pending.

        Times that are 0 are now. One that has the name stays as it is, and is what is answered.
        """

    async def freshness(self, generation: Generation) -> Freshness:
        """How far a generation is behind."""

    async def want_check(self, generation: Generation) -> None:
        """Ask the worker to compare the generation with the record."""


class RowsRecord(GenerationsRecord, Protocol):
    """What the index should hold."""

    async def rows(
        self, generation: Generation, product_ids: Sequence[str], *, after: int = -1
    ) -> list[IndexRow]:
        """What the index should hold of these products, of commits after one alone."""

    async def row_page(self, generation: Generation, after: str, limit: int) -> list[IndexRow]:
        """What the index should hold behind a row id, in the order of the ids."""

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        """How many rows the index should hold; of more than `most`, so many."""

    async def changes(self, generation: Generation, limit: int) -> list[Change]:
        """The oldest outbox entries that the generation does not hold, in order."""


class CatalogueRecord(Protocol):
    """The record as the catalogue's use cases see it."""

    async def write(
        self, catalog_id: str, writes: Sequence[ProductWrite]
    ) -> tuple[list[Stored | ServiceError], int]:
        """One transaction; an outcome for each, and the record's newest seq afterwards."""

    async def change(
        self, catalog_id: str, changes: Sequence[ProductChange]
    ) -> tuple[list[Stored | ServiceError], int]:
        """Read, change and write back in one transaction; else like `write`."""

    async def offer(
        self, catalog_id: str, offers: Sequence[Offer]
    ) -> tuple[list[Stored | ServiceError], int]:
        """Set prices and availability of products, none twice; else like `write`."""

    async def delete(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, int]:
        """How many existed, and the record's newest seq afterwards."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """The products that exist."""

    async def page(
        self,
        catalog_id: str,
        order: Order,
        after: tuple[int, str] | None,
        limit: int,
        *,
        doubted_only: bool = False,
    ) -> list[Product]:
        """Products in order behind the key (create time or 0, product id). `doubted_only`: of
        which some photo contradicts the category."""

    async def doubts(self, catalog_id: str, products: Sequence[Product]) -> dict[str, Doubt]:
        """By product, the photo that contradicts its category most; none where none does."""

    async def image(self, catalog_id: str, image_id: str) -> Image | None:
        """What is known of a photo."""


class ImportRecord(Protocol):
    """The record as imports see it. Raises ImportNotFound where nothing else is said."""

    async def open_import(
        self, catalog_id: str, import_id: str, mode: ImportMode, active_seconds: float
    ) -> ImportProgress:
        """Begin it unless it is known; how far it is. Raises ImportModeMismatch only.

        Another import that is open and took rows within `active_seconds` counts as under way.
        """

    async def decided(
        self, catalog_id: str, import_id: str, numbers: Sequence[int]
    ) -> frozenset[int]:
        """Those of some rows that were decided. Raises ImportClosed too."""

    async def import_rows(
        self, catalog_id: str, import_id: str, rows: Sequence[ImportRow]
    ) -> tuple[list[Stored | ServiceError], ImportProgress, int]:
        """Decide rows, ascending by number, in one transaction. Raises ImportClosed too.

        An outcome for each, how far the import is, and the record's newest seq afterwards.
        """

    async def close_import(
        self, catalog_id: str, import_id: str, *, share: float, dry_run: bool, sample: int
    ) -> Closing:
        """Close it unless `dry_run`. Raises ImportDeletesTooMuch beyond `share` of the catalog."""

    async def drop_rows(self, catalog_id: str, import_id: str, limit: int) -> int:
        """Forget up to `limit` outcomes of a closed import; how many there were."""


class RemovalRecord(Protocol):
    """The record as those see it who remove many products."""

    async def commit_number(self, catalog_id: str) -> int:
        """A new number of the commit sequence: what is written whole from now on has it or more."""

    async def tally(
        self,
        catalog_id: str,
        condition: Filter,
        *,
        before: int,
        after: tuple[int, str] | None,
        limit: int,
    ) -> Tally:
        """Which of the next `limit` products that were last written whole before a commit pass."""

    async def sweep(
        self,
        catalog_id: str,
        condition: Filter,
        *,
        before: int,
        after: tuple[int, str] | None,
        limit: int,
    ) -> Tally:
        """The same, and delete them in the same transaction."""


class BackupRecord(RemovalRecord, GenerationsRecord, Protocol):
    """The record as backups see it."""

    def archived(self) -> tuple[Table, ...]:
        """The tables of an archive, in its order."""

    async def snapshot(self, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
        """What `take`, in a thread, makes of the catalog at one commit; writes go on."""

    def check_archived(self, row: Row, image_ids: Sequence[str]) -> None:
        """Whether the catalogue takes such a product. Raises BackupDamaged."""

    async def restore_images(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Make photos known whose bytes are stored."""

    async def restore_vectors(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Store vectors, whatever was there."""

    async def restore_products(
        self, catalog_id: str, before: int, batch: Sequence[tuple[Row, Sequence[str]]]
    ) -> None:
        """Store products with their photos' ids, but for those written whole since a commit."""

    async def restore_pending(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Say of photos that wait how often they failed."""

    async def reach(self, catalog_id: str, commit: int) -> None:
        """Let the next commit's number be greater: index tokens stay good."""


class Upload(Protocol):
    """A file that nobody sees before it is whole. To be closed either way."""

    file: IO[bytes]

    async def commit(self) -> None:
        """Make it durable under its name. Raises BackupsUnavailable, BackupsFull."""

    async def abort(self) -> None:
        """Leave nothing of it."""


class BackupStore(Protocol):
    """The place of backups. Every call raises BackupsUnavailable."""

    def spool_folder(self) -> Path | None:
        """Where large files may stand for a while; None = wherever the system puts them."""

    async def names(self, catalog_id: str) -> list[str]:
        """The ids of a catalog's backups, newest first."""

    async def open(self, catalog_id: str, backup_id: str) -> tuple[IO[bytes], int]:
        """A backup to read, and its bytes. Raises BackupNotFound."""

    async def begin(self, catalog_id: str, backup_id: str) -> Upload:
        """A new backup to write; what an earlier attempt left of it is gone."""

    async def run(self, work: Callable[[], T]) -> T:
        """Work that reads or writes these files, in a thread. Raises BackupsFull too."""


class SurvivorRecord(RowsRecord, Protocol):
    """The record as searches along a plan see it."""

    async def sample(self, catalog_id: str, after: str, size: int) -> tuple[list[Facts], int]:
        """Products of the `size` rows behind a row id, and how many rows there are, about."""

    async def survivors(
        self, generation: Generation, condition: Filter, part: Part, most: int
    ) -> Survivors | None:
        """The rows that pass, found by a part of the filter that an index answers.

        None = more than `most` products pass that part.
        """

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> Survivors:
        """Those of the rows that the generation should hold."""


class SearchRecord(SurvivorRecord, ColumnRecord, Protocol):
    """The record as searches see it."""

    async def standing(self, catalog_id: str, space: str, name: str = "") -> Standing | None:
        """The same with its freshness, of one moment."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """The products that exist."""

    async def product_vectors(self, generation: Generation, product_id: str) -> list[Floats]:
        """The vectors of a product's photos in order, or its own."""

    async def image_ids(
        self, catalog_id: str, product_ids: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """By product, the photos that it has now; none of one that has no photo."""

    async def first_vectors(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, Floats]:
        """By product, the vector of its first photo; none where it has none."""

    async def counts(self, catalog_id: str, generation: Generation | None) -> Counts:
        """How much the record holds."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """One transaction; what failed of each, and the record's newest seq afterwards."""


class KeywordRecord(SearchRecord, Protocol):
    """The record as searches by words see it."""

    async def find_words(
        self,
        catalog_id: str,
        asked: Sequence[str],
        condition: Filter,
        excluded: Collection[str],
    ) -> list[tuple[str, float]]:
        """Products that have any of the words and pass, each with how well it matches (0 to 1),
        best first, up to 1,000."""


class ListingRecord(GenerationsRecord, Protocol):
    """The record as those see it who list vectors."""

    async def mean_vectors(
        self, generation: Generation, after: str, limit: int
    ) -> list[tuple[str, Floats]]:
        """The first products behind `after` that have a vector, by id, each with the mean of its
        photos' vectors, or its own."""


class ListedRecord(SearchRecord, ListingRecord, Protocol):
    """The record as the service of vectors sees it."""


class LagRecord(GenerationsRecord, Protocol):
    """The record as those see it who tell how far the index is behind."""

    async def doubted(self, catalog_id: str) -> int:
        """How many products have a photo that contradicts their category."""


class RegistryRecord(GenerationsRecord, Protocol):
    """The registry of generations. Each call is one transaction."""

    async def register(self, generation: Generation) -> Generation:
        """Register it; a space's first is active, with all photos pending. Else it is building.

        Raises GenerationExists, GenerationsFull.
        """

    async def activate(self, catalog_id: str, name: str, *, force: bool) -> Generation:
        """Make it the active one of its space; the one that is stays so.

        Raises GenerationNotFound, GenerationNotVerified.
        """

    async def rollback(self, catalog_id: str, space: str) -> Generation:
        """Make that one active that was so before. Raises RollbackUnavailable."""

    async def retire(self, catalog_id: str, name: str) -> Generation:
        """Take it out of service. Raises GenerationNotFound, GenerationActive."""

    async def statuses(
        self, catalog_id: str, space: str = "", *, dropped: bool = False
    ) -> list[GenerationStatus]:
        """The generations of a space (empty = of all), oldest first."""

    async def offers(self, catalog_id: str) -> list[EmbeddingSpace]:
        """What the embedder served when the worker last saw it."""


class BackfillRecord(GenerationsRecord, Protocol):
    """The record as backfills see it, and those who clear up after a generation."""

    async def want_some(self, generation: Generation, after: str, limit: int) -> str | None:
        """Make those pending of the next `limit` photos or products that lack a vector; where to go
        on."""

    async def want_failed(self, generation: Generation) -> None:
        """Make those pending again that could not be embedded."""

    async def backlog(self, generation: Generation) -> Backlog:
        """What the backfill waits for."""

    async def photo_count(self, generation: Generation) -> int:
        """Photos that the catalog's products have; products, where their texts are embedded."""

    async def end_backfill(self, generation: Generation) -> None:
        """The generation is ready; photos that fail still are tried on as any other."""

    async def take_back(self, generation: Generation, limit: int) -> int:
        """Forget up to `limit` of what waits for the backfill alone; how much it was."""

    async def discard(self, generation: Generation, limit: int) -> int:
        """Forget up to `limit` vectors, or what waits for one, of a dropped generation's version.

        None of them while another live generation has the version.
        """


class VerificationRecord(SurvivorRecord, Protocol):
    """The record as a verification sees it."""

    async def embedded_texts(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, tuple[str, Floats]]:
        """By product, the text and the vector that was made of it; not of texts that wait."""

    async def save_verification(self, generation: Generation, found: Verification) -> None:
        """Keep what was found."""


class IndexRecord(RowsRecord, Protocol):
    """The record as the worker sees it."""

    def version(self) -> int | None:
        """Another number after every write, told without waiting; None = it is not known."""

    async def waiting(
        self, catalogs: Sequence[str], spaces: Sequence[str], kinds: Sequence[str]
    ) -> Waiting:
        """Whether there is work: photos of these spaces, changes, jobs of these kinds."""

    async def save_offers(self, catalog_id: str, offered: Sequence[EmbeddingSpace]) -> None:
        """Keep what the embedder serves now."""

    async def mark(
        self,
        generation: Generation,
        *,
        state: GenerationState | None = None,
        check_wanted: bool | None = None,
        collection: str | None = None,
    ) -> None:
        """Change what is given."""

    async def advance(self, generation: Generation, change: Change) -> Generation:
        """Note that everything up to a change is in the collection."""

    async def expected(
        self, generation: Generation, low: str, high: str
    ) -> dict[str, tuple[int, str]]:
        """Row id → (seq, product id) of the rows it should hold with low ≤ id < high."""

    async def due(self, generation: Generation, limit: int) -> list[Pending]:
        """What to embed now, that first which waits longest."""

    async def texts(self, generation: Generation, product_ids: Sequence[str]) -> dict[str, str]:
        """The texts of those products that exist; empty = it has none."""

    async def postpone(
        self, generation: Generation, item_ids: Sequence[str], seconds: float, reason: str
    ) -> None:
        """Count a failed attempt and try again later."""

    async def give_up(self, generation: Generation, item_ids: Sequence[str], reason: str) -> None:
        """What can't be embedded; it is not tried again."""

    async def drop_blank(self, generation: Generation, product_ids: Sequence[str]) -> None:
        """Products that wait and have no text, or are gone; a vector that one had goes too."""

    async def forget(self, generation: Generation, image_ids: Sequence[str]) -> None:
        """Photos that no product has any more."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """Store vectors; the products that have the photos go into the outbox."""

    async def judge(
        self,
        generation: Generation,
        told: Mapping[str, Classification],
        known: Collection[CategoryPath],
    ) -> None:
        """Note which photos contradict their products' categories, and which do not any more.

        `told`: by photo, by the generation's version. `known`: see doubts.py.
        """


class HashRecord(Protocol):
    """The record as those see it who hash photos that were stored before photos were hashed."""

    async def unhashed(self, catalog_id: str, limit: int) -> list[str]:
        """Ids of some photos that have no perceptual hash yet."""

    async def save_hashes(self, catalog_id: str, hashes: Mapping[str, int]) -> None:
        """Store the perceptual hashes of photos, by their ids."""


class VectorIndex(Protocol):
    """The engine. Every call raises IndexUnavailable, CollectionAbsent or CollectionReleased."""

    async def state(self, collection: str) -> CollectionState: ...

    async def create(
        self, collection: str, dimension: int, parameters: IndexParameters = EXACT
    ) -> None:
        """Make it, searchable at once; nothing when it exists."""

    async def load(self, collection: str) -> None: ...

    async def upsert(
        self, collection: str, rows: Sequence[IndexRow], parameters: IndexParameters = EXACT
    ) -> None:
        """Visible to the next search. Raises IndexRefused too. `parameters`: those of `create`.

        Of a collection with partitions, a row that was there may be missing meanwhile.
        """

    async def delete(self, collection: str, row_ids: Sequence[str]) -> None:
        """Ids that it does not hold are passed over."""

    async def scan(self, collection: str, low: str, high: str) -> dict[str, int] | None:
        """Row id → seq where low ≤ id < high; None = too many for one answer."""

    async def count(self, collection: str) -> int: ...

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        """At most `limit` rows for each vector, a row once with its best similarity, best first.

        Rows that pass `condition` are never left out; a few that do not pass may be in. `latest`:
        sees every row whose upsert has returned, which a cluster otherwise shows a little later.
        `parameters`: those of `create`, `ef` aside. With HNSW rows can be left out, and under a
        narrow filter many are, unless it `compares`. `of`: rows of other slices are left out.
        """

    async def compares(self) -> bool:
        """Whether an HNSW search compares all that pass where at most 7% of a collection do.

        Not answered = no.
        """

    async def survivors(
        self,
        collection: str,
        condition: Filter,
        most: int,
        seconds: float | None,
        *,
        latest: bool = False,
    ) -> list[str] | None:
        """Ids of all rows that pass `condition`, and perhaps a few others; None = more than `most`.

        `latest`: as in `search`.
        """

    async def flush(self, collection: str) -> None:
        """Bring rows from memory into a shape that is fast to search.

        An absent collection may be passed over.
        """

    async def flush_holds_up(self) -> bool:
        """Whether writes wait for a flush, about a second: a server's. As far as is known."""

    async def drop(self, collection: str) -> None:
        """Forget the collection and its rows; nothing when it does not exist."""


class SpaceTrainer(Protocol):
    """Fits spaces."""

    def fit(
        self, catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
    ) -> AsyncIterator[FitProgress]:
        """Fit a space on `total` photos; tell how far it is, last what it became.

        Raises EmbedderUnavailable, and the embedder's own errors.
        """


class Embedder(SpaceTrainer, Protocol):
    """The embedder."""

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        """Every version of every space that it offers now. Raises EmbedderUnavailable."""

    async def categories(
        self, catalog_id: str, space: str, version: str
    ) -> frozenset[CategoryPath]:
        """The full paths that a version's head knows; none when it has none. Raises
        EmbedderUnavailable."""

    async def embed(
        self,
        catalog_id: str,
        space: str,
        version: str,
        items: Sequence[bytes | str],
        *,
        classify: bool = False,
    ) -> list[GivenVector | ServiceError]:
        """A vector or an error for each photo (bytes) or text. `classify`: with what each photo is
        of.

        Raises EmbedderUnavailable or another ServiceError. VersionMismatch for each when it does
        not serve the version.
        """


class LabelRecord(Protocol):
    """The record, as it is read to fit a space."""

    async def labels(
        self, catalog_id: str, after: str, limit: int
    ) -> tuple[list[Label], str | None]:
        """The photos of the first `limit` products behind `after`; and the last of these products,
        None = there were none."""


class Leader(Protocol):
    """Whether this process may write to the index: one at a time does."""

    def left(self) -> float:
        """Seconds for which no other process can lead; 0 from the moment one might."""
