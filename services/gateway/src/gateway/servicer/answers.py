"""Answers of RecommendationService as messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import repeat
from typing import Any, cast

from gateway.clients import messages
from gateway.clients.matches import match_message
from gateway.model.controls import ControlOutcome
from gateway.model.explanation import PlaceCap, ProductControl, ProductExplanation
from gateway.model.match import Match
from gateway.model.peers import ReadLabel
from gateway.model.response import (
    Classified,
    CorrectedQuery,
    EmptyReason,
    FoundProduct,
    ListAnswer,
    Proposal,
    RecommendAnswer,
    SearchAnswer,
    ShelfAnswer,
    ValuesAnswer,
)
from gateway.ranking import wording
from gateway.recommend.replay import ReplayedAnswer
from gateway.recommend.suggest import SuggestAnswer, Suggestion
from servicekit.admission import costs
from servicekit.rpc.messages import message_of
from servicekit.rpc.requests import timestamp
from servicekit.status import to_status
from sightline.common.v1 import (
    answer_pb2,
    detection_pb2,
    facet_pb2,
    filter_pb2,
    photo_pb2,
    product_pb2,
)
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline_core.answer import AnsweredProduct, AnswerResult
from sightline_core.score_notes import ScoreNote
from sightline_rules import categories
from sightline_rules.filters import Comparison
from sightline_rules.messages import read
from sightline_rules.rejections import words


def recommendation(
    value: RecommendAnswer, language_code: str, request_id: str
) -> pb.RecommendResponse:
    """Return the answer to Recommend."""
    quality: Any = value.quality.value
    response = pb.RecommendResponse(
        no_good_match=value.no_good_match,
        quality=quality,
        degradations=messages.degradation_messages(value.degradations),
        stage_timings=messages.timing_messages(value.timings),
        versions=messages.versions_message(value.versions),
        freshness=messages.freshness_message(value.freshness),
        missing_product_ids=value.missing_product_ids,
        hidden_count=value.hidden_count,
        attribution_token=value.attribution_token,
        next_page_token=value.next_page_token,
        request_id=request_id,
        match=_match(value.match, language_code),
        experiment_arms=value.arms,
        control_outcomes=map(_outcome, value.control_outcomes),
        corrected_queries=_corrected(value.corrected),
        labels=_labels(value.labels, value.unread),
        score_notes=map(_score_note, value.score_notes),
        detections=[message_of(detection_pb2.ProductDetection, each) for each in value.detections],
        empty_reason=_empty(value.empty_reason),
        results=_results(value.results),
    )
    _without_markets(response.results)
    response.request_cost_ms = costs.spent_ms()
    return response


def _results(values: Sequence[AnswerResult]) -> Any:
    """Return what protobuf makes results of, all in one call. No step is taken for one, but for
    what few answers have."""
    if not values:
        return ()
    rows, ranks, answered = zip(*values, strict=True)
    columns = dict(zip(AnsweredProduct._fields, zip(*answered, strict=True), strict=True))
    parts, scores, explained = columns["parts"], columns["score"], columns["contributions"]
    held: dict[str, Iterable[Any]] = {
        "product": rows,
        "rank": ranks,
        "parts": [map(dict, map(zip, repeat(("name", "value")), each)) for each in parts],
        "reasons": map(map, repeat(messages.reason_message), columns["reasons"]),
        "branches": columns["branches"],
        "collapsed_product_ids": columns["collapsed"],
    }
    held |= {name: columns[name] for name in ("raw_score", "matched_image_id", "score_rank")}
    if any(explained):
        features = messages.features
        held["parts"] = [
            [{"name": name, "value": part, "features": features(own, name)} for name, part in each]
            for each, own in zip(parts, explained, strict=True)
        ]
    if any(scores):
        held["score"], held["score_event"] = zip(
            *[each or (None, None) for each in scores], strict=True
        )
    if columns["expected_value"].count(None) < len(values):
        held["expected_value"] = columns["expected_value"]
    if any(columns["moves"]) or columns["score_rank"] != ranks:
        held["moves"] = [messages.move_messages(each.moves) for each in values]
    return map(dict, map(zip, repeat(tuple(held)), zip(*held.values(), strict=True)))


def _without_markets(results: Iterable[Any]) -> None:
    """Remove what products are in other markets from results."""
    for each in results:
        if each.product.markets:
            each.product.ClearField("markets")


def _score_note(value: ScoreNote) -> answer_pb2.ScoreNote:
    return answer_pb2.ScoreNote(
        part=value.part,
        cause=cast(answer_pb2.ScoreNote.Cause.ValueType, int(value.cause)),
        product_count=value.count,
    )


def _outcome(value: ControlOutcome) -> control_pb2.ControlOutcome:
    return control_pb2.ControlOutcome(
        control=value.control,
        scene=value.scene,
        product_id=value.product_id,
        outcome=cast(control_pb2.ControlOutcome.Outcome.ValueType, int(value.state)),
    )


def _labels(values: Mapping[int, ReadLabel], unread: Sequence[int]) -> list[pb.SignalLabel]:
    if not (values or unread):
        return []
    read = [
        pb.SignalLabel(
            signal=place,
            lines=cast(Sequence[photo_pb2.LabelLine], label.lines),
            unsure_line_count=label.unsure,
        )
        for place, label in values.items()
    ]
    left_out = [pb.SignalLabel(signal=place, left_out=True) for place in unread]
    return sorted(read + left_out, key=lambda each: each.signal)


def _corrected(values: Sequence[CorrectedQuery]) -> list[pb.CorrectedQuery]:
    return [
        pb.CorrectedQuery(signal=each.signal, original_text=each.original, text=each.text)
        for each in values
    ]


def _empty(value: EmptyReason | None) -> pb.EmptyReason | None:
    if value is None:
        return None
    return pb.EmptyReason(
        text=value.text,
        condition=value.condition,
        near_category_paths=value.near_category_paths,
    )


def _match(value: Match | None, language_code: str) -> pb.Match | None:
    if value is None:
        return None
    return match_message(value, wording.matched(value, language_code))


def suggestions(value: SuggestAnswer, request_id: str) -> pb.SuggestResponse:
    """Return the answer to Suggest."""
    return pb.SuggestResponse(
        suggestions=map(_suggestion, value.suggestions),
        corrected=value.corrected,
        degradations=messages.degradation_messages(value.degradations),
        request_id=request_id,
    )


def _suggestion(value: Suggestion) -> pb.Suggestion:
    found = value.found
    return pb.Suggestion(
        kind=cast(pb.Suggestion.Kind.ValueType, value.kind.value),
        text=found.text,
        highlights=[
            pb.TextRange(start=_units(found.text, start), end=_units(found.text, end))
            for start, end in found.marks
        ],
        product_count=found.count,
        field=found.field,
        filter=cast(filter_pb2.Filter | None, found.filter),
        filter_text=found.filter_text,
        product_id=found.product_id,
    )


def _units(text: str, place: int) -> int:
    """Return the number of UTF-16 code units before a place."""
    return place + sum(letter > "\uffff" for letter in text[:place])


def listing(value: ListAnswer, request_id: str) -> pb.ListResponse:
    """Return the answer to List."""
    response = pb.ListResponse(
        product_count=value.total,
        facets=cast(Sequence[facet_pb2.Facet], value.facets),
        next_page_token=value.next_page_token,
        etag=value.etag,
        not_modified=value.not_modified,
        degradations=messages.degradation_messages(value.degradations),
        stage_timings=messages.timing_messages(value.timings),
        versions=None if value.versions is None else messages.versions_message(value.versions),
        quality=cast(answer_pb2.AnswerQuality.ValueType, value.quality.value),
        hidden_count=value.hidden_count,
        attribution_token=value.attribution_token,
        control_outcomes=[_outcome(each) for each in value.control_outcomes],
        request_id=request_id,
        score_notes=[_score_note(each) for each in value.score_notes],
        empty_reason=_empty(value.empty_reason),
        results=_results(value.results),
    )
    _without_markets(response.results)
    return response


def values(value: ValuesAnswer, language_code: str, request_id: str) -> pb.RecommendValuesResponse:
    """Return the answer to RecommendValues."""
    answer = value.answer
    response = pb.RecommendValuesResponse(
        more_count=value.more_count,
        degradations=messages.degradation_messages(answer.degradations),
        stage_timings=messages.timing_messages(answer.timings),
        versions=messages.versions_message(answer.versions),
        freshness=messages.freshness_message(answer.freshness),
        missing_product_ids=answer.missing_product_ids,
        hidden_count=answer.hidden_count,
        attribution_token=answer.attribution_token,
        request_id=request_id,
        quality=cast(answer_pb2.AnswerQuality.ValueType, answer.quality.value),
        control_outcomes=[_outcome(each) for each in answer.control_outcomes],
        experiment_arms=answer.arms,
        match=_match(answer.match, language_code),
        score_notes=[_score_note(each) for each in answer.score_notes],
        empty_reason=_empty(answer.empty_reason),
    )
    for each in value.values:
        message = response.values.add(
            rank=each.rank,
            text=each.text,
            filter=_equal(each.condition),
            filter_text=words(each.condition),
            score=each.score,
            reasons=messages.reason_messages(each.reasons),
            candidate_count=each.candidate_count,
            products=_results(each.products),
        )
        _without_markets(message.products)
    response.request_cost_ms = costs.spent_ms()
    return response


def _equal(condition: Comparison) -> filter_pb2.Filter:
    match condition.value:
        case bool(flag):
            value = filter_pb2.FilterValue(flag=flag)
        case float(number):
            value = filter_pb2.FilterValue(number=number)
        case text:
            value = filter_pb2.FilterValue(text=str(text))
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field=condition.field, operator=equal, value=value)
    )


def shelves(
    answers: Sequence[ShelfAnswer], language_code: str, request_id: str
) -> pb.RecommendShelvesResponse:
    """Return the answer to RecommendShelves."""
    return pb.RecommendShelvesResponse(
        shelves=[_shelf(each, language_code, request_id) for each in answers],
        request_id=request_id,
        request_cost_ms=costs.spent_ms(),
    )


def _shelf(shelf: ShelfAnswer, language_code: str, request_id: str) -> pb.ShelfAnswer:
    message = pb.ShelfAnswer(shelf_id=shelf.shelf_id, attribution_token=shelf.attribution_token)
    match shelf.answer:
        case RecommendAnswer() as answer:
            message.recommend.CopyFrom(recommendation(answer, language_code, request_id))
            message.recommend.ClearField("request_cost_ms")  # that of all shelves so far
        case SearchAnswer() as answer:
            message.search.CopyFrom(findings(answer, language_code, request_id))
        case ListAnswer() as answer:
            message.list.CopyFrom(listing(answer, request_id))
        case error:
            message.error.CopyFrom(to_status(error))
    return message


def findings(value: SearchAnswer, language_code: str, request_id: str) -> pb.SearchResponse:
    """Return the answer to Search."""
    response = pb.SearchResponse(
        results=map(dict, map(zip, repeat(FoundProduct._fields), value.results)),  # type: ignore[arg-type]
        degradations=messages.degradation_messages(value.degradations),
        stage_timings=messages.timing_messages(value.timings),
        versions=messages.versions_message(value.versions),
        freshness=messages.freshness_message(value.freshness),
        request_id=request_id,
        facets=cast(Sequence[facet_pb2.Facet], value.facets),
        match=_match(value.match, language_code),
        corrected_queries=_corrected(value.corrected),
        labels=_labels(value.labels, value.unread),
        empty_reason=_empty(value.empty_reason),
    )
    _without_markets(response.results)
    return response


def replayed(value: ReplayedAnswer, request_id: str) -> pb.ReplayRecommendationResponse:
    """Return the answer to ReplayRecommendation."""
    record = value.record
    return pb.ReplayRecommendationResponse(
        equal=value.equal,
        differences=[
            answers_pb.ReplayDifference(
                kind=cast(answers_pb.ReplayDifference.Kind.ValueType, int(each.kind)),
                subject=each.subject,
                text=each.text,
            )
            for each in value.differences
        ],
        places=[
            pb.ReplayedPlace(
                place=each.place,
                recorded=messages.answered_message(each.recorded),
                recomputed=messages.answered_message(each.recomputed),
                equal=each.equal,
            )
            for each in value.places
        ],
        total_count=record.total_count,
        versions=messages.versions_message(record.versions),
        replay_versions=messages.versions_message(value.versions),
        degradations=messages.degradation_messages(record.degradations),
        experiment_arms=record.arms,
        request_digest=record.request_digest,
        answer_time=timestamp(record.answer_micros),
        answer_id=record.answer_id,
        seed=record.seed,
        request_id=request_id,
    )


def explanation(
    value: ProductExplanation, language_code: str, request_id: str
) -> pb.ExplainRecommendationResponse:
    """Return the answer to ExplainRecommendation."""
    outcome = pb.ExplainRecommendationResponse.Outcome.Value(f"OUTCOME_{value.outcome}")
    rejection = value.rejection
    response = pb.ExplainRecommendationResponse(
        outcome=outcome,
        text=wording.outcome(value, language_code),
        product=cast(product_pb2.Product | None, value.row),
        rejection=None
        if rejection is None
        else pb.FilterRejection(
            path=rejection.path, condition=rejection.condition, held=rejection.held
        ),
        collapsed_into_product_id=value.collapsed_into,
        branches=[pb.BranchVerdict(**asdict(each)) for each in value.branches],
        rank=value.placed.rank if value.placed else 0,
        score=_score(value.placed),
        last_shown=_score(value.last_shown),
        degradations=messages.degradation_messages(value.degradations),
        versions=None if value.versions is None else messages.versions_message(value.versions),
        request_id=request_id,
        labels=_labels(value.labels, value.unread),
        control_outcomes=map(_outcome, value.resting),
        product_controls=map(_product_control, value.controls),
        place_limits=map(_place_limit, value.caps),
        excluded_category_paths=value.other_categories,
    )
    if value.row is not None:
        response.product.ClearField("markets")
    return response


def _product_control(value: ProductControl) -> pb.ProductControl:
    rule, scene = value.given.control, value.given.scene
    return pb.ProductControl(
        control=rule.name,
        scene=scene,
        kind=control_pb2.Control.Kind.Value(f"KIND_{rule.kind.name}"),
        outcome=cast(control_pb2.ControlOutcome.Outcome.ValueType, int(value.state)),
        condition=rule.when.said if rule.when else "",
        filter=words(read(rule.filter.message), most=None) if rule.filter else "",
        exposure_count=value.exposures,
        daily_budget=rule.daily_budget,
    )


def _place_limit(value: PlaceCap) -> pb.PlaceLimit:
    return pb.PlaceLimit(
        cause=cast(answer_pb2.Move.Cause.ValueType, int(value.cause)),
        value=value.value,
        limit=value.limit,
        place_count=value.places,
        product_count=value.reached,
    )


def _score(value: AnswerResult | None) -> pb.ExplainedScore | None:
    if value is None:
        return None
    answered = value.answered
    message = pb.ExplainedScore(
        product_id=answered.product_id,
        raw_score=answered.raw_score,
        score_rank=answered.score_rank,
        moves=messages.move_messages(value.moves if value.rank else answered.moves),
    )
    messages.add_parts(message.parts, answered.parts, answered.contributions)
    message.reasons.extend(messages.reason_messages(answered.reasons))
    return message


def classification(value: Classified, request_id: str) -> pb.ClassifyResponse:
    """Return the answer to Classify."""
    return pb.ClassifyResponse(
        classification=cast(photo_pb2.Classification, value.classification),
        proposals=[proposal_message(item) for item in value.proposals],
        request_id=request_id,
    )


def proposal_message(value: Proposal) -> pb.FilterProposal:
    """Return a filter that passes products in one of the categories."""
    paths = [categories.join(path) for path in value.paths]
    return pb.FilterProposal(
        filter=_filter(paths), text=_text(paths), probability=value.probability
    )


def _filter(paths: list[str]) -> filter_pb2.Filter:
    values = [filter_pb2.FilterValue(text=path) for path in paths]
    if len(values) > 1:
        return filter_pb2.Filter(membership=filter_pb2.Membership(field="category", values=values))
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field="category", operator=equal, value=values[0])
    )


def _text(paths: list[str]) -> str:
    """Return the filter in the syntax of the command line."""
    quoted = (path.replace("\\", "\\\\").replace('"', '\\"') for path in paths)
    return " OR ".join(f'category = "{path}"' for path in quoted)
