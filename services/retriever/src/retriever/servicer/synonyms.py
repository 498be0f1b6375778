"""SynonymService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog.synonyms import HeldSynonyms
from retriever.servicer.messages import message_of
from retriever.servicer.scenes import author_of
from servicekit.rpc.messages import value_of
from servicekit.rpc.requests import enter
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
        return message_of(pb.Synonyms, await self.synonyms.get(catalog))

    async def SetSynonyms(self, request: pb.SetSynonymsRequest, context: Context) -> pb.Synonyms:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        rules = [value_of(SynonymRule, each) for each in request.rules]
        author = author_of(context)
        stored = await self.synonyms.replace(catalog, rules, request.etag, author=author)
        return message_of(pb.Synonyms, stored)
