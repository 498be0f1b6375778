"""The record, as synonyms use it."""

from typing import Protocol

from retriever.domain.synonyms import StoredSynonyms
from sightline_rules.synonyms import SynonymRule


class SynonymRecord(Protocol):
    """The record, as synonyms use it."""

    async def synonyms(self, catalog_id: str) -> StoredSynonyms:
        """Return a catalog's rules; none if they were never set."""

    async def synonyms_since(
        self, catalog_id: str, known: str | None
    ) -> tuple[str, StoredSynonyms] | None:
        """Return a catalog's rules and their revision (empty: never set); None if it is the known
        one."""

    async def set_synonyms(
        self, catalog_id: str, rules: tuple[SynonymRule, ...], etag: str
    ) -> StoredSynonyms:
        """Replace a catalog's rules. Raises EtagMismatch."""
