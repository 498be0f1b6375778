"""SynonymService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.synonyms import StoredSynonyms
from retriever.servicer.messages import message_of
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.retriever.v1 import synonym_service_pb2 as pb
from sightline.retriever.v1 import synonym_service_pb2_grpc
from sightline_rules.synonyms import SynonymRule


@dataclass(frozen=True)
class SynonymServicer(synonym_service_pb2_grpc.SynonymServiceServicer):
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


_message = message_of.writer(pb.Synonyms, StoredSynonyms)
