"""The gateway over real gRPC before scripted peers: every fallback, and bad input."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import grpc
import pytest
from prometheus_client import REGISTRY

from servicekit.errors import Code, Internal, ServiceError, Unavailable
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import (
    answer_pb2,
    event_pb2,
    filter_pb2,
    job_service_pb2,
    photo_pb2,
    product_pb2,
)
from sightline.embedder.v1 import embedding_service_pb2, space_pb2, space_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    user_event_service_pb2,
)
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import (
    event_service_pb2,
    model_service_pb2,
    online_report_pb2,
    profile_service_pb2,
)
from sightline.retriever.v1 import (
    backup_service_pb2,
    fit_service_pb2,
    index_service_pb2,
    product_service_pb2,
    rebuild_service_pb2,
    vector_service_pb2,
)
from tests.fakes.gateway_script import ALLOWED_URI, PRODUCTS, SUBJECT
from tests.fakes.gateway_wire import Suite, running
from tests.fakes.gateway_wire_ranker import unpacked
from tests.fakes.gateway_wire_retriever import RECALL
from tests.fakes.kit_logs import json_logs
from tests.waiting import SECONDS, until

PHOTO = b"\xff\xd8 a secret photo \xff\xd9"
ANN = event_pb2.Shopper(user_id="ann-the-customer")
BY_SIMILARITY = ["p3", "p1", "p4", "p2"]


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with running() as found:
        yield found


def photo(**fields) -> pb.RecommendRequest:
    return pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO)], **fields)


def ids(answer) -> list[str]:
    return [item.product.product_id for item in answer.results]


def causes(answer) -> list[tuple[str, str]]:
    names = answer_pb2.Degradation.Cause
    return [(i.stage, names.Name(i.cause).removeprefix("CAUSE_")) for i in answer.degradations]


async def refused(call) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


# A photo goes in, recommendations come out.


async def test_a_photo_is_answered_with_parts_reasons_timings_and_versions(suite):
    answer = await suite.recommendation.Recommend(photo(request_id="req-1"))

    assert ids(answer) == BY_SIMILARITY
    assert answer.results[0].product.title == "Title p3"
    assert answer.results[0].matched_image_id == "image-p3"
    assert list(answer.results[0].branches) == ["visual"]
    assert [item.rank for item in answer.results] == [1, 2, 3, 4]
    for item in answer.results:
        parts = [part.value for part in item.parts]
        assert abs(item.raw_score - sum(parts)) <= 1e-6 * sum(map(abs, parts))
    assert answer.request_id == "req-1"
    assert not answer.degradations
    assert answer.versions.spaces[0].generation == "g1"
    assert answer.versions.model_version == "m1"
    assert answer.versions.scene == "default"
    assert answer.versions.scene_version
    assert answer.freshness.index_token == "t1"
    stages = {item.stage: item for item in answer.stage_timings}
    assert set(stages) == {"embed", "retrieve", "rank", "hydrate"}
    assert stages["embed"].work.ToMicroseconds() == 30
    assert stages["embed"].network.ToMicroseconds() > 0
    assert stages["retrieve"].start.ToMicroseconds() >= stages["embed"].total.ToMicroseconds()


async def test_moves_are_answered_and_recorded_with_the_propensities_of_draws(suite):
    suite.ranker.bindings[0].servicer.draws = True
    answer = await suite.recommendation.Recommend(photo(explain=True, page_size=2))

    explored = answer_pb2.Move.CAUSE_EXPLORATION
    moves = [[(move.cause, move.places) for move in item.moves] for item in answer.results]
    assert moves == [[(explored, 1)], [(explored, -1)]]
    assert [item.score_rank for item in answer.results] == [2, 1]
    assert answer.results[0].parts[0].features[0].name == "signals[0]"
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    assert unpacked(record.columns.propensities) == [0.25, 1.0, 0.5, 0.5]
    assert list(record.columns.score_ranks) == [2, 1, 3, 4]
    (drawn,) = record.columns.moves
    assert list(drawn.places) == [1, -1, 0, 0]
    (asked,) = [item.request for item in suite.ranker.script.seen if item.method == "Rank"]
    assert (asked.diversity.window, asked.diversity.diversity) == (100, 0.0)
    assert asked.time_micros == record.answer_time.ToMicroseconds()
    later = photo(explain=True, page_size=2, page_token=answer.next_page_token)
    second = await suite.recommendation.Recommend(later)
    assert [(item.rank, item.score_rank) for item in second.results] == [(3, 3), (4, 4)]


async def test_a_products_place_is_explained_and_nothing_recorded(suite):
    asked = pb.ExplainRecommendationRequest(request=photo(page_size=2), product_id="p2")
    found = await suite.recommendation.ExplainRecommendation(asked)

    assert found.outcome == pb.ExplainRecommendationResponse.OUTCOME_OUTRANKED
    assert (found.rank, found.score.score_rank) == (4, 4)
    assert found.product.title == "Title p2"
    assert [part.name for part in found.score.parts] == ["visual", "taste"]
    assert found.score.parts[0].features[0].name == "signals[0]"
    assert found.score.parts[0].features[0].value == pytest.approx(found.score.parts[0].value)
    assert found.last_shown.product_id == "p1"
    (verdict,) = found.branches
    assert (verdict.branch, verdict.named, verdict.signal) == ("visual", True, 0)
    assert found.versions.model_version == "m1"
    ranked = [item.request for item in suite.ranker.script.seen if item.method == "Rank"]
    assert ranked[0].explain
    assert ranked[0].time_micros > 0
    assert all(item.method != "RecordAnswers" for item in suite.ranker.script.seen)


async def test_a_filter_that_leaves_a_product_out_is_named_by_its_condition(suite):
    suite.retriever.script.rejected = {"comparison": "filter.comparison"}
    brand = filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field="brand",
            operator=filter_pb2.Comparison.OPERATOR_EQUAL,
            value=filter_pb2.FilterValue(text="b"),
        )
    )
    kinds = pb.ExplainRecommendationResponse

    async def asked(product_id="p2", **fields):
        request = pb.ExplainRecommendationRequest(request=photo(**fields), product_id=product_id)
        return await suite.recommendation.ExplainRecommendation(request)

    filtered = await asked(filter=brand)
    assert filtered.outcome == kinds.OUTCOME_FILTERED
    assert (filtered.rejection.path, filtered.rejection.condition) == ("filter.comparison", "c")
    assert list(filtered.rejection.held) == ["h"]
    sold_out = await asked(language_code="zh")  # the scene's own condition
    assert (sold_out.outcome, sold_out.rejection.path) == (kinds.OUTCOME_UNAVAILABLE, "")
    assert sold_out.text == "该商品目前无法购买，此处不展示这类商品。"
    assert (await asked("nowhere")).outcome == kinds.OUTCOME_PRODUCT_NOT_FOUND
    assert (await refused(asked(""))).violations[0].field == "product_id"


async def test_a_photo_by_its_address_is_answered_as_the_photo_is(suite):
    signal = pb.QuerySignal(image_uri=ALLOWED_URI)
    answer = await suite.recommendation.Recommend(pb.RecommendRequest(signals=[signal]))
    assert ids(answer) == BY_SIMILARITY
    found = await suite.recommendation.Search(pb.SearchRequest(signals=[signal]))
    assert [item.product.product_id for item in found.results] == BY_SIMILARITY


async def test_a_shoppers_nominees_join_the_photos_candidates(suite):
    answer = await suite.recommendation.Recommend(photo(shopper=ANN, session_id="s1"))

    branches = {item.product.product_id: list(item.branches) for item in answer.results}
    assert branches["p5"] == ["collaborative"]
    assert branches["p1"] == ["visual", "collaborative"]
    (asked,) = suite.ranker.script.requests("Rank")
    assert asked.shopper == ANN
    assert asked.session_id == "s1"
    assert len(asked.candidates.brands) == len(asked.candidates.product_ids) == 5
    assert len(asked.fused) == 5
    stages = {item.stage: item for item in answer.stage_timings}
    assert stages["nominate"].start.ToMicroseconds() < stages["retrieve"].start.ToMicroseconds()


async def test_similar_products_leave_the_product_itself_out(suite):
    request = pb.RecommendRequest(signals=[pb.QuerySignal(product_id="p3")])

    assert ids(await suite.recommendation.Recommend(request)) == ["p1", "p4", "p2"]


async def test_search_finds_without_ranking(suite):
    found = await suite.recommendation.Search(
        pb.SearchRequest(signals=[pb.QuerySignal(image=PHOTO)], page_size=2)
    )

    assert ids(found) == ["p3", "p1"]
    assert found.results[0].similarity == pytest.approx(0.9)
    assert found.results[0].matched_image_id == "image-p3"
    assert not suite.ranker.script.seen


async def test_negative_signals_and_parts_of_photos_reach_the_peers(suite):
    looked = pb.QuerySignal(image=b"photo", find_subject=True)
    boxed = pb.QuerySignal(image=b"other", box=SUBJECT)
    away = pb.QuerySignal(product_id="p1", negative=True, weight=0.5)
    signals = [looked, boxed, away]
    answer = await suite.recommendation.Search(pb.SearchRequest(signals=signals))

    assert [(item.signal, item.subject.box) for item in answer.subjects] == [(0, SUBJECT)]
    assert "p1" not in ids(answer)
    script = suite.embedder.script
    (asked,) = [item.request for item in script.seen if item.method == "BatchEmbed"]
    assert [item.photo_kind for item in asked.items] == [photo_pb2.PHOTO_KIND_SHOPPER] * 2
    assert [item.find_subject for item in asked.items] == [True, False]
    assert asked.items[1].box == SUBJECT
    alone = pb.SearchRequest(signals=[away])
    error = await refused(suite.recommendation.Search(alone))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "signals")
    both = pb.QuerySignal(image=b"photo", find_subject=True, box=SUBJECT)
    request = pb.SearchRequest(signals=[both])
    error = await refused(suite.recommendation.Search(request))
    assert error.violations[0].field == "signals[0].find_subject"


async def test_a_photo_is_classified_with_filters_to_search_on(suite):
    request = pb.ClassifyRequest(image=b"photo", find_subject=True)
    found = await suite.recommendation.Classify(request)

    assert list(found.classification.sure.category_path) == ["Wine", "Red"]
    assert [item.text for item in found.proposals] == [
        'category = "Wine > Red"',
        'category = "Wine"',
    ]
    assert found.proposals[0].filter.comparison.value.text == "Wine > Red"
    assert found.subject.box == SUBJECT
    request = pb.ClassifyRequest(image=b"text")
    error = await refused(suite.recommendation.Classify(request))
    assert (error.reason, error.violations[0].field) == ("IMAGE_UNDECODABLE", "image")


async def test_out_of_stock_is_filtered_beside_the_callers_own_filter(suite):
    quotes = "\"' OR 1=1 \\ --"
    own = filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field="brand",
            operator=filter_pb2.Comparison.OPERATOR_EQUAL,
            value=filter_pb2.FilterValue(text=quotes),
        )
    )
    await suite.recommendation.Recommend(photo(filter=own))

    for method in ("Search", "BatchGetProducts"):
        (sent,) = suite.retriever.script.requests(method)
        brand, bought = sent.filter.all.filters
        assert brand == own
        assert bought.comparison.value.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK


@pytest.mark.parametrize("join", ["any", "not", "existence"])
async def test_a_filter_that_names_availability_anywhere_is_left_alone(suite, join):
    spoken = filter_pb2.Filter(existence=filter_pb2.Existence(field="availability"))
    own = filter_pb2.Filter()
    if join == "any":
        own.any.filters.extend([filter_pb2.Filter(), spoken])
    elif join == "not":
        getattr(own, "not").any.filters.append(spoken)
    else:
        own.CopyFrom(spoken)
    await suite.recommendation.Recommend(photo(filter=own))
    (sent,) = suite.retriever.script.requests("Search")
    assert sent.filter == own


# Fallbacks.


async def test_ranker_lost_the_order_is_that_of_similarity(suite):
    await suite.recommendation.Recommend(photo())
    await suite.ranker.down()
    answer = await suite.recommendation.Recommend(photo(page_size=2, shopper=ANN))

    assert ids(answer) == BY_SIMILARITY[:2]
    assert causes(answer) == [
        ("collaborative", "RANKER_UNAVAILABLE"),
        ("rank", "PROFILE_UNAVAILABLE"),
        ("rank", "RANKER_UNAVAILABLE"),
        ("record", "ANSWER_RECORD_DROPPED"),
    ]
    for item in answer.results:
        assert [part.name for part in item.parts] == ["fusion"]
        assert item.parts[0].value == item.raw_score
        assert item.reasons[0].code == "LOOKS_LIKE_QUERY"
    assert not answer.next_page_token


async def test_ranker_back_the_answer_is_whole_again(suite):
    await suite.ranker.down()
    assert causes(await suite.recommendation.Recommend(photo()))
    await suite.ranker.up()

    async with asyncio.timeout(SECONDS):
        while causes(await suite.recommendation.Recommend(photo())):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_embedder_lost_popular_products_stand_in(suite):
    await suite.embedder.down()
    own = filter_pb2.Filter(comparison=filter_pb2.Comparison(field="brand"))
    answer = await suite.recommendation.Recommend(photo(filter=own, page_size=2))

    assert ids(answer) == ["p4", "p2"]
    assert causes(answer) == [("visual", "EMBEDDER_UNAVAILABLE")]
    assert "popular" in answer.degradations[0].substitute
    assert [list(item.branches) for item in answer.results] == [["popular"]] * 2
    for looked_up in suite.retriever.script.requests("BatchGetProducts"):
        assert looked_up.filter.all.filters[0] == own
    assert not suite.retriever.script.requests("Search")


async def test_popular_products_that_do_not_fill_the_page_are_followed_by_the_newest(suite):
    answer = await suite.recommendation.Recommend(pb.RecommendRequest(page_size=100))

    assert ids(answer) == ["p4", "p2", "p1", "p3", "p5"]
    assert [item.branches[0] for item in answer.results] == ["popular"] * 2 + ["new"] * 3
    assert answer.versions.plan == "popular: top 1000 → new: top 502 → rank"
    assert not answer.degradations


async def test_embedder_and_ranker_lost_the_newest_products_stand_in(suite):
    await suite.embedder.down()
    await suite.ranker.down()
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == ["p1", "p2", "p3", "p4", "p5"]
    assert list(answer.results[0].branches) == ["new"]
    assert answer.results[0].reasons[0].code == "NEW"


async def test_short_pages_of_the_newest_products_are_read_on(suite):
    await suite.embedder.down()
    await suite.ranker.down()
    suite.retriever.script.scans = 2
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == ["p1", "p2", "p3", "p4", "p5"]
    asked = [item.page_token for item in suite.retriever.script.requests("ListProducts")]
    assert asked == ["", "2", "4"]


async def test_a_list_of_the_newest_products_without_end_is_not_read_for_ever(suite):
    suite.products.clear()
    suite.products.extend(f"q{place}" for place in range(100))
    suite.retriever.script.scans = 1
    answer = await suite.recommendation.Recommend(pb.RecommendRequest())

    assert 0 < len(suite.retriever.script.requests("ListProducts")) < 10
    assert answer.results


async def test_index_lost_nominees_are_looked_up_in_the_record(suite):
    suite.retriever.script.errors["Search"] = Unavailable("engine", reason="INDEX_UNAVAILABLE")
    answer = await suite.recommendation.Recommend(photo(shopper=ANN))

    assert sorted(ids(answer)) == ["p1", "p5"]
    assert causes(answer) == [("visual", "INDEX_UNAVAILABLE")]
    assert not answer.HasField("freshness")


async def test_what_stands_in_for_the_index_is_told_and_is_no_other_loss(suite):
    stands_in = answer_pb2.Degradation(
        stage="index",
        cause=answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE,
        substitute="exact comparison with 7 vectors of the record",
    )
    suite.retriever.script.degradations.append(stands_in)
    answer = await suite.recommendation.Recommend(photo())
    found = await suite.recommendation.Search(pb.SearchRequest(signals=photo().signals))

    assert ids(answer) == BY_SIMILARITY
    assert list(answer.degradations) == list(found.degradations) == [stands_in]


async def test_a_peers_mistake_is_a_loss_and_not_the_callers(suite):
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == BY_SIMILARITY
    assert ("rank", "RANKER_UNAVAILABLE") in causes(answer)


@pytest.mark.parametrize("everything", [False, True])
async def test_with_nothing_left_the_caller_is_told_when_to_try_again(suite, everything):
    await suite.retriever.down()
    if everything:
        await suite.embedder.down()
        await suite.ranker.down()
    error = await refused(suite.recommendation.Recommend(photo(shopper=ANN)))

    assert (error.code, error.reason) == (Code.UNAVAILABLE, "NOTHING_AVAILABLE")
    assert error.retry_after is not None


async def test_a_filter_that_nothing_passes_is_an_empty_answer_without_loss(suite):
    suite.products.clear()
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == []
    assert not answer.degradations


async def test_a_hanging_embedder_is_given_up_within_the_deadline_and_flagged(suite):
    suite.embedder.script.hang = {"BatchEmbed"}
    answer = await suite.recommendation.Recommend(photo(), timeout=4)

    assert causes(answer) == [("visual", "STAGE_DEADLINE")]
    assert ids(answer)[:2] == ["p4", "p2"]
    await asyncio.wait_for(suite.embedder.script.cancelled.wait(), SECONDS)


async def test_a_hanging_ranker_is_given_up_within_the_deadline_and_flagged(suite):
    suite.ranker.script.hang = {"Rank"}
    answer = await suite.recommendation.Recommend(photo(), timeout=4)

    assert causes(answer)[0] == ("rank", "STAGE_DEADLINE")
    assert ids(answer) == BY_SIMILARITY


# Deadlines, cancellation, context.


async def test_each_peer_gets_less_than_what_the_caller_has_left(suite):
    await suite.recommendation.Recommend(photo(shopper=ANN), timeout=9)

    peers = (suite.embedder, suite.retriever, suite.ranker)
    seen = [item for peer in peers for item in peer.script.seen if item.method != "RecordAnswers"]
    assert len(seen) == 6
    for item in seen:
        assert item.seconds_left is not None
        assert 0 < item.seconds_left < 9


async def test_without_a_deadline_there_is_one_of_our_own(suite):
    await suite.recommendation.Recommend(photo())

    (seen,) = suite.embedder.script.seen
    assert 0 < seen.seconds_left <= 5.0  # half of what this gateway takes


async def test_a_cancelled_call_stops_its_work_at_the_peer(suite):
    suite.retriever.script.hang = {"Search"}
    call = suite.recommendation.Recommend(photo(), timeout=60)
    waiting = asyncio.ensure_future(call.code())
    await asyncio.wait_for(suite.retriever.script.arrived.wait(), SECONDS)
    call.cancel()

    await asyncio.wait_for(suite.retriever.script.cancelled.wait(), SECONDS)
    assert await waiting == grpc.StatusCode.CANCELLED
    assert not suite.ranker.script.requests("Rank")


async def test_request_id_and_trace_go_on_to_every_peer(suite):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await suite.recommendation.Recommend(
        photo(request_id="req-7"), metadata=(("traceparent", trace),)
    )

    for peer in (suite.embedder, suite.retriever, suite.ranker):
        metadata = peer.script.seen[0].metadata
        assert metadata["x-request-id"] == "req-7"
        assert metadata["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_nothing_of_photos_shoppers_or_texts_is_logged(capfd):
    with json_logs():
        async with running() as suite:
            request = photo(shopper=ANN, session_id="my-secret-visit")
            request.signals.add(text="my secret wish")
            await suite.recommendation.Recommend(request)
            request.signals.add(image=b"text")
            await refused(suite.recommendation.Recommend(request))
            suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
            await suite.recommendation.Recommend(photo(shopper=ANN))

    logged = "".join(capfd.readouterr())
    assert '"method": "sightline.gateway.v1.RecommendationService/Recommend"' in logged
    assert "secret" not in logged
    assert "ann-the-customer" not in logged


# Bad input.

UNKNOWN_FIELD = filter_pb2.Filter(comparison=filter_pb2.Comparison(field="colour"))


@pytest.mark.parametrize(
    ("request_", "code", "reason", "fields"),
    [
        (photo(page_size=-1), "INVALID_ARGUMENT", "PAGE_SIZE_INVALID", ["page_size"]),
        (photo(page_size=10**9), "INVALID_ARGUMENT", "PAGE_SIZE_INVALID", ["page_size"]),
        (photo(catalog_id="nope"), "NOT_FOUND", "CATALOG_NOT_FOUND", ["catalog_id"]),
        (photo(scene="nope"), "NOT_FOUND", "SCENE_NOT_FOUND", ["scene"]),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(product_id="nope")]),
            "NOT_FOUND",
            "PRODUCT_NOT_FOUND",
            ["signals[0].product_id"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal()]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0]"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=b"")]),
            "INVALID_ARGUMENT",
            "IMAGE_UNDECODABLE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=b"text")]),
            "INVALID_ARGUMENT",
            "IMAGE_UNDECODABLE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="file:///etc/passwd")]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="https://other.test/a.jpg")]),
            "INVALID_ARGUMENT",
            "URI_FORBIDDEN",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="https://photos.test/gone.jpg")]),
            "FAILED_PRECONDITION",
            "URI_UNREADABLE",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=bytes(10 * 2**20 + 1))]),
            "INVALID_ARGUMENT",
            "IMAGE_TOO_LARGE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO, weight=float("nan"))]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0].weight"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO)] * 9),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals"],
        ),
        (
            photo(shopper=event_pb2.Shopper(user_id="")),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["shopper.user_id"],
        ),
        (
            photo(filter=UNKNOWN_FIELD),
            "INVALID_ARGUMENT",
            "FILTER_INVALID",
            ["filter.comparison.field"],
        ),
        (photo(page_token="junk"), "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", ["page_token"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_requests_are_refused_with_reason_and_field(
    suite, request_, code, reason, fields
):
    error = await refused(suite.recommendation.Recommend(request_))

    assert (error.code, error.reason) == (code, reason)
    assert [item.field for item in error.violations] == fields


async def test_a_text_is_flagged_until_there_is_a_text_space(suite):
    request = pb.RecommendRequest(signals=[pb.QuerySignal(text="红酒")])
    answer = await suite.recommendation.Recommend(request)

    assert causes(answer) == [("text", "SPACE_UNAVAILABLE")]
    assert ids(answer) == ["p2"]
    assert list(answer.results[0].branches) == ["keywords"]


async def test_a_search_by_text_alone_finds_by_words_while_there_is_no_text_space(suite):
    request = pb.SearchRequest(signals=[pb.QuerySignal(text="红酒")])
    answer = await suite.recommendation.Search(request)

    assert causes(answer) == [("text", "SPACE_UNAVAILABLE")]
    assert [result.product.product_id for result in answer.results] == ["p2"]
    (asked,) = suite.retriever.script.requests("SearchKeywords")
    assert asked.text == "红酒"


async def test_an_unknown_product_among_others_is_named(suite):
    request = photo()
    request.signals.add(product_id="nope")
    answer = await suite.recommendation.Recommend(request)

    assert list(answer.missing_product_ids) == ["nope"]
    assert ids(answer) == BY_SIMILARITY


# Pages and records.


async def test_pages_come_from_the_kept_record(suite):
    one = await suite.recommendation.Recommend(photo(page_size=3, shopper=ANN))
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    assert len(record.columns.product_ids) == 5
    assert record.shopper == ANN
    assert len(record.request_digest) == 32
    two = await suite.recommendation.Recommend(
        photo(page_size=3, shopper=ANN, page_token=one.next_page_token)
    )

    assert len({*ids(one), *ids(two)}) == 5
    assert [item.rank for item in two.results] == [4, 5]
    assert two.results[0].parts
    assert two.results[0].reasons
    assert two.results[0].branches
    assert two.attribution_token == one.attribution_token
    assert not two.next_page_token
    assert len(suite.ranker.script.requests("Rank")) == 1
    (asked,) = suite.ranker.script.requests("GetAnswer")
    assert (asked.offset, asked.limit, asked.as_columns) == (3, 16, True)
    assert [item.reasons[0].text for item in two.results] == ["alike, as asked"] * 2
    (worded,) = suite.ranker.script.requests("GiveReasons")
    assert list(worded.candidates.product_ids) == ids(two)
    assert {part.name: list(part.values) for part in worded.parts} == {
        part: [{p.name: p.value for p in item.parts}[part] for item in two.results]
        for part in ("visual", "taste")
    }
    assert "RecordAnswers" not in [item.method for item in suite.ranker.script.seen]


async def test_pages_of_an_order_that_the_ranker_did_not_make_come_from_its_record(suite):
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    suite.retriever.script.collapsed = {"p3": ["p4"]}
    one = await suite.recommendation.Recommend(photo(page_size=1))
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    two = await suite.recommendation.Recommend(photo(page_size=2, page_token=one.next_page_token))

    assert (ids(one), ids(two)) == (["p3"], ["p1", "p2"])
    assert list(one.results[0].collapsed_product_ids) == ["p4"]
    assert list(record.columns.collapsed_product_ids) == ["p4"]
    for item in (*one.results, *two.results):
        assert [part.name for part in item.parts] == ["fusion"]
        assert item.parts[0].value == item.raw_score > 0
        assert item.reasons[0].text == "Looks like what you showed us"
        assert item.matched_image_id == f"image-{item.product.product_id}"
    assert [item.score_rank for item in two.results] == [2, 4]
    assert not suite.ranker.script.requests("GiveReasons")
    assert not two.next_page_token


async def test_an_answers_draft_and_near_duplicates_go_to_the_ranker(suite):
    suite.retriever.script.parents = {"p2": "p5"}
    suite.retriever.script.collapsed = {"p3": ["p4", "gone"]}
    answer = await suite.recommendation.Recommend(
        pb.RecommendRequest(signals=[pb.QuerySignal(product_id="p5")], shopper=ANN, page_size=1)
    )

    (asked,) = suite.ranker.script.requests("Rank")
    held = list(asked.candidates.product_ids)
    assert asked.collapse
    assert (asked.top_k, asked.reason_top_k) == (12, 1)
    assert list(asked.query_products.product_ids) == ["p5"]
    assert [held[place] for place in asked.same_pictures] == ["p3", "p4"]
    assert dict(zip(held, asked.candidates.parent_ids, strict=True))["p2"] == "p5"
    draft = asked.record
    named = [
        [name for bit, name in enumerate(draft.branch_names) if bits >> bit & 1]
        for bits in draft.branches
    ]
    assert dict(zip(held, named, strict=True))["p1"] == ["visual", "collaborative"]
    assert dict(zip(held, draft.matched_image_ids, strict=True))["p1"] == "image-p1"
    assert draft.versions.plan.endswith("→ rank")
    assert draft.answer_time_micros == asked.time_micros
    assert asked.history_token == "h1"
    assert list(answer.results[0].collapsed_product_ids) == ["p4"]
    assert answer.versions.plan == f"{draft.versions.plan} → 2 collapsed"


async def test_the_page_and_the_titles_in_its_reasons_are_one_read(suite):
    suite.ranker.bindings[0].servicer.reason = answer_pb2.Reason(
        code="SIMILAR_TO_VIEWED",
        text="Similar to something",
        parameters=[answer_pb2.ReasonParameter(name="product_id", value="p5")],
    )
    answer = await suite.recommendation.Recommend(photo(page_size=2))

    texts = {item.reasons[0].text for item in answer.results}
    assert texts == {"Because you looked at Title p5"}
    (read,) = suite.retriever.script.requests("BatchGetProducts")
    assert (list(read.product_ids), list(read.title_product_ids)) == (["p3", "p1"], ["p5"])
    await until(lambda: suite.answers.kept)
    later = photo(page_size=2, page_token=answer.next_page_token)
    second = await suite.recommendation.Recommend(later)
    assert {item.reasons[0].text for item in second.results} == texts


async def test_a_calibrated_score_says_of_which_event_it_is_the_chance_on_every_page(suite):
    without = await suite.recommendation.Recommend(photo())
    assert not any(item.HasField("score") or item.score_event for item in without.results)

    suite.ranker.bindings[0].servicer.calibrated = True
    one = await suite.recommendation.Recommend(photo(page_size=3, shopper=ANN))
    await until(lambda: len(suite.answers.kept) == 2)
    two = await suite.recommendation.Recommend(
        photo(page_size=3, shopper=ANN, page_token=one.next_page_token)
    )
    for item in (*one.results, *two.results):
        assert item.score == pytest.approx(item.raw_score / 2)
        assert item.score_event == event_pb2.EVENT_TYPE_CLICK


async def test_products_that_the_ranker_gave_no_reason_have_our_own(suite):
    suite.ranker.bindings[0].servicer.reasoned = 1
    suite.ranker.script.errors["GiveReasons"] = Unavailable("busy", reason="BUSY")
    answer = await suite.recommendation.Recommend(photo())
    assert [reason.text for reason in answer.results[0].reasons] == ["alike"]
    assert [reason.code for reason in answer.results[1].reasons] == ["LOOKS_LIKE_QUERY"]
    assert answer.results[1].reasons[0].text != "alike"
    (asked,) = suite.ranker.script.requests("Rank")
    assert asked.reason_top_k == 20


def counted_as_collapsed() -> float:
    """Of searches, so far."""
    name, labels = "sightline_gateway_collapsed_products_total", {"call": "Search"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_near_duplicates_collapse_and_are_named_on_every_page(suite):
    suite.retriever.script.collapsed = {"p3": ["p4"]}
    suite.retriever.script.parents = {"p2": "p5"}
    one = await suite.recommendation.Recommend(photo(page_size=2, shopper=ANN))
    await until(lambda: suite.answers.kept)
    two = await suite.recommendation.Recommend(
        photo(page_size=2, shopper=ANN, page_token=one.next_page_token)
    )

    named = {
        item.product.product_id: list(item.collapsed_product_ids)
        for item in (*one.results, *two.results)
    }
    others = [other for collapsed in named.values() for other in collapsed]
    assert sorted([*named, *others]) == PRODUCTS
    assert len(named) == 3
    assert [pair for pair in (("p3", "p4"), ("p2", "p5")) if not {*pair} & {*others}] == []
    (sent,) = suite.retriever.script.requests("Search")
    assert sent.collapse == vector_service_pb2.COLLAPSE_MARK

    before = counted_as_collapsed()
    found = await suite.recommendation.Search(
        pb.SearchRequest(signals=[pb.QuerySignal(image=PHOTO)])
    )
    assert counted_as_collapsed() == before + 1
    assert {i.product.product_id: list(i.collapsed_product_ids) for i in found.results} == {
        "p3": ["p4"],
        "p1": [],
        "p2": [],
    }


async def test_variants_of_the_querys_product_are_left_out(suite):
    suite.retriever.script.parents = {"p3": "p5", "p4": "p5"}
    answer = await suite.recommendation.Recommend(
        pb.RecommendRequest(signals=[pb.QuerySignal(product_id="p3")])
    )

    assert ids(answer) == ["p1", "p2"]


async def test_a_page_token_with_another_request_is_refused(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    error = await refused(
        suite.recommendation.Recommend(photo(page_token=one.next_page_token, shopper=ANN))
    )

    assert error.reason == "PAGE_TOKEN_INVALID"


async def test_a_twisted_page_token_is_refused_as_such(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    said = json.loads(base64.urlsafe_b64decode(one.next_page_token + "=="))
    for answer_id in ("\ud800", "", "x" * 1000):
        twisted = json.dumps({**said, "a": answer_id}).encode()
        token = base64.urlsafe_b64encode(twisted).decode().rstrip("=")
        error = await refused(suite.recommendation.Recommend(photo(page_token=token)))

        assert error.reason == "PAGE_TOKEN_INVALID", answer_id


async def test_a_lost_record_is_said_to_be_missing(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    suite.answers.kept.clear()
    error = await refused(suite.recommendation.Recommend(photo(page_token=one.next_page_token)))

    assert (error.code, error.reason) == (Code.NOT_FOUND, "ANSWER_RECORD_MISSING")


async def test_records_that_wait_are_handed_over_when_the_gateway_stops():
    async with running() as suite:
        suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
        suite.ranker.script.errors["RecordAnswers"] = Unavailable("busy", reason="BUSY")
        await suite.recommendation.Recommend(photo())
        await until(lambda: suite.ranker.script.requests("RecordAnswers"))
        del suite.ranker.script.errors["RecordAnswers"]
        answers = suite.answers

    assert len(answers.kept) == 1


async def test_a_queue_without_room_promises_no_page():
    degraded = [("rank", "RANKER_UNAVAILABLE"), ("record", "ANSWER_RECORD_DROPPED")]
    async with running(answer_queue_products=0) as suite:
        suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
        answer = await suite.recommendation.Recommend(photo(page_size=1))
        del suite.ranker.script.errors["Rank"]
        suite.ranker.bindings[0].servicer.keeps = False
        ranked = await suite.recommendation.Recommend(photo(page_size=1))

    assert (causes(answer), causes(ranked)) == (degraded, degraded[1:])
    assert not answer.next_page_token
    assert not ranked.next_page_token


# What is passed through.


async def test_products_are_written_with_a_status_each(suite):
    answer = await suite.catalog.UpsertProducts(
        catalog_service_pb2.UpsertProductsRequest(
            products=[product_pb2.Product(product_id=i, title="红酒") for i in ("a", "b")]
        )
    )

    assert answer.index_token == "t2"
    assert (answer.results[0].etag, list(answer.results[0].image_ids)) == ("e1", ["i1"])
    assert from_status(answer.results[1].status).reason == "PRODUCT_INVALID"
    (sent,) = suite.retriever.script.requests("UpsertProducts")
    assert sent.catalog_id == "default"
    assert [item.title for item in sent.products] == ["红酒", "红酒"]


async def test_products_are_read_listed_and_deleted(suite):
    request = catalog_service_pb2
    product = await suite.catalog.GetProduct(request.GetProductRequest(product_id="p1"))
    listed = await suite.catalog.ListProducts(
        request.ListProductsRequest(
            order=request.ListProductsRequest.ORDER_NEWEST, filter=UNKNOWN_FIELD, page_size=3
        )
    )
    deleted = await suite.catalog.DeleteProducts(request.DeleteProductsRequest(product_ids=["p1"]))
    image = await suite.catalog.GetImage(request.GetImageRequest(image_id="0" * 64))

    assert product.title == "Title p1"
    assert len(listed.products) == 5
    (sent,) = suite.retriever.script.requests("ListProducts")
    assert sent.order == product_service_pb2.ListProductsRequest.ORDER_NEWEST
    assert (sent.filter, sent.page_size) == (UNKNOWN_FIELD, 3)
    assert (deleted.deleted_count, deleted.index_token) == (1, "t3")
    assert image.content == b"bytes"


async def test_an_unknown_product_is_not_found(suite):
    error = await refused(
        suite.catalog.GetProduct(catalog_service_pb2.GetProductRequest(product_id="nope"))
    )

    assert (error.code, error.reason) == (Code.NOT_FOUND, "PRODUCT_NOT_FOUND")


async def test_events_are_written_with_a_status_each(suite):
    answer = await suite.events.WriteEvents(
        user_event_service_pb2.WriteEventsRequest(
            events=[event_pb2.Event(event_id=i, shopper=ANN) for i in ("e1", "e2")]
        )
    )

    assert [status.code for status in answer.statuses] == [0, 3]
    assert from_status(answer.statuses[1]).reason == "EVENT_TIME_INVALID"
    assert answer.written_count == 1


async def test_a_write_to_a_lost_peer_says_which_and_when_to_try_again(suite):
    await suite.ranker.down()
    error = await refused(
        suite.events.WriteEvents(
            user_event_service_pb2.WriteEventsRequest(events=[event_pb2.Event(event_id="e1")])
        )
    )

    assert (error.code, error.reason) == (Code.UNAVAILABLE, "RANKER_UNAVAILABLE")
    assert error.retry_after is not None


def _undeclared(suite):
    c, a, j = catalog_service_pb2, admin_service_pb2, job_service_pb2
    m, e, i = model_service_pb2, user_event_service_pb2, index_service_pb2
    return [
        (suite.admin.CreateGeneration, i.CreateGenerationRequest),
        (suite.admin.BackfillGeneration, i.BackfillGenerationRequest),
        (suite.admin.VerifyGeneration, i.VerifyGenerationRequest),
        (suite.admin.ActivateGeneration, i.ActivateGenerationRequest),
        (suite.admin.RollbackGeneration, i.RollbackGenerationRequest),
        (suite.admin.DropGeneration, i.DropGenerationRequest),
        (suite.admin.ListGenerations, i.ListGenerationsRequest),
        (suite.catalog.UpsertProducts, c.UpsertProductsRequest),
        (suite.catalog.GetProduct, c.GetProductRequest),
        (suite.catalog.ListProducts, c.ListProductsRequest),
        (suite.catalog.DeleteProducts, c.DeleteProductsRequest),
        (suite.catalog.GetImage, c.GetImageRequest),
        (suite.events.WriteEvents, e.WriteEventsRequest),
        (suite.admin.GetStatus, a.GetStatusRequest),
        (suite.admin.TrainModel, m.TrainModelRequest),
        (suite.admin.ListModels, m.ListModelsRequest),
        (suite.admin.PromoteModel, m.PromoteModelRequest),
        (suite.admin.PublishModel, m.PublishModelRequest),
        (suite.admin.ExportEvents, event_service_pb2.ExportEventsRequest),
        (suite.admin.GetOnlineReport, online_report_pb2.GetOnlineReportRequest),
        (suite.admin.GetShopperProfile, profile_service_pb2.GetShopperProfileRequest),
        (suite.admin.GetProductProfile, profile_service_pb2.GetProductProfileRequest),
        (suite.admin.SetShopperAttributes, profile_service_pb2.SetShopperAttributesRequest),
        (suite.admin.ListSegments, profile_service_pb2.ListSegmentsRequest),
        (suite.admin.CreateBackup, backup_service_pb2.CreateBackupRequest),
        (suite.admin.ListBackups, backup_service_pb2.ListBackupsRequest),
        (suite.admin.RestoreBackup, backup_service_pb2.RestoreBackupRequest),
        (suite.admin.RebuildIndex, rebuild_service_pb2.RebuildIndexRequest),
        (suite.admin.FitSpace, fit_service_pb2.FitSpaceRequest),
        (suite.admin.ListSpaces, embedding_service_pb2.ListSpacesRequest),
        (suite.admin.PromoteSpace, space_service_pb2.PromoteSpaceRequest),
        (suite.admin.RetireSpace, space_service_pb2.RetireSpaceRequest),
        (suite.jobs.GetJob, j.GetJobRequest),
        (suite.jobs.ListJobs, j.ListJobsRequest),
        (suite.jobs.CancelJob, j.CancelJobRequest),
        (suite.recommendation.Search, pb.SearchRequest),
    ]


async def test_an_undeclared_catalog_is_not_found_in_any_call_and_reaches_no_peer(suite):
    for call, request in _undeclared(suite):
        error = await refused(call(request(catalog_id="nope")))
        assert error.reason == "CATALOG_NOT_FOUND", request
    for peer in (suite.embedder, suite.retriever, suite.ranker):
        assert not peer.script.seen


@pytest.mark.parametrize("page_size", [-1, 10**9])
async def test_page_sizes_out_of_range_are_refused_in_every_list(suite, page_size):
    for call, request in (
        (suite.catalog.ListProducts, catalog_service_pb2.ListProductsRequest),
        (suite.admin.ListModels, model_service_pb2.ListModelsRequest),
        (suite.jobs.ListJobs, job_service_pb2.ListJobsRequest),
        (suite.recommendation.Search, pb.SearchRequest),
    ):
        error = await refused(call(request(page_size=page_size)))
        assert error.reason == "PAGE_SIZE_INVALID", request


async def test_batches_out_of_range_are_refused(suite):
    for call, request in (
        (suite.catalog.UpsertProducts, catalog_service_pb2.UpsertProductsRequest()),
        (
            suite.catalog.UpsertProducts,
            catalog_service_pb2.UpsertProductsRequest(products=[product_pb2.Product()] * 101),
        ),
        (suite.catalog.DeleteProducts, catalog_service_pb2.DeleteProductsRequest()),
        (suite.events.WriteEvents, user_event_service_pb2.WriteEventsRequest()),
        (
            suite.events.WriteEvents,
            user_event_service_pb2.WriteEventsRequest(events=[event_pb2.Event()] * 1001),
        ),
    ):
        assert (await refused(call(request))).reason == "REQUEST_INVALID"


# The suite's state, models and jobs.


async def test_status_tells_of_every_component(suite):
    state = await suite.admin.GetStatus(admin_service_pb2.GetStatusRequest())

    assert [(item.component, item.status.code) for item in state.components] == [
        (name, 0) for name in ("gateway", "embedder", "triton", "retriever", "milvus", "ranker")
    ]
    services = {"gateway", "embedder", "retriever", "ranker"}
    assert {item.component for item in state.components if item.version} == services
    assert len({item.version for item in state.components if item.version}) == 1
    assert (state.products, state.indexed_images, state.model_version) == (5, 5, "m1")
    assert state.visual_space.version == state.embedder_space_version == "v1"
    assert list(state.scenes) == ["default"]
    assert list(state.recall) == [RECALL]


async def test_status_answers_whatever_is_down(suite):
    for peer in (suite.embedder, suite.retriever, suite.ranker):
        await peer.down()
    state = await suite.admin.GetStatus(admin_service_pb2.GetStatusRequest())

    codes = {item.component: item.status.code for item in state.components}
    assert codes.pop("gateway") == 0
    assert set(codes.values()) == {14}
    assert [item.component for item in state.components if item.version] == ["gateway"]
    assert state.products == -1
    assert not state.HasField("visual_space")


async def test_models_are_trained_listed_and_promoted(suite):
    m = model_service_pb2
    job = await suite.admin.TrainModel(m.TrainModelRequest(request_id="r", seed=3))
    models = await suite.admin.ListModels(m.ListModelsRequest())
    model = await suite.admin.PromoteModel(m.PromoteModelRequest(model_version="m1"))

    assert job.job_id == "ranker/1"
    (sent,) = suite.ranker.script.requests("TrainModel")
    assert (sent.request_id, sent.seed, sent.catalog_id) == ("r", 3, "default")
    assert [item.model_version for item in models.models] == ["m1"]
    assert model.model_version == "m1"


async def test_publications_are_the_rankers(suite):
    request = model_service_pb2.PublishModelRequest(model_version="m1", rewrite=True)
    job = await suite.admin.PublishModel(request)

    assert job.job_id == "ranker/2"
    (sent,) = suite.ranker.script.requests("PublishModel")
    assert (sent.model_version, sent.rewrite, sent.catalog_id) == ("m1", True, "default")


async def test_exports_are_the_rankers(suite):
    request = event_service_pb2.ExportEventsRequest(request_id="r", types=[3])
    job = await suite.admin.ExportEvents(request)

    assert job.job_id == "ranker/3"
    (sent,) = suite.ranker.script.requests("ExportEvents")
    assert (sent.request_id, list(sent.types), sent.catalog_id) == ("r", [3], "default")


async def test_the_online_report_is_the_rankers(suite):
    request = online_report_pb2.GetOnlineReportRequest(days=3, conversion_days=2)
    report = await suite.admin.GetOnlineReport(request)

    assert [group.scene for group in report.groups] == ["home"]
    (sent,) = suite.ranker.script.requests("GetOnlineReport")
    assert (sent.days, sent.conversion_days, sent.catalog_id) == (3, 2, "default")


async def test_profiles_are_the_rankers(suite):
    p = profile_service_pb2
    ann = event_pb2.Shopper(user_id="ann")
    profile = await suite.admin.GetShopperProfile(
        p.GetShopperProfileRequest(shopper=ann, language_code="zh")
    )
    product = await suite.admin.GetProductProfile(p.GetProductProfileRequest(product_id="p1"))
    age = p.ShopperAttribute(key="age", text="30s")
    kept = await suite.admin.SetShopperAttributes(
        p.SetShopperAttributesRequest(shopper=ann, attributes=[age], consent=True)
    )
    segments = await suite.admin.ListSegments(p.ListSegmentsRequest())

    assert (profile.event_count, product.product_id, kept.kept_count) == (7, "p1", 1)
    assert segments.model_version == "m1"
    (asked,) = suite.ranker.script.requests("GetShopperProfile")
    assert (asked.catalog_id, asked.shopper, asked.language_code) == ("default", ann, "zh")
    (sent,) = suite.ranker.script.requests("SetShopperAttributes")
    assert (sent.catalog_id, sent.consent, list(sent.attributes)) == ("default", True, [age])


async def test_generations_are_the_retrievers(suite):
    i, admin = index_service_pb2, suite.admin
    made = await admin.CreateGeneration(i.CreateGenerationRequest(name="g2", space_version="v2"))
    filled = await admin.BackfillGeneration(i.BackfillGenerationRequest(name="g2"))
    proved = await admin.VerifyGeneration(i.VerifyGenerationRequest(name="g2", k=7))
    active = await admin.ActivateGeneration(i.ActivateGenerationRequest(name="g2", force=True))
    back = await admin.RollbackGeneration(i.RollbackGenerationRequest(space="visual"))
    gone = await admin.DropGeneration(i.DropGenerationRequest(name="g2"))
    listed = await admin.ListGenerations(i.ListGenerationsRequest(include_dropped=True))

    assert [item.name for item in (made, active, back, gone)] == ["g2", "g2", "g1", "g2"]
    assert [job.job_id for job in (filled, proved)] == ["retriever/11", "retriever/12"]
    assert [item.name for item in listed.generations] == ["g1"]
    sent = {item.method: item.request for item in suite.retriever.script.seen}
    assert {request.catalog_id for request in sent.values()} == {"default"}
    assert sent["CreateGeneration"].space_version == "v2"
    assert sent["VerifyGeneration"].k == 7
    assert sent["ActivateGeneration"].force
    assert sent["ListGenerations"].include_dropped


async def test_backups_and_rebuilds_are_the_retrievers(suite):
    b = backup_service_pb2
    made = await suite.admin.CreateBackup(b.CreateBackupRequest(request_id="r"))
    listed = await suite.admin.ListBackups(b.ListBackupsRequest(page_size=3))
    restored = await suite.admin.RestoreBackup(
        b.RestoreBackupRequest(backup_id="b1", source_catalog_id="shop", force=True)
    )
    rebuilt = await suite.admin.RebuildIndex(rebuild_service_pb2.RebuildIndexRequest(space="x"))

    assert [job.kind for job in (made, restored, rebuilt)] == ["backup", "restore", "rebuild_index"]
    assert [item.backup_id for item in listed.backups] == ["b1"]
    script = suite.retriever.script
    (sent,) = script.requests("RestoreBackup")
    assert (sent.catalog_id, sent.backup_id, sent.force) == ("default", "b1", True)
    assert script.requests("CreateBackup")[0].request_id == "r"
    assert script.requests("ListBackups")[0].page_size == 3
    assert script.requests("RebuildIndex")[0].space == "x"


async def test_spaces_are_fitted_by_the_retriever_and_served_by_the_embedder(suite):
    f, s = fit_service_pb2, space_service_pb2
    fitting = await suite.admin.FitSpace(f.FitSpaceRequest(backbone="lite2", seed=3))
    listed = await suite.admin.ListSpaces(embedding_service_pb2.ListSpacesRequest(include_all=True))
    promoted = await suite.admin.PromoteSpace(s.PromoteSpaceRequest(version="v2", force=True))
    retired = await suite.admin.RetireSpace(s.RetireSpaceRequest(version="v2"))

    assert (fitting.job_id, fitting.kind) == ("retriever/4", "fit")
    assert [space.model for space in listed.spaces] == ["m1"]
    assert (promoted.version, promoted.forced) == ("v2", True)
    assert retired.state == space_pb2.SPACE_STATE_RETIRED
    (asked,) = suite.retriever.script.requests("FitSpace")
    assert (asked.catalog_id, asked.backbone, asked.seed) == ("default", "lite2", 3)
    assert suite.embedder.script.requests("ListSpaces")[0].include_all


@pytest.mark.parametrize("wanted", ["v1", "m1"])
async def test_a_space_that_a_generation_stands_on_is_not_retired(suite, wanted):
    error = await refused(
        suite.admin.RetireSpace(space_service_pb2.RetireSpaceRequest(version=wanted))
    )
    assert (error.reason, error.metadata["generations"]) == ("SPACE_IN_USE", "g1")
    assert not suite.embedder.script.requests("RetireSpace")


async def test_while_the_index_can_not_be_asked_no_space_is_retired(suite):
    await suite.retriever.down()
    error = await refused(
        suite.admin.RetireSpace(space_service_pb2.RetireSpaceRequest(version="v1"))
    )
    assert error.reason == "RETRIEVER_UNAVAILABLE"
    assert not suite.embedder.script.requests("RetireSpace")


async def test_jobs_are_served_by_their_owner(suite):
    j = job_service_pb2
    job = await suite.jobs.GetJob(j.GetJobRequest(job_id="ranker/1", catalog_id="other"))
    jobs = await suite.jobs.ListJobs(j.ListJobsRequest())
    cancelled = await suite.jobs.CancelJob(j.CancelJobRequest(job_id="ranker/1"))
    watched = [item async for item in suite.jobs.WatchJob(j.WatchJobRequest(job_id="ranker/1"))]

    assert (job.job_id, job.catalog_id) == ("ranker/1", "other")
    assert [item.job_id for item in jobs.jobs] == ["retriever/2", "ranker/1"]
    assert cancelled.job_id == "ranker/1"
    assert [item.done for item in watched] == [1, 2]


@pytest.mark.parametrize("job_id", ["", "1", "embedder/1", "gateway/1"])
async def test_a_job_without_a_known_owner_is_not_found(suite, job_id):
    error = await refused(suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id=job_id)))

    assert (error.code, error.reason) == (Code.NOT_FOUND, "JOB_NOT_FOUND")


async def test_watching_a_job_without_a_known_owner_is_not_found(suite):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in suite.jobs.WatchJob(job_service_pb2.WatchJobRequest(job_id="x/1")):
            pass
    assert from_rpc_error(caught.value).reason == "JOB_NOT_FOUND"
