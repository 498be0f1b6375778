"""A gateway with canned answers, on a real port, in threads of this process.

It keeps every request it got. ``fail`` makes the next calls of a method end with a status.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from sightline.common.v1 import (
    answer_pb2,
    event_pb2,
    filter_pb2,
    import_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    photo_pb2,
    product_pb2,
)
from sightline.embedder.v1 import embedding_service_pb2, space_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    user_event_service_pb2,
    user_event_service_pb2_grpc,
)
from sightline.ranker.v1 import model_service_pb2, online_report_pb2, recipe_pb2
from sightline.ranker.v1 import profile_service_pb2 as profile_pb2
from sightline.retriever.v1 import backup_service_pb2, index_service_pb2
from tests.fakes import evaluations

MAX_MESSAGE_BYTES = 32 * 1024 * 1024


def status(
    code: int,
    message: str,
    *,
    reason: str = "",
    violations: tuple[tuple[str, str], ...] = (),
    retry_after: timedelta | None = None,
) -> status_pb2.Status:
    """A status as the suite sends it."""
    details: list[AnyMessage] = []

    def add(detail: Any) -> None:
        packed = AnyMessage()
        packed.Pack(detail)
        details.append(packed)

    if reason:
        add(error_details_pb2.ErrorInfo(reason=reason, domain="sightline", metadata={"by": "fake"}))
    if violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in violations
        ]
        add(error_details_pb2.BadRequest(field_violations=fields))
    if retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(retry_after)
        add(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(code=code, message=message, details=details)


FITTED = embedding_service_pb2.Space(
    space="visual",
    version="f" * 16,
    model="visual_0123456789ab",
    dimension=80,
    catalog_id="default",
    state=space_pb2.SPACE_STATE_CANDIDATE,
    takes_texts=True,
    shopper_views=1,
    catalogue_views=4,
    category_count=7,
    evaluation=space_pb2.SpaceEvaluation(
        verdict=space_pb2.SpaceEvaluation.VERDICT_INCONCLUSIVE,
        text="too few photos to tell",
        figures=[
            space_pb2.Figure(
                name="1-NN",
                value=0.819,
                low=0.8,
                high=0.84,
                baseline=0.647,
                gain_low=-0.01,
                gain_high=0.3,
                queries=296,
            ),
            space_pb2.Figure(name="text hit@10", value=0.5, low=0.4, high=0.6, queries=9),
        ],
        baseline_model="efficientnet_lite0",
        photos=2640,
        products=81,
        categories=7,
    ),
)
"""A space that was fitted."""


def wine(product_id: str = "wine-1", title: str = "Barolo") -> product_pb2.Product:
    """A product with everything set."""
    product = product_pb2.Product(
        product_id=product_id,
        title=title,
        category_path=["Wine", "Red"],
        brand="Aurora",
        availability=product_pb2.AVAILABILITY_IN_STOCK,
        tags=["Beef"],
        attributes=[
            product_pb2.Attribute(key="country", text="Italy"),
            product_pb2.Attribute(key="abv", number=13.5),
            product_pb2.Attribute(key="organic", flag=True),
        ],
        images=[product_pb2.ProductImage(image_id="a" * 64, media_type="image/jpeg", width=3)],
        language_code="en",
        etag="e1",
    )
    product.price.currency_code = "EUR"
    product.price.units = 12
    product.price.nanos = 500_000_000
    product.create_time.FromSeconds(1_600_000_000)
    return product


def answer() -> recommendation_service_pb2.RecommendResponse:
    """An answer with everything set."""
    response = recommendation_service_pb2.RecommendResponse(
        results=[
            recommendation_service_pb2.RecommendedProduct(
                product=wine(),
                rank=1,
                raw_score=1.25,
                parts=[
                    answer_pb2.ScorePart(name="visual", value=1.0),
                    answer_pb2.ScorePart(name="session", value=0.25),
                ],
                reasons=[
                    answer_pb2.Reason(
                        code="LOOKS_LIKE_QUERY",
                        text="Looks like your photo",
                        parameters=[answer_pb2.ReasonParameter(name="signal", value="0")],
                    )
                ],
                matched_image_id="a" * 64,
                branches=["visual"],
            )
        ],
        degradations=[
            answer_pb2.Degradation(
                stage="rank",
                cause=answer_pb2.Degradation.CAUSE_RANKER_UNAVAILABLE,
                substitute="order of similarity",
            )
        ],
        versions=answer_pb2.Versions(
            spaces=[answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1")],
            model_version="m1",
            scene="default",
            scene_version="s1",
            plan="visual → rank",
            service_version="0.7.0",
        ),
        missing_product_ids=["gone"],
        hidden_count=2,
        attribution_token="token",
        request_id="request-1",
    )
    timing = response.stage_timings.add(stage="embed")
    timing.start.FromMilliseconds(1)
    timing.total.FromMilliseconds(12)
    timing.work.FromMilliseconds(10)
    response.freshness.index_token = "i1"
    response.freshness.pending = 3
    response.freshness.index_lag.FromMilliseconds(1500)
    response.freshness.index_time_micros = 1_600_000_000_000_000
    return response


def classified() -> recommendation_service_pb2.ClassifyResponse:
    """An answer of Classify."""
    red = photo_pb2.CategoryGuess(category_path=["Wine", "Red"], probability=0.875)
    box = photo_pb2.Box(left=0.25, top=0, right=0.75, bottom=1)
    return recommendation_service_pb2.ClassifyResponse(
        classification=photo_pb2.Classification(
            guesses=[red], unknown_probability=0.0625, sure=red, space_version="v1"
        ),
        proposals=[
            recommendation_service_pb2.FilterProposal(
                text='category = "Wine > Red"', probability=0.875
            )
        ],
        subject=photo_pb2.Subject(box=box, alternatives=[photo_pb2.Box(right=1, bottom=0.5)]),
        request_id="r1",
    )


def explanation() -> recommendation_service_pb2.ExplainRecommendationResponse:
    """Why a product is outranked, with everything set."""
    pb = recommendation_service_pb2
    score = pb.ExplainedScore(
        product_id="wine-2",
        raw_score=0.75,
        parts=[
            answer_pb2.ScorePart(
                name="taste",
                value=0.75,
                features=[
                    answer_pb2.ScoreFeature(name="brand=Aurora", value=1.0),
                    answer_pb2.ScoreFeature(name="other", value=-0.25),
                ],
            )
        ],
        score_rank=3,
        moves=[answer_pb2.Move(cause=answer_pb2.Move.CAUSE_BRAND_CAP, places=-9)],
        reasons=[answer_pb2.Reason(code="MATCHES_TASTE", text="Fits your taste")],
    )
    return pb.ExplainRecommendationResponse(
        outcome=pb.ExplainRecommendationResponse.OUTCOME_OUTRANKED,
        text="It stands at place 12.",
        product=wine("wine-2", "Nebbiolo"),
        rejection=pb.FilterRejection(
            path="filter.comparison", condition="price < 10 EUR", held=["price: 12.50 EUR"]
        ),
        collapsed_into_product_id="wine-1",
        branches=[
            pb.BranchVerdict(
                branch="visual",
                signal=0,
                named=True,
                named_count=100,
                similarity=0.5,
                last_similarity=0.25,
            ),
            pb.BranchVerdict(branch="collaborative", named_count=7),
        ],
        rank=12,
        score=score,
        last_shown=pb.ExplainedScore(product_id="wine-1", raw_score=1.0),
        degradations=answer().degradations,
        versions=answer().versions,
        request_id="request-1",
    )


def passes(condition: filter_pb2.Filter, product: product_pb2.Product) -> bool:
    """Enough of the filter's meaning for tests: equality of brands, joined."""
    if condition.HasField("comparison"):
        return product.brand == condition.comparison.value.text
    return all(passes(part, product) for part in condition.all.filters)


class FakeImport:
    """An import as the suite keeps it: what each row was decided to be."""

    def __init__(self, import_id: str, mode: int) -> None:
        self.import_id = import_id
        self.mode = mode
        self.decided: dict[int, catalog_service_pb2.UpsertResult] = {}
        self.held: set[str] = set()
        self.closed = False

    def state(self) -> import_pb2.ImportState:
        """Rows 1 to ``rows_done`` are decided; later ones may be."""
        done = 0
        while done + 1 in self.decided:
            done += 1
        refused = sum(result.status.code != 0 for result in self.decided.values())
        return import_pb2.ImportState(
            import_id=self.import_id,
            mode=self.mode,  # type: ignore[arg-type]
            rows_done=done,
            stored_count=len(self.decided) - refused,
            refused_count=refused,
            closed=self.closed,
        )


class FakeGateway:
    """Serves while it is entered. Answers are attributes: change them as a test needs."""

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        """Method → its requests in order, failed ones included."""
        self.deadlines: dict[str, list[float | None]] = defaultdict(list)
        """Method → seconds that each call had left when it came in."""
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
        self.classified = classified()
        self.products = {"wine-1": wine()}
        self.refused: dict[str, status_pb2.Status] = {}
        """Product or event id → why it is refused within its batch."""
        self.passing: dict[str, status_pb2.Status] = {}
        """Product id → why the next try of its import does not decide it."""
        self.stored: list[str] = []
        """Ids of the products that imports stored, in that order, each time."""
        self.photo = b"photo"
        self.events: dict[str, event_pb2.Event] = {}
        self.unanswered = 0
        """Products, rows, offers and events of every batch that get no status."""
        self.imports: dict[str, FakeImport] = {}
        self.share = 0.5
        """Of the catalog that an import may delete without force."""
        self.pages = 1
        """Pages of an answer of Recommend."""
        self.lock = threading.Lock()
        self.online_report = online_report_pb2.OnlineReport()
        self.shopper_profile = profile_pb2.ShopperProfile()
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
        """What every verification finds."""
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=8),
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)],
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.target = f"127.0.0.1:{self.port}"
        recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
            _Recommendations(self), self._server
        )
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(_Catalog(self), self._server)
        user_event_service_pb2_grpc.add_UserEventServiceServicer_to_server(
            _UserEvents(self), self._server
        )
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(_Admin(self), self._server)
        job_service_pb2_grpc.add_JobServiceServicer_to_server(_Jobs(self), self._server)

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
        """The next calls of this method end so, one each."""
        self._failures[method].extend(statuses)

    def take(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Keeps the request and fails the call when it is to."""
        with self.lock:
            self.requests[method].append(request)
            number = len(self.requests[method])
            self._under_way[method] += 1
            under_way = self._under_way[method]
            self.most_at_once[method] = max(self.most_at_once[method], under_way)
        self.deadlines[method].append(context.time_remaining())
        time.sleep(self.first_delay.get(method, self.delay) if number == 1 else self.delay)
        with self.lock:
            self._under_way[method] -= 1
        calls, why = self.after.get(method, (0, None))
        if why is not None and number > calls:
            self.abort(context, why)
        if self._failures[method]:
            self.abort(context, self._failures[method].popleft())

    def abort(self, context: grpc.ServicerContext, why: status_pb2.Status) -> None:
        """Ends the call with this status."""
        context.abort_with_status(rpc_status.to_status(why))

    def each(self, ids: list[str], store: Callable[[int], None]) -> Iterator[status_pb2.Status]:
        """A status for each item of a batch, the good ones being stored."""
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

    def Classify(self, request: Any, context: Any) -> Any:
        self._gateway.take("Classify", request, context)
        return self._gateway.classified

    def ExplainRecommendation(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExplainRecommendation", request, context)
        return self._gateway.explanation

    def Search(self, request: Any, context: Any) -> Any:
        self._gateway.take("Search", request, context)
        return self._gateway.search


class _Catalog(catalog_service_pb2_grpc.CatalogServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def UpsertProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpsertProducts", request, context)
        products = self._gateway.products

        def store(place: int) -> None:
            products[request.products[place].product_id] = request.products[place]

        ids = [product.product_id for product in request.products]
        results = [
            catalog_service_pb2.UpsertResult(status=status, product_id=product_id, etag="e2")
            for product_id, status in zip(ids, self._gateway.each(ids, store), strict=True)
        ]
        del results[len(results) - self._gateway.unanswered :]
        calls = len(self._gateway.requests["UpsertProducts"])
        return catalog_service_pb2.UpsertProductsResponse(results=results, index_token=f"i{calls}")

    def GetProduct(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetProduct", request, context)
        if request.product_id not in self._gateway.products:
            missing = status(code_pb2.NOT_FOUND, "no such product", reason="PRODUCT_NOT_FOUND")
            self._gateway.abort(context, missing)
        return self._gateway.products[request.product_id]

    def UpdateProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateProducts", request, context)
        ids = [update.product.product_id for update in request.updates]
        results = [
            catalog_service_pb2.UpsertResult(status=status, product_id=product_id, etag="e3")
            for product_id, status in zip(ids, self._gateway.each(ids, int), strict=True)
        ]
        del results[len(results) - self._gateway.unanswered :]
        return catalog_service_pb2.UpsertProductsResponse(results=results, index_token="i1")

    def UpdateOffers(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateOffers", request, context)
        statuses = []
        for offer in request.offers:
            product = self._gateway.products.get(offer.product_id)
            if product is None:
                missing = status(code_pb2.NOT_FOUND, "no such product", reason="PRODUCT_NOT_FOUND")
                statuses.append(missing)
                continue
            if offer.HasField("price"):
                product.price.CopyFrom(offer.price)
            product.availability = offer.availability or product.availability
            statuses.append(status_pb2.Status())
        del statuses[len(statuses) - self._gateway.unanswered :]
        return catalog_service_pb2.UpdateOffersResponse(statuses=statuses, index_token="i5")

    def PurgeProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("PurgeProducts", request, context)
        products = self._gateway.products
        ids = sorted(key for key, value in products.items() if passes(request.filter, value))
        job = self._gateway.job_states[0] if request.force else None
        for product_id in ids if request.force else ():
            del products[product_id]
        return catalog_service_pb2.PurgeProductsResponse(
            product_count=len(ids), sample_product_ids=ids[:20], job=job
        )

    def OpenImport(self, request: Any, context: Any) -> Any:
        self._gateway.take("OpenImport", request, context)
        with self._gateway.lock:
            known = self._gateway.imports.setdefault(
                request.import_id, FakeImport(request.import_id, request.mode)
            )
        return known.state()

    def ImportProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ImportProducts", request, context)
        known = self._gateway.imports[request.import_id]
        if known.closed:
            self._gateway.abort(
                context, status(code_pb2.FAILED_PRECONDITION, "closed", reason="IMPORT_CLOSED")
            )
        with self._gateway.lock:
            results = [self._decide(known, row) for row in request.rows]
            del results[len(results) - self._gateway.unanswered :]
            return catalog_service_pb2.ImportProductsResponse(
                results=results, state=known.state(), index_token="i7"
            )

    def _decide(self, known: FakeImport, row: Any) -> catalog_service_pb2.UpsertResult:
        if row.row_number in known.decided:
            return known.decided[row.row_number]
        product = row.product
        known.held.add(product.product_id)
        result = catalog_service_pb2.UpsertResult(product_id=product.product_id)
        if product.product_id in self._gateway.passing:
            result.status.CopyFrom(self._gateway.passing.pop(product.product_id))
            return result
        if product.product_id in self._gateway.refused:
            result.status.CopyFrom(self._gateway.refused[product.product_id])
        elif not product.title:
            result.status.CopyFrom(
                status(code_pb2.INVALID_ARGUMENT, "no title", reason="PRODUCT_INVALID")
            )
        else:
            self._gateway.products[product.product_id] = product
            self._gateway.stored.append(product.product_id)
        known.decided[row.row_number] = result
        return result

    def CloseImport(self, request: Any, context: Any) -> Any:
        self._gateway.take("CloseImport", request, context)
        known = self._gateway.imports[request.import_id]
        products = self._gateway.products
        gone = (
            sorted(set(products) - known.held) if known.mode == import_pb2.IMPORT_MODE_FULL else []
        )
        if not request.dry_run:
            if len(gone) > self._gateway.share * len(products) and not request.force:
                why = status(
                    code_pb2.FAILED_PRECONDITION, "too much", reason="IMPORT_DELETES_TOO_MUCH"
                )
                self._gateway.abort(context, why)
            known.closed = True
            for product_id in gone:
                del products[product_id]
        deletes = gone and not request.dry_run
        return catalog_service_pb2.CloseImportResponse(
            state=known.state(),
            delete_count=len(gone),
            sample_product_ids=gone[:20],
            job=self._gateway.job_states[0] if deletes else None,
        )

    def ListProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListProducts", request, context)
        ids = sorted(self._gateway.products)
        place = int(request.page_token or 0)
        if not ids:
            return catalog_service_pb2.ListProductsResponse()
        return catalog_service_pb2.ListProductsResponse(
            products=[self._gateway.products[ids[place]]],
            next_page_token=str(place + 1) if place + 1 < len(ids) else "",
        )

    def DeleteProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteProducts", request, context)
        found = [self._gateway.products.pop(key, None) for key in request.product_ids]
        count = sum(product is not None for product in found)
        return catalog_service_pb2.DeleteProductsResponse(deleted_count=count, index_token="i9")

    def GetImage(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetImage", request, context)
        return product_pb2.ProductImage(image_id=request.image_id, content=self._gateway.photo)


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


def _trained(model: model_service_pb2.Model) -> None:
    """How it was trained, as a release tells that keeps it."""
    model.recipe.loss = recipe_pb2.Recipe.LOSS_WARP
    model.recipe.dimension = 64
    model.recipe.style_dimension = 0
    model.recipe.attribute_keys.append("grape")
    model.recipe.item_item = 99  # of a newer release
    model.blend.add(part="session", weight=1.5)
    model.blend_learned_from = "validation"
    model.base_version = "m0"
    model.search_trial_count = 12
    model.additions.add(
        part="user_ids",
        metric="ndcg@10",
        with_it=0.25,
        without=0.26,
        addition=-0.01,
        low=-0.02,
        high=0.005,
        shopper_count=900,
        verdict=recipe_pb2.PartAddition.VERDICT_NOTHING,
    )


class _Admin(admin_service_pb2_grpc.AdminServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def GetStatus(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetStatus", request, context)
        return self._gateway.status

    def TrainModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("TrainModel", request, context)
        return self._gateway.job_states[0]

    def ListModels(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListModels", request, context)
        page = int(request.page_token or 0)
        model = model_service_pb2.Model(
            model_version=f"m{page}",
            state=model_service_pb2.Model.STATE_PROMOTED
            if page == 0
            else model_service_pb2.Model.STATE_READY,
            metrics=[model_service_pb2.ModelMetric(name="ndcg@10", value=0.5, sample_count=7)],
        )
        if page == 1:
            _trained(model)
        return model_service_pb2.ListModelsResponse(
            models=[model], next_page_token="1" if page == 0 else ""
        )

    def EvaluateModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("EvaluateModel", request, context)
        return self._gateway.job_states[0]

    def GetEvaluation(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetEvaluation", request, context)
        return self._gateway.evaluation

    def PromoteModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("PromoteModel", request, context)
        return model_service_pb2.Model(
            model_version=request.model_version, state=model_service_pb2.Model.STATE_PROMOTED
        )

    def PublishModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("PublishModel", request, context)
        return self._gateway.job_states[0]

    def ExportEvents(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExportEvents", request, context)
        return self._gateway.job_states[0]

    def GetOnlineReport(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetOnlineReport", request, context)
        return self._gateway.online_report

    def GetShopperProfile(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetShopperProfile", request, context)
        return self._gateway.shopper_profile

    def GetProductProfile(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetProductProfile", request, context)
        return self._gateway.product_profile

    def SetShopperAttributes(self, request: Any, context: Any) -> Any:
        self._gateway.take("SetShopperAttributes", request, context)
        kept = len(request.attributes)
        return profile_pb2.SetShopperAttributesResponse(kept_count=kept, former_count=1)

    def ListSegments(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListSegments", request, context)
        return self._gateway.segments

    def RollbackModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("RollbackModel", request, context)
        return model_service_pb2.Model(
            model_version="m0", state=model_service_pb2.Model.STATE_PROMOTED
        )

    def DemoteModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("DemoteModel", request, context)
        return model_service_pb2.Model(
            model_version="m7", state=model_service_pb2.Model.STATE_READY
        )

    def CreateGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateGeneration", request, context)
        made = index_service_pb2.Generation(
            name=request.name or f"visual-{request.space_version}-1",
            space=request.space or "visual",
            space_version=request.space_version,
            dimension=4,
            metric=request.metric,
            parameters=request.parameters,
            state=index_service_pb2.Generation.STATE_BUILDING,
        )
        if made.name in self._gateway.generations:
            exists = status(code_pb2.ALREADY_EXISTS, "is there", reason="GENERATION_EXISTS")
            self._gateway.abort(context, exists)
        self._gateway.generations[made.name] = made
        return made

    def BackfillGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("BackfillGeneration", request, context)
        found = self._generation(request.name, context)
        if self._gateway.job_states[-1].state == job_pb2.Job.STATE_SUCCEEDED:
            found.state = index_service_pb2.Generation.STATE_READY
        return self._gateway.job_states[0]

    def VerifyGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("VerifyGeneration", request, context)
        found = self._generation(request.name, context)
        found.verification.CopyFrom(self._gateway.verification)
        return self._gateway.job_states[0]

    def ActivateGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("ActivateGeneration", request, context)
        found = self._generation(request.name, context)
        if not found.verification.passed and not request.force:
            why = status(code_pb2.FAILED_PRECONDITION, "no", reason="GENERATION_NOT_VERIFIED")
            self._gateway.abort(context, why)
        found.forced = not found.verification.passed
        return self._make_active(found)

    def RollbackGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("RollbackGeneration", request, context)
        for each in self._gateway.generations.values():
            if each.previous:
                return self._make_active(each)
        why = status(code_pb2.FAILED_PRECONDITION, "none before", reason="ROLLBACK_UNAVAILABLE")
        return self._gateway.abort(context, why)

    def DropGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("DropGeneration", request, context)
        found = self._generation(request.name, context)
        if found.active:
            active = status(code_pb2.FAILED_PRECONDITION, "in use", reason="GENERATION_ACTIVE")
            self._gateway.abort(context, active)
        found.state = index_service_pb2.Generation.STATE_DROPPED
        return found

    def ListGenerations(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListGenerations", request, context)
        dropped = index_service_pb2.Generation.STATE_DROPPED
        return index_service_pb2.ListGenerationsResponse(
            generations=[
                each
                for each in self._gateway.generations.values()
                if request.space in ("", each.space)
                and (request.include_dropped or each.state != dropped)
            ]
        )

    def _generation(self, name: str, context: Any) -> index_service_pb2.Generation:
        if name not in self._gateway.generations:
            missing = status(code_pb2.NOT_FOUND, "no such one", reason="GENERATION_NOT_FOUND")
            self._gateway.abort(context, missing)
        return self._gateway.generations[name]

    def _make_active(self, found: index_service_pb2.Generation) -> index_service_pb2.Generation:
        for each in self._gateway.generations.values():
            each.previous, each.active = each.active and each is not found, each is found
        found.activate_time.FromSeconds(1_700_000_000)
        return found

    def CreateBackup(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateBackup", request, context)
        return self._gateway.job_states[0]

    def ListBackups(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListBackups", request, context)
        page = int(request.page_token or 0)
        backup = backup_service_pb2.Backup(
            backup_id=f"b{page}", catalog_id="default", size=2_500_000, product_count=7
        )
        if page:
            backup = backup_service_pb2.Backup(
                backup_id="b1",
                status=status(code_pb2.DATA_LOSS, "cut off", reason="BACKUP_DAMAGED"),
            )
        return backup_service_pb2.ListBackupsResponse(
            backups=[backup], next_page_token="1" if page == 0 else ""
        )

    def RestoreBackup(self, request: Any, context: Any) -> Any:
        self._gateway.take("RestoreBackup", request, context)
        return self._gateway.job_states[0]

    def RebuildIndex(self, request: Any, context: Any) -> Any:
        self._gateway.take("RebuildIndex", request, context)
        return self._gateway.job_states[0]

    def FitSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("FitSpace", request, context)
        return self._gateway.job_states[0]

    def ListSpaces(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListSpaces", request, context)
        shelf = embedding_service_pb2.Space(
            space="visual",
            version="v1",
            model="efficientnet_lite0",
            dimension=1280,
            ready=True,
            default_version=True,
            state=space_pb2.SPACE_STATE_SERVING,
        )
        fitted = [FITTED] if request.include_all else []
        return embedding_service_pb2.ListSpacesResponse(spaces=[shelf, *fitted])

    def PromoteSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("PromoteSpace", request, context)
        if not request.force:
            why = status(code_pb2.FAILED_PRECONDITION, "not proven", reason="PROMOTION_REFUSED")
            self._gateway.abort(context, why)
        promoted = embedding_service_pb2.Space(ready=True, forced=True)
        promoted.MergeFrom(FITTED)
        promoted.state = space_pb2.SPACE_STATE_SERVING
        return promoted

    def RetireSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("RetireSpace", request, context)
        retired = embedding_service_pb2.Space()
        retired.MergeFrom(FITTED)
        retired.state = space_pb2.SPACE_STATE_RETIRED
        return retired


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
