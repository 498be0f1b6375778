"""Answers of the gateway over real gRPC while its peers are healthy."""

import pytest

from servicekit.errors import Internal
from sightline.common.v1 import answer_pb2, filter_pb2, photo_pb2, product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_script import ALLOWED_URI, PART
from tests.fakes.gateway_wire_ranker import unpacked
from tests.waiting import until
from tests.wire.gateway_calls import ANN, BY_SIMILARITY, PHOTO, ids, photo, refused, suite

__all__ = ["suite"]  # fixtures


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


async def test_an_answer_says_what_it_cost_and_its_peers_add_to_it(suite):
    alone = (await suite.recommendation.Recommend(photo())).request_cost_ms
    suite.ranker.servicer("RankingService").burns = 0.05
    busy = (await suite.recommendation.Recommend(photo())).request_cost_ms

    assert alone > 0
    assert busy >= 50


async def test_moves_are_answered_and_recorded_with_the_propensities_of_draws(suite):
    suite.ranker.servicer("RankingService").draws = True
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


async def test_a_shoppers_candidates_join_the_photos_candidates(suite):
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
    looked = pb.QuerySignal(image=b"photo")
    boxed = pb.QuerySignal(image=b"other", box=PART)
    away = pb.QuerySignal(product_id="p1", negative=True, weight=0.5)
    signals = [looked, boxed, away]
    answer = await suite.recommendation.Search(pb.SearchRequest(signals=signals))

    assert "p1" not in ids(answer)
    script = suite.embedder.script
    (asked,) = [item.request for item in script.seen if item.method == "BatchEmbed"]
    assert [item.photo_kind for item in asked.items] == [photo_pb2.PHOTO_KIND_SHOPPER] * 2
    assert not asked.items[0].HasField("box")
    assert asked.items[1].box == PART
    alone = pb.SearchRequest(signals=[away])
    error = await refused(suite.recommendation.Search(alone))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "signals")


async def test_a_photo_is_classified_with_filters_to_search_on(suite):
    request = pb.ClassifyRequest(image=b"photo")
    found = await suite.recommendation.Classify(request)

    assert list(found.classification.sure.category_path) == ["Wine", "Red"]
    assert [item.text for item in found.proposals] == [
        'category = "Wine > Red"',
        'category = "Wine"',
    ]
    assert found.proposals[0].filter.comparison.value.text == "Wine > Red"
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


async def test_a_request_that_is_not_personal_names_its_shopper_to_no_peer(suite):
    request = photo(shopper=ANN, session_id="ann's visit", not_personal=True)
    answer = await suite.recommendation.Recommend(request)
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    fallen_back = await suite.recommendation.Recommend(request)
    await until(lambda: suite.ranker.script.requests("RecordAnswers"))

    assert ids(answer) == ids(fallen_back) == BY_SIMILARITY
    assert "Nominate" not in [item.method for item in suite.ranker.script.seen]
    for peer in (suite.embedder, suite.retriever, suite.ranker):
        for item in peer.script.seen:
            said = item.request.SerializeToString() + repr(item.metadata).encode()
            assert b"ann-the-customer" not in said
            assert b"ann's visit" not in said


async def test_a_shoppers_last_products_find_others_until_a_model_knows_the_shopper(suite):
    suite.ranker.servicer("RankingService").last_products = {"p1": 0.4, "p2": 0.36}
    for scene in ("", "for-you"):
        suite.retriever.script.seen.clear()
        request = pb.RecommendRequest(shopper=ANN, scene=scene, page_size=2, explain=True)
        answer = await suite.recommendation.Recommend(request)

        assert ids(answer)
        assert {"p1", "p2"}.isdisjoint(ids(answer))
        assert not answer.degradations
        assert not answer.HasField("match")
        searched = [one.request for one in suite.retriever.script.seen if one.method == "Search"]
        spaces = {one.space for one in searched}
        assert spaces == {"visual", "text"}
        blends = [[part.product_id for part in one.blend.parts] for one in searched]
        assert blends == [["p1", "p2"]] * 2
        later = pb.RecommendRequest()
        later.CopyFrom(request)
        later.page_token = answer.next_page_token
        codes = {
            reason.code
            for page in (answer, await suite.recommendation.Recommend(later))
            for item in page.results
            for reason in item.reasons
        }
        assert "LOOKS_LIKE_QUERY" not in codes
        assert "SIMILAR_TO_VIEWED" in codes
