"""The gateway's calls as they are on the wire: a message in, a message out, errors typed.

``SightlineClient`` is easier to use; this is for whoever wants the messages themselves, as the
command line does for ``--json``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message

from sightline.common.v1 import import_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.embedder.v1 import embedding_service_pb2 as embedding
from sightline.embedder.v1 import space_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.ranker.v1 import (
    evaluation_pb2,
    event_service_pb2,
    model_service_pb2,
    online_report_pb2,
)
from sightline.ranker.v1 import profile_service_pb2 as profile
from sightline.retriever.v1 import backup_service_pb2, fit_service_pb2, rebuild_service_pb2
from sightline.retriever.v1 import index_service_pb2 as index
from sightline_client.errors import SightlineError, Unavailable, from_rpc_error, make
from sightline_client.transport import channel

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

RECOMMENDATION = "sightline.gateway.v1.RecommendationService"
CATALOG = "sightline.gateway.v1.CatalogService"
EVENTS = "sightline.gateway.v1.UserEventService"
ADMIN = "sightline.gateway.v1.AdminService"
JOBS = "sightline.common.v1.JobService"


def _never(_: Message) -> bool:
    return False


def _always(_: Message) -> bool:
    return True


class Unary(Generic[Q, A]):
    """A call of a service, by its messages; its method is the attribute's name in CamelCase."""

    def __init__(
        self, service: str, request: type[Q], answer: type[A], once: Callable[[Q], bool] = _never
    ) -> None:
        """``once`` says whether a request is never tried again by itself."""
        self.service, self.request, self.answer, self.once = service, request, answer, once

    def __set_name__(self, owner: type, name: str) -> None:
        self.method = "".join(word.capitalize() for word in name.split("_"))

    def __get__(
        self, calls: "Calls", owner: type | None = None
    ) -> Callable[[Q, float | None], Awaitable[A]]:
        async def call(request: Q, timeout: float | None) -> A:
            channel = calls.channel_once if self.once(request) else calls.channel
            method = channel.unary_unary(
                f"/{self.service}/{self.method}",
                request_serializer=self.request.SerializeToString,
                response_deserializer=self.answer.FromString,
            )
            try:
                answer: A = await method(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                raise calls.typed(error) from None
            return answer

        return call


class Calls:
    """One method for each call. ``timeout`` is in seconds from now; None = no deadline."""

    recommend = Unary(RECOMMENDATION, rec.RecommendRequest, rec.RecommendResponse)
    explain_recommendation = Unary(
        RECOMMENDATION, rec.ExplainRecommendationRequest, rec.ExplainRecommendationResponse
    )
    search = Unary(RECOMMENDATION, rec.SearchRequest, rec.SearchResponse)
    classify = Unary(RECOMMENDATION, rec.ClassifyRequest, rec.ClassifyResponse)
    upsert_products = Unary(
        CATALOG,
        catalog.UpsertProductsRequest,
        catalog.UpsertProductsResponse,
        once=lambda request: any(product.etag for product in request.products),
    )
    get_product = Unary(CATALOG, catalog.GetProductRequest, product_pb2.Product)
    list_products = Unary(CATALOG, catalog.ListProductsRequest, catalog.ListProductsResponse)
    delete_products = Unary(CATALOG, catalog.DeleteProductsRequest, catalog.DeleteProductsResponse)
    update_products = Unary(
        CATALOG,
        catalog.UpdateProductsRequest,
        catalog.UpsertProductsResponse,
        once=lambda request: any(update.product.etag for update in request.updates),
    )
    update_offers = Unary(CATALOG, catalog.UpdateOffersRequest, catalog.UpdateOffersResponse)
    purge_products = Unary(CATALOG, catalog.PurgeProductsRequest, catalog.PurgeProductsResponse)
    open_import = Unary(CATALOG, catalog.OpenImportRequest, import_pb2.ImportState)
    import_products = Unary(CATALOG, catalog.ImportProductsRequest, catalog.ImportProductsResponse)
    close_import = Unary(CATALOG, catalog.CloseImportRequest, catalog.CloseImportResponse)
    get_image = Unary(CATALOG, catalog.GetImageRequest, product_pb2.ProductImage)
    write_events = Unary(EVENTS, user_event.WriteEventsRequest, user_event.WriteEventsResponse)
    merge_shopper = Unary(EVENTS, user_event.MergeShopperRequest, user_event.MergeShopperResponse)
    purge_events = Unary(EVENTS, user_event.PurgeEventsRequest, user_event.PurgeEventsResponse)
    get_status = Unary(ADMIN, admin.GetStatusRequest, admin.GetStatusResponse)
    train_model = Unary(ADMIN, model_service_pb2.TrainModelRequest, job_pb2.Job)
    list_models = Unary(
        ADMIN, model_service_pb2.ListModelsRequest, model_service_pb2.ListModelsResponse
    )
    evaluate_model = Unary(ADMIN, model_service_pb2.EvaluateModelRequest, job_pb2.Job)
    get_evaluation = Unary(ADMIN, model_service_pb2.GetEvaluationRequest, evaluation_pb2.Evaluation)
    promote_model = Unary(ADMIN, model_service_pb2.PromoteModelRequest, model_service_pb2.Model)
    publish_model = Unary(ADMIN, model_service_pb2.PublishModelRequest, job_pb2.Job)
    get_online_report = Unary(
        ADMIN, online_report_pb2.GetOnlineReportRequest, online_report_pb2.OnlineReport
    )
    get_shopper_profile = Unary(ADMIN, profile.GetShopperProfileRequest, profile.ShopperProfile)
    get_product_profile = Unary(ADMIN, profile.GetProductProfileRequest, profile.ProductProfile)
    set_shopper_attributes = Unary(
        ADMIN, profile.SetShopperAttributesRequest, profile.SetShopperAttributesResponse
    )
    list_segments = Unary(ADMIN, profile.ListSegmentsRequest, profile.ListSegmentsResponse)
    export_events = Unary(ADMIN, event_service_pb2.ExportEventsRequest, job_pb2.Job)
    rollback_model = Unary(
        ADMIN, model_service_pb2.RollbackModelRequest, model_service_pb2.Model, once=_always
    )
    demote_model = Unary(
        ADMIN, model_service_pb2.DemoteModelRequest, model_service_pb2.Model, once=_always
    )
    create_generation = Unary(ADMIN, index.CreateGenerationRequest, index.Generation, once=_always)
    backfill_generation = Unary(ADMIN, index.BackfillGenerationRequest, job_pb2.Job)
    verify_generation = Unary(ADMIN, index.VerifyGenerationRequest, job_pb2.Job)
    activate_generation = Unary(ADMIN, index.ActivateGenerationRequest, index.Generation)
    rollback_generation = Unary(
        ADMIN, index.RollbackGenerationRequest, index.Generation, once=_always
    )
    drop_generation = Unary(ADMIN, index.DropGenerationRequest, index.Generation)
    list_generations = Unary(ADMIN, index.ListGenerationsRequest, index.ListGenerationsResponse)
    create_backup = Unary(ADMIN, backup_service_pb2.CreateBackupRequest, job_pb2.Job)
    list_backups = Unary(
        ADMIN, backup_service_pb2.ListBackupsRequest, backup_service_pb2.ListBackupsResponse
    )
    restore_backup = Unary(ADMIN, backup_service_pb2.RestoreBackupRequest, job_pb2.Job)
    rebuild_index = Unary(ADMIN, rebuild_service_pb2.RebuildIndexRequest, job_pb2.Job)
    fit_space = Unary(ADMIN, fit_service_pb2.FitSpaceRequest, job_pb2.Job)
    list_spaces = Unary(ADMIN, embedding.ListSpacesRequest, embedding.ListSpacesResponse)
    promote_space = Unary(ADMIN, space_service_pb2.PromoteSpaceRequest, embedding.Space)
    retire_space = Unary(ADMIN, space_service_pb2.RetireSpaceRequest, embedding.Space)
    list_jobs = Unary(JOBS, job_service_pb2.ListJobsRequest, job_service_pb2.ListJobsResponse)
    get_job = Unary(JOBS, job_service_pb2.GetJobRequest, job_pb2.Job)
    cancel_job = Unary(JOBS, job_service_pb2.CancelJobRequest, job_pb2.Job)

    def __init__(self, target: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.target = target
        self.channel = channel.connect(target, retries=True, credentials=credentials)
        self.channel_once = channel.connect(target, retries=False, credentials=credentials)
        self._jobs = JobServiceStub(self.channel)

    async def close(self) -> None:
        """Ends the connections; calls in flight are cancelled."""
        await self.channel.close(None)
        await self.channel_once.close(None)

    async def watch_job(
        self, request: job_service_pb2.WatchJobRequest, timeout: float | None
    ) -> AsyncIterator[job_pb2.Job]:
        """JobService.WatchJob: the job at once and at every change until it has ended."""
        call = self._jobs.WatchJob(request, timeout=timeout)
        try:
            async for job in call:
                yield job
        except grpc.aio.AioRpcError as error:
            raise self.typed(error) from None
        finally:
            call.cancel()

    def typed(self, error: grpc.aio.AioRpcError) -> SightlineError:
        """What a failed call raises."""
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
