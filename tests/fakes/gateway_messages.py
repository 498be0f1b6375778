"""Messages that a gateway with canned answers sends, with everything set."""

from datetime import timedelta
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from sightline.common.v1 import answer_pb2, detection_pb2, photo_pb2, product_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_pb2
from sightline.gateway.v1 import control_pb2, recommendation_service_pb2
from sightline.vision.v1 import detection_service_pb2


def status(
    code: int,
    message: str,
    *,
    reason: str = "",
    violations: tuple[tuple[str, str], ...] = (),
    retry_after: timedelta | None = None,
) -> status_pb2.Status:
    """Return a status as the suite sends it."""
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
    """Return a product with every field set."""
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
    """Return an answer with every field set."""
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
        quality=answer_pb2.ANSWER_QUALITY_REDUCED,
        versions=answer_pb2.Versions(
            spaces=[answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1")],
            model_version="m1",
            scene="default",
            scene_version="s1",
            plan="visual → rank",
            service_version="1.2.3",
        ),
        missing_product_ids=["gone"],
        hidden_count=2,
        experiment_arms=["order/b"],
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
    """Return an answer of Classify."""
    red = photo_pb2.CategoryGuess(category_path=["Wine", "Red"], probability=0.875)
    return recommendation_service_pb2.ClassifyResponse(
        classification=photo_pb2.Classification(
            guesses=[red], unknown_probability=0.0625, sure=red, space_version="v1"
        ),
        proposals=[
            recommendation_service_pb2.FilterProposal(
                text='category = "Wine > Red"', probability=0.875
            )
        ],
        request_id="r1",
    )


def detected() -> detection_service_pb2.DetectProductsResponse:
    """Return an answer of DetectProducts: a wine twice, and an unknown object."""
    pb = detection_service_pb2
    boxes = [photo_pb2.Box(left=x, top=0.25, right=x + 0.125, bottom=0.75) for x in (0, 0.25, 0.5)]
    other = detection_pb2.AlternativeProduct(product_id="wine-2", similarity=0.5)
    response = pb.DetectProductsResponse(
        detections=[
            detection_pb2.ProductDetection(
                box=box,
                product_id="wine-1",
                probability=0.875,
                similarity=0.75,
                alternatives=[other],
                matched_image_id="f" * 64,
                objectness=0.9375,
            )
            for box in boxes[:2]
        ],
        counts=[pb.ProductCount(product_id="wine-1", count=2)],
        unknown_count=1,
        products=[wine()],
        space=answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1"),
        request_id="r1",
    )
    drawn = response.detections[1].heat_map
    drawn.png, drawn.similarity, drawn.unplaced = b"\x89PNG", 0.75, -0.125
    response.detections.add(box=boxes[2], probability=0.25, similarity=0.5, alternatives=[other])
    return response


def explanation() -> recommendation_service_pb2.ExplainRecommendationResponse:
    """Return an explanation of an outranked product, with every field set."""
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
        product_controls=[
            pb.ProductControl(
                control="hero",
                scene="home",
                kind=control_pb2.Control.KIND_EXCLUDE,
                outcome=control_pb2.ControlOutcome.OUTCOME_APPLIED,
                condition="words: red",
                filter="brand = Aurora",
                exposure_count=4,
                daily_budget=9,
            )
        ],
        place_limits=[
            pb.PlaceLimit(
                cause=answer_pb2.Move.CAUSE_BRAND_CAP,
                value="Aurora",
                limit=2,
                place_count=10,
                product_count=2,
            )
        ],
    )
