"""SynonymService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.synonyms import StoredSynonyms
from servicekit.rpc.requests import enter, timestamp
from servicekit.rpc.server import Context
from sightline.retriever.v1 import synonym_service_pb2 as pb
from sightline_rules.synonyms import SynonymRule


@dataclass(frozen=True)
class SynonymServicer:
    """Servicer of synonym_service.proto."""

    catalogs: Collection[str]
    synonyms: HeldSynonyms

    async def GetSynonyms(self, request: pb.GetSynonymsRequest, context: Context) -> pb.Synonyms:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return _message(await self.synonyms.get(catalog))

    async def SetSynonyms(self, request: pb.SetSynonymsRequest, context: Context) -> pb.Synonyms:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        rules = [SynonymRule(tuple(each.terms), tuple(each.replacements)) for each in request.rules]
        return _message(await self.synonyms.replace(catalog, rules, request.etag))


def _message(value: StoredSynonyms) -> pb.Synonyms:
    rules = [pb.SynonymRule(terms=r.terms, replacements=r.replacements) for r in value.rules]
    time = timestamp(value.update_micros) if value.update_micros else None
    return pb.Synonyms(rules=rules, etag=value.etag, update_time=time)
