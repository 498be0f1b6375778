"""The gateway's calls as they are on the wire: a message in, a message out, errors typed.

``SightlineClient`` is easier to use; this is for whoever wants the messages themselves, as the
command line does for ``--json``.
"""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import TypeVar

import grpc

from sightline.common.v1 import import_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.embedder.v1 import embedding_service_pb2 as embedding
from sightline.embedder.v1 import space_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.gateway.v1.user_event_service_pb2_grpc import UserEventServiceStub
from sightline.ranker.v1 import (
    evaluation_pb2,
    event_service_pb2,
    model_service_pb2,
    online_report_pb2,
)
from sightline.ranker.v1 import profile_service_pb2 as profile
from sightline.retriever.v1 import backup_service_pb2, fit_service_pb2, rebuild_service_pb2
from sightline.retriever.v1 import index_service_pb2 as index
from sightline_client import channel
from sightline_client.errors import SightlineError, Unavailable, from_rpc_error, make

M = TypeVar("M")


class Calls:
    """One method for each call. ``timeout`` is in seconds from now; None = no deadline."""

    def __init__(self, target: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.target = target
        self._channel = channel.connect(target, retries=True, credentials=credentials)
        self._channel_once = channel.connect(target, retries=False, credentials=credentials)
        self._recommendation = RecommendationServiceStub(self._channel)
        self._catalog = CatalogServiceStub(self._channel)
        self._catalog_once = CatalogServiceStub(self._channel_once)
        self._user_event = UserEventServiceStub(self._channel)
        self._admin = AdminServiceStub(self._channel)
        self._admin_once = AdminServiceStub(self._channel_once)
        self._jobs = JobServiceStub(self._channel)

    async def close(self) -> None:
        """Ends the connections; calls in flight are cancelled."""
        await self._channel.close(None)
        await self._channel_once.close(None)

    async def recommend(
        self, request: rec.RecommendRequest, timeout: float | None
    ) -> rec.RecommendResponse:
        """RecommendationService.Recommend."""
        return await self._answer(self._recommendation.Recommend(request, timeout=timeout))

    async def explain_recommendation(
        self, request: rec.ExplainRecommendationRequest, timeout: float | None
    ) -> rec.ExplainRecommendationResponse:
        """RecommendationService.ExplainRecommendation."""
        call = self._recommendation.ExplainRecommendation(request, timeout=timeout)
        return await self._answer(call)

    async def search(self, request: rec.SearchRequest, timeout: float | None) -> rec.SearchResponse:
        """RecommendationService.Search."""
        return await self._answer(self._recommendation.Search(request, timeout=timeout))

    async def classify(
        self, request: rec.ClassifyRequest, timeout: float | None
    ) -> rec.ClassifyResponse:
        """RecommendationService.Classify."""
        return await self._answer(self._recommendation.Classify(request, timeout=timeout))

    async def upsert_products(
        self, request: catalog.UpsertProductsRequest, timeout: float | None
    ) -> catalog.UpsertProductsResponse:
        """CatalogService.UpsertProducts; tried again only when no product carries an etag."""
        guarded = any(product.etag for product in request.products)
        stub = self._catalog_once if guarded else self._catalog
        return await self._answer(stub.UpsertProducts(request, timeout=timeout))

    async def get_product(
        self, request: catalog.GetProductRequest, timeout: float | None
    ) -> product_pb2.Product:
        """CatalogService.GetProduct."""
        return await self._answer(self._catalog.GetProduct(request, timeout=timeout))

    async def list_products(
        self, request: catalog.ListProductsRequest, timeout: float | None
    ) -> catalog.ListProductsResponse:
        """CatalogService.ListProducts: one page."""
        return await self._answer(self._catalog.ListProducts(request, timeout=timeout))

    async def delete_products(
        self, request: catalog.DeleteProductsRequest, timeout: float | None
    ) -> catalog.DeleteProductsResponse:
        """CatalogService.DeleteProducts."""
        return await self._answer(self._catalog.DeleteProducts(request, timeout=timeout))

    async def update_products(
        self, request: catalog.UpdateProductsRequest, timeout: float | None
    ) -> catalog.UpsertProductsResponse:
        """CatalogService.UpdateProducts; tried again only when no product carries an etag."""
        guarded = any(update.product.etag for update in request.updates)
        stub = self._catalog_once if guarded else self._catalog
        return await self._answer(stub.UpdateProducts(request, timeout=timeout))

    async def update_offers(
        self, request: catalog.UpdateOffersRequest, timeout: float | None
    ) -> catalog.UpdateOffersResponse:
        """CatalogService.UpdateOffers."""
        return await self._answer(self._catalog.UpdateOffers(request, timeout=timeout))

    async def purge_products(
        self, request: catalog.PurgeProductsRequest, timeout: float | None
    ) -> catalog.PurgeProductsResponse:
        """CatalogService.PurgeProducts."""
        return await self._answer(self._catalog.PurgeProducts(request, timeout=timeout))

    async def open_import(
        self, request: catalog.OpenImportRequest, timeout: float | None
    ) -> import_pb2.ImportState:
        """CatalogService.OpenImport."""
        return await self._answer(self._catalog.OpenImport(request, timeout=timeout))

    async def import_products(
        self, request: catalog.ImportProductsRequest, timeout: float | None
    ) -> catalog.ImportProductsResponse:
        """CatalogService.ImportProducts."""
        return await self._answer(self._catalog.ImportProducts(request, timeout=timeout))

    async def close_import(
        self, request: catalog.CloseImportRequest, timeout: float | None
    ) -> catalog.CloseImportResponse:
        """CatalogService.CloseImport."""
        return await self._answer(self._catalog.CloseImport(request, timeout=timeout))

    async def get_image(
        self, request: catalog.GetImageRequest, timeout: float | None
    ) -> product_pb2.ProductImage:
        """CatalogService.GetImage."""
        return await self._answer(self._catalog.GetImage(request, timeout=timeout))

    async def write_events(
        self, request: user_event.WriteEventsRequest, timeout: float | None
    ) -> user_event.WriteEventsResponse:
        """UserEventService.WriteEvents."""
        return await self._answer(self._user_event.WriteEvents(request, timeout=timeout))

    async def merge_shopper(
        self, request: user_event.MergeShopperRequest, timeout: float | None
    ) -> user_event.MergeShopperResponse:
        """UserEventService.MergeShopper."""
        return await self._answer(self._user_event.MergeShopper(request, timeout=timeout))

    async def purge_events(
        self, request: user_event.PurgeEventsRequest, timeout: float | None
    ) -> user_event.PurgeEventsResponse:
        """UserEventService.PurgeEvents."""
        return await self._answer(self._user_event.PurgeEvents(request, timeout=timeout))

    async def get_status(
        self, request: admin.GetStatusRequest, timeout: float | None
    ) -> admin.GetStatusResponse:
        """AdminService.GetStatus."""
        return await self._answer(self._admin.GetStatus(request, timeout=timeout))

    async def train_model(
        self, request: model_service_pb2.TrainModelRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.TrainModel."""
        return await self._answer(self._admin.TrainModel(request, timeout=timeout))

    async def list_models(
        self, request: model_service_pb2.ListModelsRequest, timeout: float | None
    ) -> model_service_pb2.ListModelsResponse:
        """AdminService.ListModels: one page."""
        return await self._answer(self._admin.ListModels(request, timeout=timeout))

    async def evaluate_model(
        self, request: model_service_pb2.EvaluateModelRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.EvaluateModel."""
        return await self._answer(self._admin.EvaluateModel(request, timeout=timeout))

    async def get_evaluation(
        self, request: model_service_pb2.GetEvaluationRequest, timeout: float | None
    ) -> evaluation_pb2.Evaluation:
        """AdminService.GetEvaluation."""
        return await self._answer(self._admin.GetEvaluation(request, timeout=timeout))

    async def promote_model(
        self, request: model_service_pb2.PromoteModelRequest, timeout: float | None
    ) -> model_service_pb2.Model:
        """AdminService.PromoteModel."""
        return await self._answer(self._admin.PromoteModel(request, timeout=timeout))

    async def publish_model(
        self, request: model_service_pb2.PublishModelRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.PublishModel."""
        return await self._answer(self._admin.PublishModel(request, timeout=timeout))

    async def get_online_report(
        self, request: online_report_pb2.GetOnlineReportRequest, timeout: float | None
    ) -> online_report_pb2.OnlineReport:
        """AdminService.GetOnlineReport."""
        return await self._answer(self._admin.GetOnlineReport(request, timeout=timeout))

    async def get_shopper_profile(
        self, request: profile.GetShopperProfileRequest, timeout: float | None
    ) -> profile.ShopperProfile:
        """AdminService.GetShopperProfile."""
        return await self._answer(self._admin.GetShopperProfile(request, timeout=timeout))

    async def get_product_profile(
        self, request: profile.GetProductProfileRequest, timeout: float | None
    ) -> profile.ProductProfile:
        """AdminService.GetProductProfile."""
        return await self._answer(self._admin.GetProductProfile(request, timeout=timeout))

    async def set_shopper_attributes(
        self, request: profile.SetShopperAttributesRequest, timeout: float | None
    ) -> profile.SetShopperAttributesResponse:
        """AdminService.SetShopperAttributes."""
        return await self._answer(self._admin.SetShopperAttributes(request, timeout=timeout))

    async def list_segments(
        self, request: profile.ListSegmentsRequest, timeout: float | None
    ) -> profile.ListSegmentsResponse:
        """AdminService.ListSegments."""
        return await self._answer(self._admin.ListSegments(request, timeout=timeout))

    async def export_events(
        self, request: event_service_pb2.ExportEventsRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.ExportEvents."""
        return await self._answer(self._admin.ExportEvents(request, timeout=timeout))

    async def rollback_model(
        self, request: model_service_pb2.RollbackModelRequest, timeout: float | None
    ) -> model_service_pb2.Model:
        """AdminService.RollbackModel; never tried again."""
        return await self._answer(self._admin_once.RollbackModel(request, timeout=timeout))

    async def create_generation(
        self, request: index.CreateGenerationRequest, timeout: float | None
    ) -> index.Generation:
        """AdminService.CreateGeneration; never tried again."""
        return await self._answer(self._admin_once.CreateGeneration(request, timeout=timeout))

    async def backfill_generation(
        self, request: index.BackfillGenerationRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.BackfillGeneration."""
        return await self._answer(self._admin.BackfillGeneration(request, timeout=timeout))

    async def verify_generation(
        self, request: index.VerifyGenerationRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.VerifyGeneration."""
        return await self._answer(self._admin.VerifyGeneration(request, timeout=timeout))

    async def activate_generation(
        self, request: index.ActivateGenerationRequest, timeout: float | None
    ) -> index.Generation:
        """AdminService.ActivateGeneration."""
        return await self._answer(self._admin.ActivateGeneration(request, timeout=timeout))

    async def rollback_generation(
        self, request: index.RollbackGenerationRequest, timeout: float | None
    ) -> index.Generation:
        """AdminService.RollbackGeneration; never tried again."""
        return await self._answer(self._admin_once.RollbackGeneration(request, timeout=timeout))

    async def drop_generation(
        self, request: index.DropGenerationRequest, timeout: float | None
    ) -> index.Generation:
        """AdminService.DropGeneration."""
        return await self._answer(self._admin.DropGeneration(request, timeout=timeout))

    async def list_generations(
        self, request: index.ListGenerationsRequest, timeout: float | None
    ) -> index.ListGenerationsResponse:
        """AdminService.ListGenerations."""
        return await self._answer(self._admin.ListGenerations(request, timeout=timeout))

    async def create_backup(
        self, request: backup_service_pb2.CreateBackupRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.CreateBackup."""
        return await self._answer(self._admin.CreateBackup(request, timeout=timeout))

    async def list_backups(
        self, request: backup_service_pb2.ListBackupsRequest, timeout: float | None
    ) -> backup_service_pb2.ListBackupsResponse:
        """AdminService.ListBackups: one page."""
        return await self._answer(self._admin.ListBackups(request, timeout=timeout))

    async def restore_backup(
        self, request: backup_service_pb2.RestoreBackupRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.RestoreBackup."""
        return await self._answer(self._admin.RestoreBackup(request, timeout=timeout))

    async def rebuild_index(
        self, request: rebuild_service_pb2.RebuildIndexRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.RebuildIndex."""
        return await self._answer(self._admin.RebuildIndex(request, timeout=timeout))

    async def fit_space(
        self, request: fit_service_pb2.FitSpaceRequest, timeout: float | None
    ) -> job_pb2.Job:
        """AdminService.FitSpace."""
        return await self._answer(self._admin.FitSpace(request, timeout=timeout))

    async def list_spaces(
        self, request: embedding.ListSpacesRequest, timeout: float | None
    ) -> embedding.ListSpacesResponse:
        """AdminService.ListSpaces."""
        return await self._answer(self._admin.ListSpaces(request, timeout=timeout))

    async def promote_space(
        self, request: space_service_pb2.PromoteSpaceRequest, timeout: float | None
    ) -> embedding.Space:
        """AdminService.PromoteSpace."""
        return await self._answer(self._admin.PromoteSpace(request, timeout=timeout))

    async def retire_space(
        self, request: space_service_pb2.RetireSpaceRequest, timeout: float | None
    ) -> embedding.Space:
        """AdminService.RetireSpace."""
        return await self._answer(self._admin.RetireSpace(request, timeout=timeout))

    async def list_jobs(
        self, request: job_service_pb2.ListJobsRequest, timeout: float | None
    ) -> job_service_pb2.ListJobsResponse:
        """JobService.ListJobs: one page."""
        return await self._answer(self._jobs.ListJobs(request, timeout=timeout))

    async def get_job(
        self, request: job_service_pb2.GetJobRequest, timeout: float | None
    ) -> job_pb2.Job:
        """JobService.GetJob."""
        return await self._answer(self._jobs.GetJob(request, timeout=timeout))

    async def cancel_job(
        self, request: job_service_pb2.CancelJobRequest, timeout: float | None
    ) -> job_pb2.Job:
        """JobService.CancelJob."""
        return await self._answer(self._jobs.CancelJob(request, timeout=timeout))

    async def watch_job(
        self, request: job_service_pb2.WatchJobRequest, timeout: float | None
    ) -> AsyncIterator[job_pb2.Job]:
        """JobService.WatchJob: the job at once and at every change until it has ended."""
        call = self._jobs.WatchJob(request, timeout=timeout)
        try:
            async for job in call:
                yield job
        except grpc.aio.AioRpcError as error:
            raise self._typed(error) from None
        finally:
            call.cancel()

    async def _answer(self, call: Awaitable[M]) -> M:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._typed(error) from None

    def _typed(self, error: grpc.aio.AioRpcError) -> SightlineError:
        typed = from_rpc_error(error)
        if isinstance(typed, Unavailable) and not typed.reason:
            # gRPC's own words, without details: nobody was there to say more.
            return make(
                replace(
                    typed.failure,
                    reason="GATEWAY_UNREACHABLE",
                    message=f"no gateway answers at {self.target} ({typed.message})",
                )
            )
        return typed
