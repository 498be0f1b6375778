"""Synonyms of a catalog."""

from collections.abc import Iterable

from sightline.retriever.v1 import synonym_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.synonyms import SynonymRule, Synonyms


class SynonymCalls(Connected):
    """Calls about synonyms."""

    async def get_synonyms(self, *, timeout: float | None = None) -> Synonyms:
        """Return the synonyms of the catalog; none if they were never set."""
        request = pb.GetSynonymsRequest(catalog_id=self.catalog)
        return from_wire.synonyms(await self._call(self.calls.admin.GetSynonyms, request, timeout))

    async def set_synonyms(
        self, rules: Iterable[SynonymRule], *, etag: str = "", timeout: float | None = None
    ) -> Synonyms:
        """Replace all synonyms of the catalog. InvalidArgument (SYNONYMS_INVALID) names wrong rules
        by their index. ``etag``: Aborted (ETAG_MISMATCH) if the synonyms have changed since."""
        with to_wire.sendable("request"):
            made = [pb.SynonymRule(terms=r.terms, replacements=r.replacements) for r in rules]
            request = pb.SetSynonymsRequest(catalog_id=self.catalog, rules=made, etag=etag)
        return from_wire.synonyms(await self._call(self.calls.admin.SetSynonyms, request, timeout))
