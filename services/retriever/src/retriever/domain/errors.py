"""The errors of the retriever, each with its reason on the wire::


ServiceError
├── InvalidArgument
│   ├── IndexTokenInvalid      INDEX_TOKEN_INVALID
│   ├── FilterInvalid          FILTER_INVALID
│   ├── VectorInvalid          VECTOR_INVALID
│   ├── KeywordsInvalid        KEYWORDS_INVALID
│   ├── SynonymsInvalid        SYNONYMS_INVALID
│   ├── FacetInvalid           FACET_INVALID
│   ├── ProductInvalid         PRODUCT_INVALID
│   ├── FieldMaskInvalid       FIELD_MASK_INVALID
│   ├── OfferInvalid           OFFER_INVALID
│   ├── ImageRejected          IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, FACE_IN_PHOTO
│   ├── IndexParametersInvalid INDEX_PARAMETERS_INVALID
│   └── (kit's outbound.fetch) URI_FORBIDDEN
├── NotFound
│   ├── ProductNotFound        PRODUCT_NOT_FOUND
│   ├── MarketNotFound         MARKET_NOT_FOUND
│   ├── ImageNotFound          IMAGE_NOT_FOUND
│   ├── ImportNotFound         IMPORT_NOT_FOUND
│   ├── GenerationNotFound     GENERATION_NOT_FOUND
│   ├── SceneDocumentNotFound  SCENE_DOCUMENT_NOT_FOUND
├── AlreadyExists
│   ├── GenerationExists       GENERATION_EXISTS
│   ├── CatalogExists          CATALOG_EXISTS
├── FailedPrecondition
│   ├── SpaceUnavailable       SPACE_UNAVAILABLE
│   ├── FitMoved               FIT_UNAVAILABLE
│   ├── GenerationNotVerified  GENERATION_NOT_VERIFIED
│   ├── GenerationActive       GENERATION_ACTIVE
│   ├── RollbackUnavailable    ROLLBACK_UNAVAILABLE
│   ├── ImportClosed           IMPORT_CLOSED
│   ├── ImportModeMismatch     IMPORT_MODE_MISMATCH
│   ├── ImportDeletesTooMuch   IMPORT_DELETES_TOO_MUCH
│   ├── VersionMismatch        INDEX_VERSION_MISMATCH
│   ├── ImageTakenDown         IMAGE_TAKEN_DOWN
│   ├── CatalogDeclared        CATALOG_DECLARED
│   ├── CatalogRemoving        CATALOG_REMOVING
│   ├── CatalogIsAlias         CATALOG_IS_ALIAS
│   ├── CatalogHasAlias        CATALOG_HAS_ALIAS
│   ├── ScenesFromFiles        SCENES_FROM_FILES
│   └── CatalogNotEmpty        CATALOG_NOT_EMPTY
├── Aborted
│   ├── EtagMismatch           ETAG_MISMATCH
├── Unavailable
│   ├── IndexUnavailable       INDEX_UNAVAILABLE
│   ├── ColumnsUnavailable     COLUMNS_UNAVAILABLE
│   ├── EmbedderUnavailable    EMBEDDER_UNAVAILABLE
│   └── PhotosUnavailable      PHOTO_STORE_UNAVAILABLE
├── ResourceExhausted
│   ├── CatalogsFull           CATALOGS_FULL
│   ├── CatalogAliasesFull     CATALOG_ALIASES_FULL
│   ├── GenerationsFull        GENERATIONS_FULL
│   ├── SceneDocumentsFull     SCENE_DOCUMENTS_FULL
│   ├── DistinctPairsFull      DISTINCT_PAIRS_FULL
│   ├── PhotosFull             PHOTO_STORE_FULL
│   └── BackupQuota            BACKUP_QUOTA
├── DeadlineExceeded
│   └── StageDeadline          STAGE_DEADLINE
├── DataLoss
│   └── ImageDamaged           IMAGE_DAMAGED
└── Internal
    └── IndexRefused           INDEX_REFUSED: the engine rejected a request of the retriever
Errors of backups are in servicekit.artefacts.backup_errors.
CollectionAbsent, CollectionReleased    never on the wire: the index use cases fix them
"""

from datetime import timedelta

from retriever.domain.imports import ImportMode
from servicekit import errors
from servicekit.rpc.requests import FieldsInvalid, describe


class IndexTokenInvalid(errors.InvalidArgument, reason="INDEX_TOKEN_INVALID"):
    message = "this index token belongs to another catalog"
    violations = (errors.FieldViolation("min_index_token", "is not one of this catalog"),)


class FilterInvalid(FieldsInvalid, reason="FILTER_INVALID"):
    """A filter that can't be evaluated."""


class VectorInvalid(FieldsInvalid, reason="VECTOR_INVALID"):
    """A vector of the wrong size, with a value that is not finite, or all zero."""


class KeywordsInvalid(FieldsInvalid, reason="KEYWORDS_INVALID"):
    """The text of a keyword search has no characters, or too many."""


class SynonymsInvalid(FieldsInvalid, reason="SYNONYMS_INVALID"):
    """Rules of synonyms are out of their documented range, say the same twice, or form a loop."""


class SceneDocumentNotFound(errors.NotFound, reason="SCENE_DOCUMENT_NOT_FOUND"):
    message = "the record has no such scene of this catalog, or no such draft or version of it"


class SceneDocumentsFull(errors.ResourceExhausted, reason="SCENE_DOCUMENTS_FULL"):
    """Quota of a catalog's scenes exceeded."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the record has {most} scenes of this catalog: delete one first")


class ScenesFromFiles(errors.FailedPrecondition, reason="SCENES_FROM_FILES"):
    """The catalog is steered by files, so that a published scene would not be used."""

    message = (
        "this catalog is steered by files: change its files, or set steered_by of the catalog to"
        " the record (UpdateCatalog)"
    )


class FacetInvalid(FieldsInvalid, reason="FACET_INVALID"):
    """A facet whose field can't be counted, or has invalid options."""


class ProductInvalid(FieldsInvalid, reason="PRODUCT_INVALID"):
    """Fields of one product are missing or out of their documented range."""


class FieldMaskInvalid(FieldsInvalid, reason="FIELD_MASK_INVALID"):
    """A field mask with a field that can't be changed."""


class OfferInvalid(FieldsInvalid, reason="OFFER_INVALID"):
    """Fields of one offer are out of their documented range."""


class IndexParametersInvalid(FieldsInvalid, reason="INDEX_PARAMETERS_INVALID"):
    """Parameters of a generation are invalid."""


class ImageRejected(errors.InvalidArgument):
    """A photo that is rejected."""

    def __init__(self, reason: str, description: str, path: str = "") -> None:
        violations = (errors.FieldViolation(path, description),) if path else ()
        super().__init__(description, reason=reason, violations=violations)


class ProductNotFound(errors.NotFound, reason="PRODUCT_NOT_FOUND"):
    message = "this catalog has no such product"

    def __init__(self, *paths: str) -> None:
        super().__init__(
            violations=[errors.FieldViolation(path, "is not in the catalog") for path in paths]
        )


class MarketNotFound(errors.NotFound, reason="MARKET_NOT_FOUND"):
    """An offer of a market that the product does not list: adding it would end its sale in all
    markets that it does not list either."""

    message = "the product does not list this market: write its markets first"


class ImageNotFound(errors.NotFound, reason="IMAGE_NOT_FOUND"):
    message = "no such photo is stored"

    def __init__(self, path: str = "") -> None:
        violation = errors.FieldViolation(path, "names a photo that is not stored")
        super().__init__(violations=(violation,) if path else ())


class ImageTakenDown(errors.FailedPrecondition, reason="IMAGE_TAKEN_DOWN"):
    message = "this photo was taken down and may not be stored"

    def __init__(self, path: str = "") -> None:
        violation = errors.FieldViolation(path, "holds a photo that was taken down")
        super().__init__(violations=(violation,) if path else ())


class ImportNotFound(errors.NotFound, reason="IMPORT_NOT_FOUND"):
    message = "this catalog has no such import: open it first"


class GenerationNotFound(errors.NotFound, reason="GENERATION_NOT_FOUND"):
    message = "this catalog has no such generation"


class SpaceUnavailable(errors.FailedPrecondition, reason="SPACE_UNAVAILABLE"):
    """The space has no index yet, or does not exist."""

    message = "this space has no index in this catalog (yet)"

    def __init__(self, space: str, description: str = "") -> None:
        super().__init__(description, metadata={"space": space})


class GenerationExists(errors.AlreadyExists, reason="GENERATION_EXISTS"):
    message = "this catalog has, or had, a generation of this name: choose another name"


class CatalogExists(errors.AlreadyExists, reason="CATALOG_EXISTS"):
    message = (
        "there is a catalog of this id: with other values, declared in the settings, or deleted"
    )


class CatalogDeclared(errors.FailedPrecondition, reason="CATALOG_DECLARED"):
    message = "the settings declare this catalog: it can't be deleted while they do"


class CatalogRemoving(errors.FailedPrecondition, reason="CATALOG_REMOVING"):
    message = "this catalog's removal has begun: it can't be restored"


class CatalogIsAlias(errors.FailedPrecondition, reason="CATALOG_IS_ALIAS"):
    message = "catalog_id: is an alias: name the catalog that it stands for, or delete the alias"
    violations = (errors.FieldViolation("catalog_id", "is an alias"),)


class CatalogHasAlias(errors.FailedPrecondition, reason="CATALOG_HAS_ALIAS"):
    def __init__(self, alias_id: str) -> None:
        super().__init__(
            f"the alias {alias_id} stands for this catalog: let it stand for another one, or delete"
            " it, before you delete the catalog",
            metadata={"alias": alias_id},
        )


class CatalogAliasesFull(errors.ResourceExhausted, reason="CATALOG_ALIASES_FULL"):
    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} aliases: delete one first")


class CatalogsFull(errors.ResourceExhausted, reason="CATALOGS_FULL"):
    """Quota of catalogs exceeded: each costs memory and time in every service."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"there are {most} catalogs beside the declared ones: raise RETRIEVER_MAX_CATALOGS"
        )


class DistinctPairsFull(errors.ResourceExhausted, reason="DISTINCT_PAIRS_FULL"):
    """Quota of a catalog's pairs of different products exceeded."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"this catalog may have {most:,} pairs of products that were decided to be different:"
            " take some back first (UnmarkDistinctProducts), or give products photos of their own"
        )


class GenerationsFull(errors.ResourceExhausted, reason="GENERATIONS_FULL"):
    """Generation quota of the space exceeded: each holds the whole catalog."""

    def __init__(self, most: int) -> None:
        super().__init__(f"this space has {most} generations in this catalog: drop one first")


class GenerationNotVerified(errors.FailedPrecondition, reason="GENERATION_NOT_VERIFIED"):
    """The generation has no passed verification."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{why}; or activate it with force", metadata={"name": name})


class GenerationActive(errors.FailedPrecondition, reason="GENERATION_ACTIVE"):
    message = "this generation is the active one of its space: activate another one first"


class RollbackUnavailable(errors.FailedPrecondition, reason="ROLLBACK_UNAVAILABLE"):
    message = "no generation to roll back to: none was active before, or it was dropped"


class VersionMismatch(errors.FailedPrecondition, reason="INDEX_VERSION_MISMATCH"):
    """A vector of another version of the space than the index holds: never to be compared."""

    message = "the vector's space version is not the one that the index holds"

    def __init__(self, given: str, held: str) -> None:
        super().__init__(metadata={"given": given, "held": held})


class ImportClosed(errors.FailedPrecondition, reason="IMPORT_CLOSED"):
    message = "this import is closed: open another one"


class ImportModeMismatch(errors.FailedPrecondition, reason="IMPORT_MODE_MISMATCH"):
    """The import was opened with the other mode."""

    def __init__(self, opened: ImportMode) -> None:
        violation = errors.FieldViolation(
            "mode", f"is not the one that this import was opened with, {opened}"
        )
        super().__init__(describe([violation]), violations=(violation,))


class ImportDeletesTooMuch(errors.FailedPrecondition, reason="IMPORT_DELETES_TOO_MUCH"):
    """Closing the import would delete more than the set share of the catalog."""

    def __init__(self, deleted: int, held: int, share: float) -> None:
        super().__init__(
            f"closing would delete {deleted:,} of {held:,} products, more than {share:.0%}; "
            "list them with dry_run, then close with force",
            metadata={"delete_count": str(deleted), "product_count": str(held)},
        )


class EtagMismatch(errors.Aborted, reason="ETAG_MISMATCH"):
    message = "what this etag describes has changed: read it again"


class IndexUnavailable(errors.Unavailable, reason="INDEX_UNAVAILABLE"):
    """The engine does not respond in time."""

    message = "the vector index does not answer"
    retry_after = timedelta(seconds=1)


class ColumnsUnavailable(errors.Unavailable, reason="COLUMNS_UNAVAILABLE"):
    """The catalog has more products than RETRIEVER_COLUMNS_PRODUCTS, or they are not read yet."""

    message = "the catalog's columns are not in memory"
    retry_after = timedelta(seconds=1)


class FitMoved(errors.FailedPrecondition, reason="FIT_UNAVAILABLE"):
    """A job of a release before 0.44 that fits a reference, which the retriever does no more."""

    message = "the service of cameras fits references since 0.44: start the fit again"


class EmbedderUnavailable(errors.Unavailable, reason="EMBEDDER_UNAVAILABLE"):
    message = "the embedder does not answer"
    retry_after = timedelta(seconds=1)


class PhotosUnavailable(errors.Unavailable, reason="PHOTO_STORE_UNAVAILABLE"):
    message = "the photo store can't be reached"
    retry_after = timedelta(seconds=2)


class PhotosFull(errors.ResourceExhausted, reason="PHOTO_STORE_FULL"):
    """The photo store's disk is full. Nothing of the product was kept."""

    message = "the photo store is full"


class StageDeadline(errors.DeadlineExceeded, reason="STAGE_DEADLINE"):
    message = "the index did not reach min_index_token in time"


class ImageDamaged(errors.DataLoss, reason="IMAGE_DAMAGED"):
    message = "the stored photo is damaged"


class IndexRefused(errors.Internal, reason="INDEX_REFUSED"):
    message = "the index rejected the request"


class CatalogNotEmpty(errors.FailedPrecondition, reason="CATALOG_NOT_EMPTY"):
    message = (
        "the catalog holds products: restore into an empty one, or with force, which deletes "
        "what the backup does not hold"
    )
    violations = (errors.FieldViolation("force", "is needed: the catalog holds products"),)


class BackupQuota(errors.ResourceExhausted, reason="BACKUP_QUOTA"):
    """Backup quota exceeded (count or bytes)."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(
            f"the catalog's {count} backups of {size / 1e6:,.0f} MB fill its quota: delete one; see"
            " RETRIEVER_BACKUP_COUNT and RETRIEVER_BACKUP_MEGABYTES"
        )


class CollectionAbsent(Exception):
    """The engine has no such collection: it lost its data or was replaced."""


class CollectionReleased(Exception):
    """The collection is not loaded: the engine was restarted."""
