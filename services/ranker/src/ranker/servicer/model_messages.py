"""Requests of trainings and reports, and messages of models and reports."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from ranker.domain.events import DAY_MICROS
from ranker.domain.model import ModelRecord
from ranker.domain.online import Online, OutcomeCounts, Period, SceneDay, rates
from ranker.domain.recipe import RANGES, PartBlend, recipe_of
from ranker.learning.feedback.estimators import CLIP
from ranker.learning.feedback.health import Health
from ranker.servicer.messages import message_of
from ranker.servicer.requests import check_range, refuse
from servicekit.rpc.requests import timestamp
from sightline.ranker.v1 import model_service_pb2 as pb
from sightline.ranker.v1 import online_report_pb2, recipe_pb2

MOST_TRIALS = 10_000
MOST_SECONDS = 7 * 86_400
MOST_KEYS, MOST_KEY_LENGTH = 100, 128

_FIELDS = recipe_pb2.Recipe.DESCRIPTOR.fields
_ENUMS: Mapping[str, Mapping[int, str]] = {
    one.name: {number: value.name for number, value in one.enum_type.values_by_number.items()}
    for one in _FIELDS
    if one.enum_type is not None
}
"""Enums whose names are those of the recipe's own after a prefix."""
_LISTS = [one.name for one in _FIELDS if one.is_repeated]
_PLAIN = [one.name for one in _FIELDS if one.name not in (*_ENUMS, *_LISTS)]
"""Fields that are equal in message and recipe."""


def params_of(request: pb.TrainModelRequest) -> dict[str, Any]:
    """Return the job's parameters: only what the request sets. RequestInvalid."""
    refuse(_problems(request))
    params: dict[str, Any] = {"seed": request.seed}
    if recipe := _given(request.recipe):
        params["recipe"] = recipe
    for name in ("search_trials", "search_seconds", "ablation"):
        if _has(request, name):
            params[name] = getattr(request, name)
    if request.incremental:
        params["incremental"] = True
    return params


def _given(message: recipe_pb2.Recipe) -> dict[str, Any]:
    """Return the recipe values that the message sets, as JSON values."""
    given = {name: getattr(message, name) for name in _PLAIN if _has(message, name)}
    for name, names in _ENUMS.items():
        number = getattr(message, name)
        if number and number in names:
            given[name] = names[number].removeprefix(f"{name.upper()}_").lower()
    return given | {name: [*found] for name in _LISTS if (found := getattr(message, name))}


def _problems(request: pb.TrainModelRequest) -> Iterable[tuple[str, str]]:
    message = request.recipe
    for name, (least, most) in RANGES.items():
        value = getattr(message, name)
        if _has(message, name) and not least <= value <= most:
            yield f"recipe.{name}", f"must be {least:g} to {most:,.15g}"
    for name, names in _ENUMS.items():
        if getattr(message, name) not in names:
            yield f"recipe.{name}", "is not a known value"
    for name in _LISTS:
        keys = getattr(message, name)
        if len(keys) > MOST_KEYS or not all(0 < len(key) <= MOST_KEY_LENGTH for key in keys):
            problem = f"must be at most {MOST_KEYS} keys of 1 to {MOST_KEY_LENGTH} characters"
            yield f"recipe.{name}", problem
    if not 0 <= request.search_trials <= MOST_TRIALS:
        yield "search_trials", f"must be 0 to {MOST_TRIALS:,}"
    seconds = request.search_seconds
    if _has(request, "search_seconds") and not 0 < seconds <= MOST_SECONDS:
        yield "search_seconds", f"must be above 0, up to {MOST_SECONDS:,}"
    if request.incremental and (_given(message) or request.search_trials):
        problem = "uses the recipe of the serving model: omit recipe and search_trials"
        yield "incremental", problem


def _has(message: Message, name: str) -> bool:
    return message.HasField(name)


def describe(message: pb.Model, model: ModelRecord) -> None:
    """Add the model's training data to the message."""
    known: Mapping[str, Any] = model.training
    if not known:
        return
    recipe = recipe_of(known["recipe"])
    message.recipe.CopyFrom(message_of(recipe_pb2.Recipe, recipe))
    message.seed = recipe.seed
    # Models of older releases have the served blend in their recipe.
    blend = PartBlend(**known["served_blend"]) if "served_blend" in known else recipe.blend
    message.blend.extend(
        recipe_pb2.BlendWeight(part=part, weight=weight)
        for part, weight in sorted(blend.weights.items())
    )
    message.blend_learned_from = blend.learned_from
    message.additions.extend(
        message_of(recipe_pb2.PartAddition, one) for one in known.get("ablation", ())
    )
    message.base_version = known.get("base", "")
    message.search_trial_count = known.get("trials", 0)


DEFAULT_DAYS, MOST_DAYS = 7, 365
DEFAULT_CONVERSION_DAYS, MOST_CONVERSION_DAYS = 7, 90


def period(request: online_report_pb2.GetOnlineReportRequest, now_micros: int) -> Period:
    """Return the period that the request asks for; RequestInvalid."""
    check_range("days", request.days, 0, MOST_DAYS)
    check_range("conversion_days", request.conversion_days, 0, MOST_CONVERSION_DAYS)
    days = request.days or DEFAULT_DAYS
    return Period(
        start_micros=now_micros - days * DAY_MICROS,
        end_micros=now_micros,
        conversion_micros=(request.conversion_days or DEFAULT_CONVERSION_DAYS) * DAY_MICROS,
    )


def report_message(
    asked: Period, found: Online, looked: Health | None, days: Iterable[SceneDay] = ()
) -> online_report_pb2.OnlineReport:
    """Return the counts as a message, with the worker's last findings, if any."""
    return message_of(
        online_report_pb2.OnlineReport,
        asked,
        conversion_window=Duration(seconds=asked.conversion_micros // 1_000_000),
        groups=map(_group, found.tallies),
        attribution=found.joined,
        health=None if looked is None else _health(looked),
        days=map(_day, days),
    )


def _day(one: SceneDay) -> online_report_pb2.OnlineDay:
    return online_report_pb2.OnlineDay(
        scene=one.scene,
        start_time=timestamp(one.start_micros),
        answer_count=one.answers,
        empty_answer_count=one.empty,
        degraded_answer_count=one.degraded,
        degradations=[
            online_report_pb2.DegradedAnswers(cause=cause, answer_count=count)  # type: ignore[arg-type]
            for cause, count in sorted(one.causes.items())
        ],
        impression_count=one.shown,
        impression_estimate=one.shown_weight,
        click_count=one.clicked,
        purchase_count=one.bought,
        revenues=[
            online_report_pb2.OnlineRevenue(currency_code=each.currency_code, amount=each.amount)
            for each in one.revenues
        ],
        unpriced_count=one.unpriced,
    )


def _group(tally: OutcomeCounts) -> online_report_pb2.OnlineGroup:
    click_through, conversion, hide = rates(tally)
    return message_of(
        online_report_pb2.OnlineGroup,
        tally,
        impression_count=tally.shown.count,
        click_through=click_through,
        conversion=conversion,
        hide=hide,
    )


def _health(looked: Health) -> online_report_pb2.FeedbackHealth:
    policies = [
        message_of(online_report_pb2.PolicyEstimate, one.estimates, policy=one.name, clip=CLIP)
        for one in looked.policies
    ]
    return message_of(online_report_pb2.FeedbackHealth, looked, policies=policies)
