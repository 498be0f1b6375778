"""Calls that are passed on unchanged: a peer's calls under the public contract.

The public messages are the peer's own, or the same on the wire field by field (a test compares
them), so nothing is translated.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.requests import admit
from servicekit.keys.keyring import SigningKeys
from servicekit.rpc.server import Context

Call = Callable[[Any], Awaitable[Any]]
Connection = tuple[grpc.aio.Channel, PeerCaller]


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """Destination of a public call."""

    peer: Peer
    path: str
    """Path of the peer's call: package.Service/Method."""


def _routes(peer: Peer, service: str, names: str) -> dict[str, PublicRoute]:
    """Return routes to calls of the same names, of a peer's service."""
    return {
        name: PublicRoute(peer, f"sightline.{peer}.v1.{service}/{name}") for name in names.split()
    }


ROUTES: Mapping[str, Mapping[str, PublicRoute]] = MappingProxyType(
    {
        "sightline.gateway.v1.CatalogService": {
            **_routes(
                Peer.RETRIEVER,
                "ProductService",
                "UpsertProducts UpdateProducts UpdateOffers DeleteProducts PurgeProducts"
                " OpenImport ImportProducts CloseImport",
            ),
        },
        "sightline.gateway.v1.UserEventService": {
            **_routes(Peer.RANKER, "EventService", "MergeShopper PurgeEvents"),
            "WriteEvents": PublicRoute(
                Peer.RANKER, "sightline.ranker.v1.EventService/AppendEvents"
            ),
        },
        "sightline.gateway.v1.InspectionService": {
            **_routes(
                Peer.EMBEDDER,
                "InspectionService",
                "Inspect AddReferencePhotos FitReference ListReferences PromoteReference"
                " DeleteReference",
            ),
            **_routes(Peer.RETRIEVER, "FitService", "StartReferenceFit"),
        },
        "sightline.gateway.v1.WatchService": {
            **_routes(
                Peer.RETRIEVER,
                "WatchService",
                "CreateWatch UpdateWatch GetWatch ListWatches DeleteWatch SendFrames ListAlerts"
                " GetAlertPhoto",
            ),
        },
        "sightline.gateway.v1.WebhookService": {
            **_routes(
                Peer.RETRIEVER,
                "WebhookService",
                "CreateWebhook ListWebhooks RotateWebhookSecret DeleteWebhook ListDeadLetters"
                " ReplayDeliveries UpdateWebhook SendTestDelivery",
            ),
        },
        "sightline.gateway.v1.AdminService": {
            **_routes(
                Peer.RANKER,
                "ModelService",
                "TrainModel EvaluateModel GetEvaluation PromoteModel RollbackModel DemoteModel"
                " PublishModel GetOnlineReport GetExposureReport ListModels",
            ),
            **_routes(
                Peer.RANKER,
                "ProfileService",
                "GetShopperProfile GetProductProfile SetShopperAttributes ListSegments",
            ),
            **_routes(Peer.RANKER, "EventService", "ExportEvents"),
            **_routes(
                Peer.RANKER,
                "PrivacyService",
                "ExportUser EraseUser GetErasure SetConsent GetConsent ExportCounts"
                " GetPrivacyBudget",
            ),
            **_routes(
                Peer.RANKER,
                "ExperimentService",
                "ListExperiments ListExperimentUnits",
            ),
            **_routes(
                Peer.RETRIEVER,
                "IndexService",
                "CreateGeneration BackfillGeneration VerifyGeneration ActivateGeneration"
                " RollbackGeneration DropGeneration ListGenerations",
            ),
            **_routes(
                Peer.RETRIEVER,
                "BackupService",
                "CreateBackup ListBackups DeleteBackup RestoreBackup",
            ),
            **_routes(Peer.RETRIEVER, "PhotoService", "TakeDownPhoto LiftTakedown ListTakedowns"),
            **_routes(
                Peer.RETRIEVER,
                "CatalogRegistryService",
                "CreateCatalog GetCatalog ListCatalogs UpdateCatalog DeleteCatalog UndeleteCatalog"
                " CopyCatalog SetCatalogAlias ListCatalogAliases DeleteCatalogAlias",
            ),
            **_routes(Peer.RETRIEVER, "SynonymService", "GetSynonyms SetSynonyms"),
            **_routes(Peer.RETRIEVER, "RebuildService", "RebuildIndex"),
            **_routes(Peer.RETRIEVER, "FitService", "FitSpace"),
            **_routes(Peer.EMBEDDER, "EmbeddingService", "ListSpaces"),
            **_routes(Peer.EMBEDDER, "SpaceService", "PromoteSpace RetireSpace"),
        },
    }
)
"""Routes by public service and call."""


class Passthrough:
    """Calls passed on to peers, for the declared catalogs."""

    def __init__(
        self,
        catalogs: Collection[str],
        connections: Mapping[Peer, Connection],
        keys: SigningKeys,
    ) -> None:
        """`keys` sign page tokens."""
        self._catalogs = catalogs
        self._connections = connections
        self._keys = keys

    def serve(
        self,
        servicer: object,
        public: ServiceDescriptor,
        around: Callable[[str, Call], Call] = lambda _, call: call,
    ) -> None:
        """Add the routed methods of its service to a servicer that lacks them. `around` may wrap
        each call, given with its name."""
        for name in ROUTES[public.full_name]:
            if not _defines(servicer, name):
                setattr(servicer, name, _method(around(name, self.call(public, name))))

    def call(
        self, public: ServiceDescriptor, name: str, admitting: Callable[[Any], str] | None = None
    ) -> Call:
        """Return the routed call of that name, in the public messages. It raises ServiceError.

        `admitting`: returns the catalog of a request; None: it rejects unknown catalogs.
        """
        admitted = admitting or partial(admit, catalogs=self._catalogs)
        route, method = ROUTES[public.full_name][name], public.methods_by_name[name]
        channel, caller = self._connections[route.peer]
        passed = channel.unary_unary(
            f"/{route.path}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        async def call(request: Any) -> Any:
            request.catalog_id = admitted(request)
            return await caller.call(passed, request)

        pages = "next_page_token" in method.output_type.fields_by_name
        return _paged(call, ListTokens(name, self._keys), admitted) if pages else call

    def versions(self) -> dict[str, str]:
        """Return the version that each peer last reported with its status; empty if unknown."""
        return {peer.value: caller.version for peer, (_, caller) in self._connections.items()}


def _paged(call: Call, tokens: ListTokens, admitted: Callable[[Any], str]) -> Call:
    async def paged(request: Any) -> Any:
        request.catalog_id = admitted(request)
        request.page_token = tokens.opened(request)
        answer = await call(request)
        answer.next_page_token = tokens.sealed(request, answer.next_page_token)
        return answer

    return paged


def _defines(servicer: object, name: str) -> bool:
    """Return whether a servicer has a method of its own, beside the generated one."""
    own = (kind for kind in type(servicer).__mro__ if not kind.__module__.endswith("_pb2_grpc"))
    return any(name in vars(kind) for kind in own)


def _method(call: Call) -> Any:
    async def method(request: Any, _: Context) -> Any:
        return await call(request)

    return method
