"""Synonyms of a catalog.

Made from api/synonyms.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.synonyms import SynonymRule, Synonyms


class SyncSynonymCalls(SyncConnected):
    """Synonyms of a catalog."""

    def get_synonyms(self, *, timeout: float | None = None) -> Synonyms:
        """Return the synonyms of the catalog; none if they were never set."""
        return self._loop.run(self._client.get_synonyms(timeout=timeout))

    def set_synonyms(
        self, rules: Iterable[SynonymRule], *, etag: str = "", timeout: float | None = None
    ) -> Synonyms:
        """Replace all synonyms of the catalog. InvalidArgument (SYNONYMS_INVALID) names wrong rules
        by their index. ``etag``: Aborted (ETAG_MISMATCH) if the synonyms have changed since."""
        return self._loop.run(self._client.set_synonyms(rules, etag=etag, timeout=timeout))
