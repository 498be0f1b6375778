"""A gateway with canned answers, on a real port, in threads of this process.

It keeps every request it got. ``fail`` makes the next calls of a method end with a status.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from sightline.common.v1 import (
    answer_pb2,
    event_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
)
from sightline.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    detection_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    user_event_service_pb2,
    user_event_service_pb2_grpc,
    watch_service_pb2_grpc,
    webhook_service_pb2_grpc,
)
from sightline.ranker.v1 import experiment_service_pb2 as experiments_pb
from sightline.ranker.v1 import exposure_report_pb2, online_report_pb2
from sightline.ranker.v1 import privacy_service_pb2 as privacy_pb2
from sightline.ranker.v1 import profile_service_pb2 as profile_pb2
from sightline.retriever.v1 import catalog_registry_service_pb2, index_service_pb2
from tests.fakes import evaluations
from tests.fakes.gateway_admin import Admin
from tests.fakes.gateway_catalog import Catalog, FakeImport
from tests.fakes.gateway_messages import answer, classified, detected, explanation, status, wine
from tests.fakes.gateway_watches import Watches
from tests.fakes.gateway_webhooks import Webhooks

MAX_MESSAGE_BYTES = 32 * 1024 * 1024


class FakeGateway:
    """Fake gateway that serves inside its context. Answers are attributes: change them as a test
    needs."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Set the credentials; None: plain text."""
        self.requests: dict[str, list[Any]] = defaultdict(list)
        """Method → its requests in order, failed ones included."""
        self.deadlines: dict[str, list[float | None]] = defaultdict(list)
        """Method → seconds that each call had left when it came in."""
        self.authorizations: list[str | None] = []
        """Caller named by each call; None: anonymous."""
        self.after: dict[str, tuple[int, status_pb2.Status]] = {}
        """Method → after so many calls every further one ends so."""
        self.delay = 0.0
        """Seconds before every answer."""
        self.first_delay: dict[str, float] = {}
        """Method → seconds before the answer to its first call, instead."""
        self.most_at_once: dict[str, int] = defaultdict(int)
        """Method → the most calls that were under way at the same time."""
        self._under_way: dict[str, int] = defaultdict(int)
        self._failures: dict[str, deque[status_pb2.Status]] = defaultdict(deque)
        self.recommendation = answer()
        self.explanation = explanation()
        self.search = recommendation_service_pb2.SearchResponse(
            results=[
                recommendation_service_pb2.FoundProduct(product=wine(), rank=1, similarity=0.5)
            ]
        )
        self.listing = recommendation_service_pb2.ListResponse(
            results=[recommendation_service_pb2.RecommendedProduct(product=wine(), rank=1)],
            product_count=37,
            etag="7.0",
        )
        self.values = recommendation_service_pb2.RecommendValuesResponse(
            values=[
                recommendation_service_pb2.RecommendedValue(
                    rank=1,
                    text="Casa Valduga",
                    filter_text='brand = "Casa Valduga"',
                    score=0.75,
                    products=self.recommendation.results[:1],
                    candidate_count=3,
                )
            ],
            more_count=7,
        )
        self.shelves = recommendation_service_pb2.RecommendShelvesResponse(
            shelves=[
                recommendation_service_pb2.ShelfAnswer(
                    shelf_id="for-you", recommend=self.recommendation, attribution_token="t-1"
                ),
                recommendation_service_pb2.ShelfAnswer(shelf_id="like-it", search=self.search),
                recommendation_service_pb2.ShelfAnswer(shelf_id="new", list=self.listing),
                recommendation_service_pb2.ShelfAnswer(
                    shelf_id="gone",
                    error=status(code_pb2.NOT_FOUND, "no scene", reason="SCENE_NOT_FOUND"),
                ),
            ]
        )
        self.suggested = recommendation_service_pb2.SuggestResponse(
            suggestions=[
                recommendation_service_pb2.Suggestion(
                    kind=recommendation_service_pb2.Suggestion.KIND_FACET_VALUE,
                    text="\U0001f377 Red",
                    highlights=[recommendation_service_pb2.TextRange(start=3, end=5)],
                    product_count=7,
                    field="brand",
                    filter_text='brand = "Red"',
                ),
                recommendation_service_pb2.Suggestion(
                    kind=recommendation_service_pb2.Suggestion.KIND_PRODUCT,
                    text="Reserve\x1b[2J",
                    product_id="wine-1",
                ),
            ],
            corrected=True,
        )
        self.classified = classified()
        self.detected = detected()
        self.products = {"wine-1": wine()}
        self.refused: dict[str, status_pb2.Status] = {}
        """Product or event id → why it is refused within its batch."""
        self.passing: dict[str, status_pb2.Status] = {}
        """Product id → why the next try of its import does not decide it."""
        self.distinct: set[tuple[str, str]] = set()
        """Pairs of products that were decided to be different."""
        self.stored: list[str] = []
        """Ids of the products that imports stored, in that order, each time."""
        self.photo = b"photo"
        self.events: dict[str, event_pb2.Event] = {}
        self.unanswered = 0
        """Products, rows, offers and events of every batch that get no status."""
        self.imports: dict[str, FakeImport] = {}
        self.share = 0.5
        """Share of the catalog that an import may delete without force."""
        self.pages = 1
        """Pages of an answer of Recommend."""
        self.lock = threading.Lock()
        self.replayed = recommendation_service_pb2.ReplayRecommendationResponse()
        self.scene = admin_service_pb2.SceneFile(
            scene="home",
            version="v1",
            toml="over_fetch = 3.0\n",
            warnings=[admin_service_pb2.SceneProblem(path="branches.text", text="is not used")],
        )
        self.steered_by = catalog_registry_service_pb2.STEERED_BY_FILES
        self.scene_document = admin_service_pb2.SceneDocument(
            scene="home",
            draft={"toml": "views = 2\n", "version": "v2", "author": "ann", "comment": "try"},
            versions=[{"number": 1, "toml": "views = 1\n", "version": "v1"}],
            etag="v2",
        )
        self.checked_scene = admin_service_pb2.CheckSceneResponse(valid=True, version="v2")
        self.scene_diff = admin_service_pb2.DiffSceneResponse()
        self.online_report = online_report_pb2.OnlineReport()
        self.exposure_report = exposure_report_pb2.ExposureReport()
        self.experiments = experiments_pb.ListExperimentsResponse()
        self.rejected_rows = catalog_service_pb2.ListRejectedRowsResponse()
        self.experiment_report = experiments_pb.ExperimentReport()
        self.experiment_units = iter([experiments_pb.ListExperimentUnitsResponse()])
        self.shopper_profile = profile_pb2.ShopperProfile()
        self.erasure = privacy_pb2.Erasure()
        self.consents = privacy_pb2.Consents()
        self.budget = privacy_pb2.PrivacyBudget()
        self.product_profile = profile_pb2.ProductProfile()
        self.segments = profile_pb2.ListSegmentsResponse()
        self.evaluation = evaluations.evaluation()
        self.job_states = [
            job_pb2.Job(
                job_id="ranker/1", kind="train", state=job_pb2.Job.STATE_RUNNING, done=1, total=2
            ),
            job_pb2.Job(
                job_id="ranker/1",
                kind="train",
                state=job_pb2.Job.STATE_SUCCEEDED,
                done=2,
                total=2,
                results=[job_pb2.JobResult(name="model_version", value="m1")],
            ),
        ]
        self.serves = True
        """Whether a model serves."""
        self.next_training_time = Timestamp()
        self.status = admin_service_pb2.GetStatusResponse(
            components=[admin_service_pb2.ComponentStatus(component="gateway")],
            visual_space=answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1"),
            embedder_space_version="v1",
            products=100,
            indexed_images=99,
            pending_images=1,
            failed_images=-1,
            scenes=["default"],
        )
        self.generations = {
            "visual-v1-1": index_service_pb2.Generation(
                name="visual-v1-1",
                space="visual",
                space_version="v1",
                dimension=4,
                metric=index_service_pb2.METRIC_COSINE,
                parameters=index_service_pb2.IndexParameters(
                    kind=index_service_pb2.IndexParameters.KIND_FLAT
                ),
                state=index_service_pb2.Generation.STATE_READY,
                active=True,
                indexed_count=99,
                pending_count=1,
                failed_count=-1,
            )
        }
        """Index generations by name, oldest first."""
        self.verification = index_service_pb2.Verification(
            passed=True, sample_count=9, least_agreement=1.0, recall=0.99, k=100, record_count=99
        )
        """Result of every verification."""
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=8),
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)],
        )
        free = "127.0.0.1:0"
        self.port = (
            self._server.add_insecure_port(free)
            if credentials is None
            else self._server.add_secure_port(free, credentials)
        )
        self.target = f"127.0.0.1:{self.port}"
        recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
            _Recommendations(self), self._server
        )
        detection_service_pb2_grpc.add_DetectionServiceServicer_to_server(
            _Detections(self), self._server
        )
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(Catalog(self), self._server)
        user_event_service_pb2_grpc.add_UserEventServiceServicer_to_server(
            _UserEvents(self), self._server
        )
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(Admin(self), self._server)
        job_service_pb2_grpc.add_JobServiceServicer_to_server(_Jobs(self), self._server)
        watch_service_pb2_grpc.add_WatchServiceServicer_to_server(Watches(self), self._server)
        webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(Webhooks(self), self._server)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait()

    def fail(self, method: str, *statuses: status_pb2.Status) -> None:
        """Fail the next calls of this method with these statuses, one each."""
        self._failures[method].extend(statuses)

    def take(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Keep the request, and fail the call if a failure is set."""
        with self.lock:
            self.requests[method].append(request)
            number = len(self.requests[method])
            self._under_way[method] += 1
            under_way = self._under_way[method]
            self.most_at_once[method] = max(self.most_at_once[method], under_way)
        self.deadlines[method].append(context.time_remaining())
        said = {pair[0]: str(pair[1]) for pair in context.invocation_metadata()}
        self.authorizations.append(said.get("authorization"))
        time.sleep(self.first_delay.get(method, self.delay) if number == 1 else self.delay)
        with self.lock:
            self._under_way[method] -= 1
        calls, why = self.after.get(method, (0, None))
        if why is not None and number > calls:
            self.abort(context, why)
        if self._failures[method]:
            self.abort(context, self._failures[method].popleft())

    def abort(self, context: grpc.ServicerContext, why: status_pb2.Status) -> None:
        """End the call with this status."""
        context.abort_with_status(rpc_status.to_status(why))

    def each(self, ids: list[str], store: Callable[[int], None]) -> Iterator[status_pb2.Status]:
        """Yield a status for each item of a batch, and store the valid ones."""
        for place, item_id in enumerate(ids):
            if item_id in self.refused:
                yield self.refused[item_id]
            else:
                store(place)
                yield status_pb2.Status()


class _Recommendations(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def Recommend(self, request: Any, context: Any) -> Any:
        self._gateway.take("Recommend", request, context)
        page = int(request.page_token or 1)
        answer = recommendation_service_pb2.RecommendResponse()
        answer.CopyFrom(self._gateway.recommendation)
        if page < self._gateway.pages:
            answer.next_page_token = str(page + 1)
        return answer

    def RecommendValues(self, request: Any, context: Any) -> Any:
        self._gateway.take("RecommendValues", request, context)
        return self._gateway.values

    def RecommendShelves(self, request: Any, context: Any) -> Any:
        self._gateway.take("RecommendShelves", request, context)
        return self._gateway.shelves

    def Classify(self, request: Any, context: Any) -> Any:
        self._gateway.take("Classify", request, context)
        return self._gateway.classified

    def ReplayRecommendation(self, request: Any, context: Any) -> Any:
        self._gateway.take("ReplayRecommendation", request, context)
        return self._gateway.replayed

    def ExplainRecommendation(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExplainRecommendation", request, context)
        return self._gateway.explanation

    def DrawHeatMap(self, request: Any, context: Any) -> Any:
        self._gateway.take("DrawHeatMap", request, context)
        return recommendation_service_pb2.DrawHeatMapResponse(
            png=b"a picture", similarity=0.625, unplaced=-0.125, image_id="f" * 64
        )

    def Search(self, request: Any, context: Any) -> Any:
        self._gateway.take("Search", request, context)
        return self._gateway.search

    def Suggest(self, request: Any, context: Any) -> Any:
        self._gateway.take("Suggest", request, context)
        return self._gateway.suggested

    def List(self, request: Any, context: Any) -> Any:
        self._gateway.take("List", request, context)
        page = recommendation_service_pb2.ListResponse()
        page.CopyFrom(self._gateway.listing)
        if not request.page_token:
            page.next_page_token = "second"
        return page


class _Detections(detection_service_pb2_grpc.DetectionServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def DetectProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("DetectProducts", request, context)
        return self._gateway.detected


class _UserEvents(user_event_service_pb2_grpc.UserEventServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def WriteEvents(self, request: Any, context: Any) -> Any:
        self._gateway.take("WriteEvents", request, context)
        events = self._gateway.events
        before = len(events)

        def store(place: int) -> None:
            events[request.events[place].event_id] = request.events[place]

        ids = [event.event_id for event in request.events]
        statuses = list(self._gateway.each(ids, store))
        del statuses[len(statuses) - self._gateway.unanswered :]
        stored = sum(status.code == 0 for status in statuses)
        written = len(events) - before
        return user_event_service_pb2.WriteEventsResponse(
            statuses=statuses, written_count=written, duplicate_count=stored - written
        )

    def CreateVisitor(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateVisitor", request, context)
        return user_event_service_pb2.CreateVisitorResponse(
            visitor_id="v-new", visitor_proof="proof-of-v"
        )

    def MergeShopper(self, request: Any, context: Any) -> Any:
        self._gateway.take("MergeShopper", request, context)
        return user_event_service_pb2.MergeShopperResponse(moved_count=3)

    def PurgeEvents(self, request: Any, context: Any) -> Any:
        self._gateway.take("PurgeEvents", request, context)
        response = user_event_service_pb2.PurgeEventsResponse(
            event_count=7, job=self._gateway.job_states[0] if request.force else None
        )
        response.first_event_time.FromSeconds(1_600_000_000)
        response.last_event_time.FromSeconds(1_700_000_000)
        return response


class _Jobs(job_service_pb2_grpc.JobServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def GetJob(self, request: job_service_pb2.GetJobRequest, context: Any) -> Any:
        self._gateway.take("GetJob", request, context)
        return self._gateway.job_states[-1]

    def ListJobs(self, request: job_service_pb2.ListJobsRequest, context: Any) -> Any:
        self._gateway.take("ListJobs", request, context)
        return job_service_pb2.ListJobsResponse(jobs=self._gateway.job_states[-1:])

    def CancelJob(self, request: job_service_pb2.CancelJobRequest, context: Any) -> Any:
        self._gateway.take("CancelJob", request, context)
        return job_pb2.Job(job_id=request.job_id, state=job_pb2.Job.STATE_CANCELLED)

    def WatchJob(self, request: job_service_pb2.WatchJobRequest, context: Any) -> Any:
        self._gateway.take("WatchJob", request, context)
        for job in self._gateway.job_states:
            yield job
            if self._gateway._failures["WatchJob mid-stream"]:
                failure = self._gateway._failures["WatchJob mid-stream"].popleft()
                self._gateway.abort(context, failure)
