"""From an answer to the report, through attributed events: a real gateway and a real ranker."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.state.tokens import attribution_token, read_attribution_token
from ranker.adapters.model_store import ModelStore
from ranker.learning.feedback import health
from ranker.workers.feedback_health import Watch
from servicekit.keys.keyring import open_keys
from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2
from sightline.ranker.v1 import answer_service_pb2, event_service_pb2
from sightline.ranker.v1 import online_report_pb2 as pb
from tests.fakes.gateway_wire import Suite as Front
from tests.fakes.gateway_wire import running
from tests.waiting import SECONDS
from tests.wire.ranker_suite import ANN, Suite, event, refusal, suite

pytestmark = pytest.mark.full

__all__ = ["suite"]

DAYS = 86_400
MODEL_NOT_READY = answer_pb2.Degradation.CAUSE_MODEL_NOT_READY


@dataclass
class Shop:
    """A gateway before a real ranker."""

    ranker: Suite
    front: Front

    async def recommend(self, answers: int = 1, **fields) -> rec.RecommendResponse:
        """Return an answer, once the ranker has its record: the n-th of its catalog."""
        request = rec.RecommendRequest(signals=[rec.QuerySignal(image=b"\xff\xd8 \xff\xd9")])
        answer = await self.front.recommendation.Recommend(request)
        async with asyncio.timeout(SECONDS):
            while True:
                if sum(one.answer_count for one in (await self.report()).groups) == answers:
                    return answer
                await asyncio.sleep(0.02)

    async def write(self, answer, *what: tuple[str, str], catalog: str = "", **fields) -> None:
        """Write events of (type, product) that carry the answer's token."""
        values = {"attribution_token": answer.attribution_token, **fields}
        events = [event(item, kind, **values) for kind, item in what]
        request = user_event_service_pb2.WriteEventsRequest(catalog_id=catalog, events=events)
        done = await self.front.events.WriteEvents(request)
        assert [status.code for status in done.statuses] == [0] * len(events)

    async def report(self, **fields) -> pb.OnlineReport:
        return await self.front.admin.GetOnlineReport(pb.GetOnlineReportRequest(**fields))


@pytest.fixture
async def shop(suite: Suite) -> AsyncIterator[Shop]:
    async with running(ranker_target=suite.target) as front:
        yield Shop(suite, front)


def products(answer: rec.RecommendResponse) -> list[str]:
    return [item.product.product_id for item in answer.results]


def twisted(token: str, *, end: int = 2**62, **changes: str) -> str:
    """Return a different token with the gateway's own signature, by its default key."""
    said = read_attribution_token(token, open_keys(), 0)
    return attribution_token(replace(said, **changes), open_keys(), end)


async def test_what_an_answer_led_to_is_counted_exactly(shop: Shop) -> None:
    answer = await shop.recommend()
    first, second, third, *_ = products(answer)
    shown = [("IMPRESSION", item) for item in (first, second, third)]
    await shop.write(answer, *shown, *shown[:1], ("CLICK", first), ("CLICK", first))
    await shop.write(answer, ("PURCHASE", first), ("HIDE", second), ("VIEW", third))
    other = await shop.recommend(answers=2)
    await shop.write(other, ("IMPRESSION", first), ("CLICK", second))

    report = await shop.report()

    (group,) = report.groups
    assert (group.model_version, group.scene, group.arm) == ("", "default", "")
    assert (group.answer_count, group.shown_answer_count, group.impression_count) == (2, 2, 4)
    counts = (group.click_through.count, group.conversion.count, group.hide.count)
    assert counts == (1, 1, 1)
    assert group.click_through.value == 0.25
    assert 0 < group.click_through.lower < 0.25 < group.click_through.upper < 1
    assert (group.clicks_without_impression, group.conversions_without_impression) == (1, 0)
    assert report.attribution == pb.AttributionCounts(
        token_count=11, named_count=11, joined_count=11
    )
    assert not report.days
    (day,) = (await shop.report(by_day=True)).days
    assert (day.scene, day.answer_count, day.impression_count) == ("default", 2, 4)
    assert (day.click_count, day.purchase_count, day.unpriced_count) == (1, 1, 1)
    assert (day.empty_answer_count, day.degraded_answer_count) == (0, 0)


async def test_degraded_answers_are_counted_by_cause(suite: Suite, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "default.toml").write_text('[ranking]\nmodel = "lfm-0"\n')
    async with running(ranker_target=suite.target, scenes_folder=folder) as front:
        shop = Shop(suite, front)
        answer = await shop.recommend()
        (day,) = (await shop.report(by_day=True)).days
    lost = {each.cause for each in answer.degradations}
    assert MODEL_NOT_READY in lost
    assert (day.answer_count, day.degraded_answer_count) == (1, 1)
    assert pb.DegradedAnswers(cause=MODEL_NOT_READY, answer_count=1) in day.degradations


async def test_a_foreign_token_joins_nothing_and_is_kept(shop: Shop) -> None:
    answer = await shop.recommend()
    token, (item, *_) = answer.attribution_token, products(answer)
    before, sent = outcomes(), impressions()
    for wrong in (
        twisted(token, catalog_id="other"),  # made for another catalog
        twisted(token, end=1),
        twisted(token, answer_id="../../x"),
        "not a token",
    ):
        await shop.write(answer, ("IMPRESSION", item), attribution_token=wrong)
    await shop.write(
        answer, ("IMPRESSION", item), attribution_token=twisted(token, answer_id="nobodys")
    )

    report = await shop.report()

    assert [group.impression_count for group in report.groups] == [0]
    assert report.attribution == pb.AttributionCounts(token_count=5, named_count=1, joined_count=0)
    asked = event_service_pb2.GetEventsRequest(shopper=ANN)
    kept = (await shop.ranker.events.GetEvents(asked)).events
    assert {one.attribution_token for one in kept} >= {"not a token"}
    assert sorted(one.answer_id for one in kept) == [*[""] * 4, "nobodys"]
    assert outcomes() - before == {"unreadable": 2, "foreign": 1, "expired": 1, "named": 1}
    assert impressions() - sent == 5


async def test_a_token_joins_only_in_its_own_catalog(shop: Shop) -> None:
    answer = await shop.recommend()
    (item, *_) = products(answer)
    await shop.write(answer, ("IMPRESSION", item), catalog="other")
    assert [group.impression_count for group in (await shop.report()).groups] == [0]
    there = await shop.report(catalog_id="other")
    assert (len(there.groups), there.attribution.token_count) == (0, 1)


async def test_a_callers_own_answer_id_is_no_matter(shop: Shop) -> None:
    answer = await shop.recommend()
    (item, *_) = products(answer)
    await shop.write(answer, ("IMPRESSION", item), answer_id="mine")
    await shop.write(answer, ("CLICK", item), attribution_token="", answer_id="mine")
    asked = event_service_pb2.GetEventsRequest(shopper=ANN)
    clicked, shown = (await shop.ranker.events.GetEvents(asked)).events
    assert (clicked.answer_id, bool(shown.answer_id)) == ("", True)
    assert shown.answer_id != "mine"


async def test_a_purchase_counts_within_its_window(suite: Suite) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a", arms=["blue", "test"], scene="home")
    record.answer_time.seconds = event(ago=6 * DAYS).event_time.seconds
    record.versions.model_version = "m1"
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    await suite.answers.RecordAnswers(request)
    events = [event("r0", "IMPRESSION", ago=5 * DAYS), event("r0", "PURCHASE", ago=2 * DAYS)]
    for one in events:
        one.answer_id = "a"
    await suite.append(*events)

    long, short = [
        await suite.models.GetOnlineReport(pb.GetOnlineReportRequest(conversion_days=days))
        for days in (3, 2)
    ]

    assert [(one.model_version, one.scene, one.arm) for one in long.groups] == [
        ("m1", "home", "blue"),
        ("m1", "home", "test"),
    ]
    assert [one.conversion.count for one in long.groups] == [1, 1]
    assert [one.conversion.count for one in short.groups] == [0, 0]
    recent = await suite.models.GetOnlineReport(pb.GetOnlineReportRequest(days=5))
    assert not recent.groups


async def test_what_a_worker_found_is_in_the_report(shop: Shop, tmp_path: Path) -> None:
    assert not (await shop.report()).HasField("health")
    answer = await shop.recommend()
    await shop.write(answer, *(("IMPRESSION", item) for item in products(answer)))
    store = ModelStore(str(tmp_path / "models"))
    compared = partial(health.windows, days=7, reference_days=28)
    await Watch(shop.ranker.database, store, ("default",), 3600, compared).look()
    found = (await shop.report()).health
    assert found.compute_time.seconds > found.start_time.seconds > found.reference_time.seconds
    assert [one.policy for one in found.policies] == ["served", "raw_score"]
    served = found.policies[0]
    assert served.impression_count == len(products(answer))
    assert served.refusal.startswith("NOT MEASURED: effective sample size")
    assert not served.HasField("snips")
    assert {one.item for one in found.drift} >= {"event_types", "category", "raw_score"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"days": -1}, "days"),
        ({"days": 366}, "days"),
        ({"conversion_days": 91}, "conversion_days"),
    ],
)
async def test_a_time_out_of_range_is_refused(shop: Shop, fields, field: str) -> None:
    error = await refusal(shop.report(**fields))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", field)


@pytest.mark.parametrize("arms", [[""], ["a\nb"], ["x" * 65], [f"a{n}" for n in range(17)]])
async def test_arms_that_can_not_be_separated_are_refused(suite: Suite, arms: list[str]) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a", arms=arms)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    error = await refusal(suite.answers.RecordAnswers(request))
    assert error.violations[0].field == "answers[0].arms"


class Counts(dict[str, int]):
    """Numbers by name that can be subtracted."""

    def __sub__(self, other: "Counts") -> dict[str, int]:
        changed = {name: count - other.get(name, 0) for name, count in self.items()}
        return {name: count for name, count in changed.items() if count}


async def test_pages_and_what_they_lead_to_are_counted_by_scene(shop: Shop) -> None:
    before = of_scene()
    answer = await shop.recommend()
    first, second, *_ = products(answer)
    await shop.write(answer, ("CLICK", first), ("CLICK", second), ("PURCHASE", first))
    foreign = twisted(answer.attribution_token, scene="home", catalog_id="other")
    await shop.write(answer, ("CLICK", first), attribution_token=foreign)
    everything = [f"p{number}" for number in range(100)]
    request = rec.RecommendRequest(
        signals=[rec.QuerySignal(image=b"\xff\xd8 \xff\xd9")],
        exclude_product_ids=everything,
    )
    empty = await shop.front.recommendation.Recommend(request)
    assert not empty.results

    assert of_scene() - before == {"filled": 1, "empty": 1, "click": 2, "purchase": 1}


def of_scene() -> Counts:
    """Return the pages of the default scene so far by outcome, and their events by type."""
    names = {
        ("sightline_gateway_scene_pages_total", "outcome"): ("filled", "empty"),
        ("sightline_gateway_scene_events_total", "type"): ("click", "purchase", "hide"),
    }
    return Counts(
        {
            value: int(REGISTRY.get_sample_value(name, {"scene": "default", label: value}) or 0)
            for (name, label), values in names.items()
            for value in values
        }
    )


def impressions() -> float:
    """Return the number of impressions sent so far."""
    labels = {"type": "impression"}
    return REGISTRY.get_sample_value("sightline_gateway_events_total", labels) or 0.0


def outcomes() -> Counts:
    """Return the number of tokens so far by outcome."""
    name = "sightline_gateway_attributions_total"
    return Counts(
        {
            outcome: int(REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0)
            for outcome in ("named", "unreadable", "foreign", "expired")
        }
    )
