"""AdminService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

from collections.abc import Sequence

import grpc
from google.rpc import status_pb2

from gateway import messages
from gateway.clients.calls import Caller
from gateway.model import SpaceState
from gateway.ports import Index, Models, Scenes, Spaces
from gateway.retiring import check_unused
from gateway.servicer.requests import Context, admit
from gateway.status import ComponentState, look
from servicekit.requests import page_size
from servicekit.status import to_status
from sightline.common.v1 import job_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedding_pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as embedding_grpc
from sightline.embedder.v1 import space_service_pb2 as space_pb
from sightline.embedder.v1 import space_service_pb2_grpc as space_grpc
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline.gateway.v1 import admin_service_pb2_grpc
from sightline.ranker.v1 import (
    evaluation_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    online_report_pb2,
)
from sightline.ranker.v1 import model_service_pb2 as ranker_pb
from sightline.ranker.v1 import model_service_pb2_grpc as ranker_grpc
from sightline.ranker.v1 import profile_service_pb2 as profile_pb
from sightline.ranker.v1 import profile_service_pb2_grpc as profile_grpc
from sightline.retriever.v1 import (
    backup_service_pb2,
    backup_service_pb2_grpc,
    fit_service_pb2,
    fit_service_pb2_grpc,
    rebuild_service_pb2,
    rebuild_service_pb2_grpc,
)
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import index_service_pb2_grpc as index_grpc

NAME = "sightline.gateway.v1.AdminService"
MOST_LISTED = 1_000


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """Tells of the suite; passes calls for models, profiles and exports on to the ranker, calls for
    the index and for backups to the retriever, calls for spaces to it and the embedder."""

    def __init__(
        self,
        catalogs: Sequence[str],
        *,
        scenes: Scenes,
        spaces: Spaces,
        index: Index,
        models: Models,
        embedder: tuple[grpc.aio.Channel, Caller],
        ranker: tuple[grpc.aio.Channel, Caller],
        retriever: tuple[grpc.aio.Channel, Caller],
        status_seconds: float,
    ) -> None:
        """`embedder`, `ranker` and `retriever`: the ways to them."""
        self._catalogs = catalogs
        self._scenes = scenes
        self._spaces = spaces
        self._index = index
        self._models = models
        self._models_stub, self._ranker = ranker_grpc.ModelServiceStub(ranker[0]), ranker[1]
        self._profiles_stub = profile_grpc.ProfileServiceStub(ranker[0])
        self._events_stub = event_service_pb2_grpc.EventServiceStub(ranker[0])
        channel, self._retriever = retriever
        self._index_stub = index_grpc.IndexServiceStub(channel)
        self._backups_stub = backup_service_pb2_grpc.BackupServiceStub(channel)
        self._rebuild_stub = rebuild_service_pb2_grpc.RebuildServiceStub(channel)
        self._fits_stub = fit_service_pb2_grpc.FitServiceStub(channel)
        self._embedding_stub = embedding_grpc.EmbeddingServiceStub(embedder[0])
        self._spaces_stub, self._embedder = space_grpc.SpaceServiceStub(embedder[0]), embedder[1]
        self._seconds = status_seconds

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        """How the suite is."""
        catalog_id = admit(request, self._catalogs)
        state = await look(catalog_id, self._spaces, self._index, self._models, self._seconds)
        space = state.visual_space
        return pb.GetStatusResponse(
            components=[_component(item) for item in state.components],
            visual_space=messages.space_message(space) if space is not None else None,
            embedder_space_version=state.embedder_space_version,
            embedder_spaces=[_offered(item) for item in state.embedder_spaces],
            products=state.products,
            indexed_images=state.indexed_images,
            pending_images=state.pending_images,
            failed_images=state.failed_images,
            freshness=messages.freshness_message(state.freshness),
            model_version=state.model_version,
            scenes=self._scenes.names(),
            recall=map(messages.recall_message, state.recall),
        )

    async def TrainModel(
        self, request: ranker_pb.TrainModelRequest, context: Context
    ) -> job_pb2.Job:
        """Start a training job."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._ranker.call(self._models_stub.TrainModel, request)
        return job

    async def ListModels(
        self, request: ranker_pb.ListModelsRequest, context: Context
    ) -> ranker_pb.ListModelsResponse:
        """The ranking models, newest first."""
        request.catalog_id = admit(request, self._catalogs)
        page_size(request.page_size, 0, MOST_LISTED)
        answer: ranker_pb.ListModelsResponse = await self._ranker.call(
            self._models_stub.ListModels, request
        )
        return answer

    async def EvaluateModel(
        self, request: ranker_pb.EvaluateModelRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that measures a model."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._ranker.call(self._models_stub.EvaluateModel, request)
        return job

    async def GetEvaluation(
        self, request: ranker_pb.GetEvaluationRequest, context: Context
    ) -> evaluation_pb2.Evaluation:
        """What the newest evaluation of a model found."""
        request.catalog_id = admit(request, self._catalogs)
        found: evaluation_pb2.Evaluation = await self._ranker.call(
            self._models_stub.GetEvaluation, request
        )
        return found

    async def PromoteModel(
        self, request: ranker_pb.PromoteModelRequest, context: Context
    ) -> ranker_pb.Model:
        """Make a model the serving one."""
        request.catalog_id = admit(request, self._catalogs)
        model: ranker_pb.Model = await self._ranker.call(self._models_stub.PromoteModel, request)
        return model

    async def RollbackModel(
        self, request: ranker_pb.RollbackModelRequest, context: Context
    ) -> ranker_pb.Model:
        """Make the model before the serving one again."""
        request.catalog_id = admit(request, self._catalogs)
        model: ranker_pb.Model = await self._ranker.call(self._models_stub.RollbackModel, request)
        return model

    async def PublishModel(
        self, request: ranker_pb.PublishModelRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that publishes a model into the index."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._ranker.call(self._models_stub.PublishModel, request)
        return job

    async def GetShopperProfile(
        self, request: profile_pb.GetShopperProfileRequest, context: Context
    ) -> profile_pb.ShopperProfile:
        """What is known of a shopper."""
        request.catalog_id = admit(request, self._catalogs)
        answer: profile_pb.ShopperProfile = await self._ranker.call(
            self._profiles_stub.GetShopperProfile, request
        )
        return answer

    async def GetProductProfile(
        self, request: profile_pb.GetProductProfileRequest, context: Context
    ) -> profile_pb.ProductProfile:
        """What is known of a product."""
        request.catalog_id = admit(request, self._catalogs)
        answer: profile_pb.ProductProfile = await self._ranker.call(
            self._profiles_stub.GetProductProfile, request
        )
        return answer

    async def SetShopperAttributes(
        self, request: profile_pb.SetShopperAttributesRequest, context: Context
    ) -> profile_pb.SetShopperAttributesResponse:
        """Keep what a shopper told of themselves, or delete it."""
        request.catalog_id = admit(request, self._catalogs)
        answer: profile_pb.SetShopperAttributesResponse = await self._ranker.call(
            self._profiles_stub.SetShopperAttributes, request
        )
        return answer

    async def ListSegments(
        self, request: profile_pb.ListSegmentsRequest, context: Context
    ) -> profile_pb.ListSegmentsResponse:
        """The groups of shoppers that the serving model knows."""
        request.catalog_id = admit(request, self._catalogs)
        answer: profile_pb.ListSegmentsResponse = await self._ranker.call(
            self._profiles_stub.ListSegments, request
        )
        return answer

    async def GetOnlineReport(
        self, request: online_report_pb2.GetOnlineReportRequest, context: Context
    ) -> online_report_pb2.OnlineReport:
        """How what was answered fared with shoppers."""
        request.catalog_id = admit(request, self._catalogs)
        report: online_report_pb2.OnlineReport = await self._ranker.call(
            self._models_stub.GetOnlineReport, request
        )
        return report

    async def ExportEvents(
        self, request: event_service_pb2.ExportEventsRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that writes events to Parquet files."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._ranker.call(self._events_stub.ExportEvents, request)
        return job

    async def CreateGeneration(
        self, request: index_pb.CreateGenerationRequest, context: Context
    ) -> index_pb.Generation:
        """Register an index generation."""
        request.catalog_id = admit(request, self._catalogs)
        answer: index_pb.Generation = await self._retriever.call(
            self._index_stub.CreateGeneration, request
        )
        return answer

    async def BackfillGeneration(
        self, request: index_pb.BackfillGenerationRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that embeds every stored photo that the generation lacks."""
        request.catalog_id = admit(request, self._catalogs)
        answer: job_pb2.Job = await self._retriever.call(
            self._index_stub.BackfillGeneration, request
        )
        return answer

    async def VerifyGeneration(
        self, request: index_pb.VerifyGenerationRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that proves a generation."""
        request.catalog_id = admit(request, self._catalogs)
        answer: job_pb2.Job = await self._retriever.call(self._index_stub.VerifyGeneration, request)
        return answer

    async def ActivateGeneration(
        self, request: index_pb.ActivateGenerationRequest, context: Context
    ) -> index_pb.Generation:
        """Make a generation the active one of its space."""
        request.catalog_id = admit(request, self._catalogs)
        answer: index_pb.Generation = await self._retriever.call(
            self._index_stub.ActivateGeneration, request
        )
        return answer

    async def RollbackGeneration(
        self, request: index_pb.RollbackGenerationRequest, context: Context
    ) -> index_pb.Generation:
        """Make the generation before the active one active again."""
        request.catalog_id = admit(request, self._catalogs)
        answer: index_pb.Generation = await self._retriever.call(
            self._index_stub.RollbackGeneration, request
        )
        return answer

    async def DropGeneration(
        self, request: index_pb.DropGenerationRequest, context: Context
    ) -> index_pb.Generation:
        """Drop a generation that is not active."""
        request.catalog_id = admit(request, self._catalogs)
        answer: index_pb.Generation = await self._retriever.call(
            self._index_stub.DropGeneration, request
        )
        return answer

    async def ListGenerations(
        self, request: index_pb.ListGenerationsRequest, context: Context
    ) -> index_pb.ListGenerationsResponse:
        """The generations of a catalog, oldest first."""
        request.catalog_id = admit(request, self._catalogs)
        answer: index_pb.ListGenerationsResponse = await self._retriever.call(
            self._index_stub.ListGenerations, request
        )
        return answer

    async def CreateBackup(
        self, request: backup_service_pb2.CreateBackupRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that copies the catalogue."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._retriever.call(self._backups_stub.CreateBackup, request)
        return job

    async def ListBackups(
        self, request: backup_service_pb2.ListBackupsRequest, context: Context
    ) -> backup_service_pb2.ListBackupsResponse:
        """The backups of a catalog, newest first."""
        request.catalog_id = admit(request, self._catalogs)
        answer: backup_service_pb2.ListBackupsResponse = await self._retriever.call(
            self._backups_stub.ListBackups, request
        )
        return answer

    async def RestoreBackup(
        self, request: backup_service_pb2.RestoreBackupRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that restores a backup."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._retriever.call(self._backups_stub.RestoreBackup, request)
        return job

    async def RebuildIndex(
        self, request: rebuild_service_pb2.RebuildIndexRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that mends the index."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._retriever.call(self._rebuild_stub.RebuildIndex, request)
        return job

    async def FitSpace(
        self, request: fit_service_pb2.FitSpaceRequest, context: Context
    ) -> job_pb2.Job:
        """Start a job that fits a visual space on the catalogue's photos."""
        request.catalog_id = admit(request, self._catalogs)
        job: job_pb2.Job = await self._retriever.call(self._fits_stub.FitSpace, request)
        return job

    async def ListSpaces(
        self, request: embedding_pb.ListSpacesRequest, context: Context
    ) -> embedding_pb.ListSpacesResponse:
        """The spaces that are served and, if asked for, candidates and retired ones."""
        request.catalog_id = admit(request, self._catalogs)
        answer: embedding_pb.ListSpacesResponse = await self._embedder.call(
            self._embedding_stub.ListSpaces, request
        )
        return answer

    async def PromoteSpace(
        self, request: space_pb.PromoteSpaceRequest, context: Context
    ) -> embedding_pb.Space:
        """Have a fitted space served."""
        request.catalog_id = admit(request, self._catalogs)
        space: embedding_pb.Space = await self._embedder.call(
            self._spaces_stub.PromoteSpace, request
        )
        return space

    async def RetireSpace(
        self, request: space_pb.RetireSpaceRequest, context: Context
    ) -> embedding_pb.Space:
        """Take a fitted space out of service, unless a generation stands on it."""
        request.catalog_id = admit(request, self._catalogs)
        await check_unused(request.catalog_id, request.version, self._spaces, self._index)
        space: embedding_pb.Space = await self._embedder.call(
            self._spaces_stub.RetireSpace, request
        )
        return space


def _offered(state: SpaceState) -> pb.EmbedderSpace:
    return pb.EmbedderSpace(
        space=state.space,
        version=state.version,
        model=state.model,
        dimension=state.dimension,
        ready=state.ready,
        default_version=state.default,
    )


def _component(state: ComponentState) -> pb.ComponentStatus:
    status = status_pb2.Status() if state.error is None else to_status(state.error)
    return pb.ComponentStatus(
        component=state.component, status=status, latency=messages.duration(state.seconds)
    )
