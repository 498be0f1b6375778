"""The registry of what the record keeps, and until when."""

from collections.abc import Mapping
from typing import Final

from servicekit.sql.retention import Term

GOES, BOUNDED, STAYS = Term

FORMER: Final = "with a later release: another service has watches since 0.43"

TABLES: Final[Mapping[str, tuple[Term, str]]] = {
    "products": (GOES, "until the product is deleted"),
    "product_images": (GOES, "with the product"),
    "keywords": (GOES, "with the product"),
    "doubts": (GOES, "with the product, or until its category agrees"),
    "distinct_pairs": (BOUNDED, "until a product of the two is deleted; at most 10,000 a catalog"),
    "product_vectors": (GOES, "with the product, or the last generation of the version"),
    "images": (GOES, "RETRIEVER_PHOTO_DAYS after the last product that had the photo"),
    "unnamed": (GOES, "with the photo"),
    "vectors": (GOES, "with the photo, or the last generation of the version"),
    "pending": (GOES, "until the vector is stored, or the photo is deleted"),
    "outbox": (GOES, "until all generations have applied the change"),
    "changes": (BOUNDED, "a row a product; of deleted ones the newest 10,000"),
    "imports": (GOES, "RETRIEVER_JOB_DAYS after the newest row"),
    "import_rows": (GOES, "until the import is closed, or goes"),
    "watches": (GOES, FORMER),
    "watch_states": (GOES, FORMER),
    "watch_alerts": (GOES, FORMER),
    "watch_photos": (GOES, FORMER),
    "webhooks": (GOES, FORMER),
    "webhook_lanes": (GOES, FORMER),
    "webhook_dead_letters": (GOES, FORMER),
    "jobs": (GOES, "RETRIEVER_JOB_DAYS after the job has ended"),
    "synonyms": (BOUNDED, "one row a catalog"),
    "scene_texts": (BOUNDED, "of 200 scenes the draft and RETRIEVER_SCENE_VERSIONS versions"),
    "synonym_texts": (BOUNDED, "a draft and RETRIEVER_SCENE_VERSIONS versions a catalog"),
    "sequences": (BOUNDED, "one row a catalog"),
    "catalogs": (BOUNDED, "RETRIEVER_MAX_CATALOGS; of removed ones the ids of the last 1,000"),
    "catalog_aliases": (BOUNDED, "until deleted; at most 200"),
    "markets": (BOUNDED, "at most 64 a catalog"),
    "offers": (BOUNDED, "the versions that the embedder serves"),
    "leases": (BOUNDED, "one row a kind of work"),
    "generations": (STAYS, "with the catalog: one row for each roll-out"),
    "takedowns": (STAYS, "until an operator lifts it: the photo must not come back"),
    "audit_entries": (STAYS, "until archived and dropped, RETRIEVER_AUDIT_DAYS at least"),
    "audit_seals": (STAYS, "one row for each archive of the audit log"),
}
"""By table, what happens to its rows. With a deleted catalog all but the audit log go after its
term."""
