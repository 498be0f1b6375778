"""Names by which services of 0.40 and before call the public methods of their owners.

Owners answer to both names, and calls that an older owner does not know are made by the former one.
To be removed, with its callers, in 0.42.
"""

from collections.abc import AsyncIterator, Callable, Generator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import grpc

_SERVICES = {
    "embedder.v1.EmbeddingService": ("AdminService", "ListSpaces"),
    "embedder.v1.InspectionService": (
        "InspectionService",
        "Inspect AddReferencePhotos FitReference ListReferences PromoteReference DeleteReference",
    ),
    "embedder.v1.SpaceService": ("AdminService", "PromoteSpace RetireSpace"),
    "ranker.v1.EventService": ("UserEventService", "MergeShopper PurgeEvents"),
    "ranker.v1.ExperimentService": ("AdminService", "ListExperiments ListExperimentUnits"),
    "ranker.v1.ModelService": (
        "AdminService",
        "TrainModel EvaluateModel GetEvaluation PromoteModel RollbackModel DemoteModel"
        " PublishModel GetOnlineReport GetExposureReport ListModels",
    ),
    "ranker.v1.PrivacyService": (
        "AdminService",
        "ExportUser EraseUser GetErasure SetConsent GetConsent ExportCounts GetPrivacyBudget",
    ),
    "ranker.v1.ProfileService": (
        "AdminService",
        "GetShopperProfile GetProductProfile SetShopperAttributes ListSegments",
    ),
    "retriever.v1.BackupService": (
        "AdminService",
        "CreateBackup ListBackups DeleteBackup RestoreBackup",
    ),
    "retriever.v1.CatalogRegistryService": (
        "AdminService",
        "CreateCatalog GetCatalog ListCatalogs UpdateCatalog DeleteCatalog UndeleteCatalog"
        " CopyCatalog SetCatalogAlias ListCatalogAliases DeleteCatalogAlias",
    ),
    "retriever.v1.IndexService": (
        "AdminService",
        "CreateGeneration BackfillGeneration VerifyGeneration ActivateGeneration"
        " RollbackGeneration DropGeneration ListGenerations",
    ),
    "retriever.v1.PhotoService": ("AdminService", "TakeDownPhoto LiftTakedown ListTakedowns"),
    "retriever.v1.ProductService": (
        "CatalogService",
        "UpsertProducts UpdateProducts UpdateOffers DeleteProducts PurgeProducts OpenImport"
        " ImportProducts CloseImport",
    ),
    "retriever.v1.RebuildService": ("AdminService", "RebuildIndex"),
    "retriever.v1.SynonymService": ("AdminService", "GetSynonyms SetSynonyms"),
    "retriever.v1.WatchService": (
        "WatchService",
        "CreateWatch UpdateWatch GetWatch ListWatches DeleteWatch SendFrames ListAlerts"
        " WatchAlerts GetAlertPhoto",
    ),
    "retriever.v1.WebhookService": (
        "WebhookService",
        "CreateWebhook ListWebhooks RotateWebhookSecret DeleteWebhook ListDeadLetters"
        " ReplayDeliveries UpdateWebhook SendTestDelivery",
    ),
}
"""By former service: the public one, and its methods."""

FORMER: Mapping[str, str] = MappingProxyType(
    {
        f"sightline.gateway.v1.{public}/{name}": f"sightline.{former}/{name}"
        for former, (public, names) in _SERVICES.items()
        for name in names.split()
    }
    | {
        "sightline.gateway.v1.AdminService/ExportEvents": (
            "sightline.ranker.v1.EventService/ExportEvents"
        ),
        "sightline.gateway.v1.AdminService/FitSpace": "sightline.retriever.v1.FitService/FitSpace",
        "sightline.gateway.v1.InspectionService/StartReferenceFit": (
            "sightline.retriever.v1.FitService/StartReferenceFit"
        ),
        "sightline.gateway.v1.UserEventService/WriteEvents": (
            "sightline.ranker.v1.EventService/AppendEvents"
        ),
    }
)
"""Former paths by public path, each package.Service/Method."""
PUBLIC: Mapping[str, str] = MappingProxyType({former: public for public, former in FORMER.items()})


def or_former(path: str, make: Callable[[str], Callable[..., Any]]) -> Callable[..., Any]:
    """Return the call that `make` makes for a path, /package.Service/Method: a peer that does not
    know it is called by the former name, if there is one."""
    call, former = make(path), FORMER.get(path.lstrip("/"))
    if former is None:
        return call
    named = make(f"/{former}")

    def called(*arguments: Any, **options: Any) -> _EitherCall:
        return _EitherCall(call(*arguments, **options), partial(named, *arguments, **options))

    return called


class _EitherCall:
    """A call that is made once more, by its former name, if the peer does not know it."""

    def __init__(self, call: Any, again: Callable[[], Any]) -> None:
        self._call, self._again = call, again

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._call.__await__())
        except grpc.aio.AioRpcError as error:
            self._rename(error)
        return (yield from self._call.__await__())

    async def __aiter__(self) -> AsyncIterator[Any]:
        begun = False
        try:
            async for answer in self._call:
                begun = True
                yield answer
        except grpc.aio.AioRpcError as error:
            if begun:
                raise
            self._rename(error)
        else:
            return
        async for answer in self._call:
            yield answer

    def _rename(self, error: grpc.aio.AioRpcError) -> None:
        """Make the call by its former name, or raise the error again."""
        ran = len(error.trailing_metadata() or ()) > 0
        if ran or error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise error  # a handler of ours that ran names the request in its trailers
        self._call = self._again()
