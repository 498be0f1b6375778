"""Experiments from the request to the report: a real ranker on each engine, and a real gateway."""

import asyncio
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from typer.testing import CliRunner

from sightline.common.v1 import event_pb2, job_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2
from sightline.ranker.v1 import experiment_service_pb2 as pb
from sightline_client.cli import app
from tests.fakes.gateway_wire import Suite as Front
from tests.fakes.gateway_wire import running
from tests.wire.ranker_suite import HOUR, Suite, at_work, event, now_micros, refusal, suite

__all__ = ["suite"]

DAY = 24 * HOUR
NOW = now_micros() // 1_000_000
"""Seconds since 1970; the same for each, as what began is not changed."""


def experiment(*, began: int = 10 * DAY, **changes) -> pb.Experiment:
    fields = {
        "name": "order",
        "layer": "default",
        "layer_end": 1.0,
        "scenes": ["default"],
        "arms": [
            pb.ExperimentArm(name="control", share=0.5),
            pb.ExperimentArm(name="b", share=0.5),
        ],
        "start_time": Timestamp(seconds=NOW - began),
        "metric": "click_rate",
        "currency": "EUR",
        "outcome_window": Duration(seconds=DAY),
        "planned_units": 1000,
        **changes,
    }
    return pb.Experiment(**fields)


async def register(ranker: Suite, *experiments: pb.Experiment) -> int:
    request = pb.RegisterExperimentsRequest(experiments=experiments)
    return (await ranker.experiments.RegisterExperiments(request)).written_count


async def kept(ranker: Suite) -> list[pb.Experiment]:
    return list((await ranker.experiments.ListExperiments(pb.ListExperimentsRequest())).experiments)


async def report(ranker: Suite, name: str = "order") -> pb.ExperimentReport:
    request = pb.GetExperimentReportRequest(name=name)
    return await ranker.experiments.GetExperimentReport(request)


def euros(units: int) -> Money:
    return Money(currency_code="EUR", units=units)


def did(
    who: str, arm: str, *what: str, ago: int = 3 * DAY, product_id: str = "r0", **fields
) -> Iterable[event_pb2.Event]:
    """Yield a user's events after an impression of the arm, seconds apart."""
    shopper = event_pb2.Shopper(user_id=who)
    for after, kind in enumerate(("IMPRESSION", *what)):
        values = {"arm": arm and f"order/{arm}", "shopper": shopper, **fields}
        if kind != "PURCHASE":
            values.pop("unit_price", None)
        yield event(product_id, kind, ago=ago - after, **values)


async def test_units_are_counted_once_they_saw_an_answer_and_by_what_they_did_in_their_time(suite):
    await register(suite, experiment())
    paid = {"unit_price": Money(currency_code="EUR", units=12, nanos=500_000_000), "quantity": 2}
    await suite.append(
        *did("ann", "control", "IMPRESSION", "CLICK", "CLICK", "PURCHASE", **paid),
        *did("bob", "b", "HIDE"),
        *did("eve", "b", ago=HOUR),  # seen, not counted yet
        *did("old", "b", ago=20 * DAY),  # before it began
        *list(did("joe", "b", "CLICK"))[1:],  # never saw it
        event("r1", "PURCHASE", ago=DAY, shopper=event_pb2.Shopper(user_id="bob")),  # too late
        *did("two", "b", "CLICK"),
        *did("two", "control", "CLICK", "IMPRESSION", ago=3 * DAY - HOUR),  # after the login
    )

    found = await report(suite)

    assert [(arm.name, arm.exposed_count, arm.unit_count) for arm in found.arms] == [
        ("control", 1, 1),
        ("b", 3, 2),
    ]
    means = [{one.metric: one.mean for one in arm.metrics} for arm in found.arms]
    assert means == [
        {
            **{"click_rate": 1, "clicks": 2, "conversion_rate": 1, "hide_rate": 0},
            **{"revenue": 25, "revenue_per_impression": 12.5},
        },
        {
            **{"click_rate": 0.5, "clicks": 1, "conversion_rate": 0, "hide_rate": 0.5},
            **{"revenue": 0, "revenue_per_impression": 0},
        },
    ]
    assert found.mixed_unit_count == 1
    assert found.arms[1].verdict == pb.ArmReport.VERDICT_TOO_FEW
    assert not found.sample_ratio_mismatch


async def test_purchases_count_by_their_price_else_by_the_product_s_and_margins_by_its_cost(suite):
    await register(suite, experiment())
    paid = {"unit_price": euros(12), "quantity": 2}
    await suite.append(
        *did("ann", "control", "PURCHASE", **paid),
        *did("bob", "b", "PURCHASE", product_id="r1"),
        *did("eve", "b", "IMPRESSION", "PURCHASE", product_id="r2"),  # the shop has it no more
    )
    bought = await suite.experiments.ListExperimentProducts(
        pb.ListExperimentProductsRequest(name="order")
    )
    offers = [
        pb.ProductOffer(product_id="r0", price=euros(10), cost=euros(5)),
        pb.ProductOffer(product_id="r1", price=euros(8), cost=euros(9)),
    ]
    found = await suite.experiments.CountExperiment(
        pb.CountExperimentRequest(name="order", offers=offers)
    )

    assert bought.product_ids == ["r0", "r1", "r2"]
    control, b = ({one.metric: one.mean for one in arm.metrics} for arm in found.arms)
    assert (control["revenue"], control["margin"]) == (24, 14)
    assert (control["revenue_per_impression"], control["margin_per_impression"]) == (24, 14)
    assert (b["revenue"], b["margin"]) == (4, -0.5)
    assert b["revenue_per_impression"] == pytest.approx(8 / 3)
    assert b["margin_per_impression"] == pytest.approx(-1 / 3)
    assert [(arm.unpriced_count, arm.uncosted_count) for arm in found.arms] == [(0, 0), (1, 1)]


async def test_without_a_currency_there_is_no_money_and_without_a_cost_no_margin(suite):
    await register(suite, experiment(currency=""), experiment(name="priced", layer="other"))
    await suite.append(*did("ann", "control", "PURCHASE"))
    bought = await suite.experiments.ListExperimentProducts(
        pb.ListExperimentProductsRequest(name="order")
    )
    none = await report(suite)
    euro = await suite.experiments.CountExperiment(
        pb.CountExperimentRequest(
            name="priced", offers=[pb.ProductOffer(product_id="r0", price=euros(10))]
        )
    )

    assert not bought.product_ids
    assert not any("revenue" in one.metric for arm in none.arms for one in arm.metrics)
    assert [one.metric for one in euro.arms[0].metrics][-2:] == [
        "revenue",
        "revenue_per_impression",
    ]


async def test_who_is_merged_counts_in_the_first_arm_and_who_is_purged_in_none(suite):
    await register(suite, experiment())
    visitor = event_pb2.Shopper(visitor_id="cookie")
    await suite.append(
        *did("ann", "control"),
        *did("bob", "b"),
        *did("", "b", shopper=visitor, ago=4 * DAY),
        *did("cat", "b"),
    )
    assert [arm.unit_count for arm in (await report(suite)).arms] == [1, 3]

    merge = user_event_service_pb2.MergeShopperRequest(to=event_pb2.Shopper(user_id="ann"))
    getattr(merge, "from").CopyFrom(visitor)
    await suite.events.MergeShopper(merge)

    found = await report(suite)
    assert [arm.unit_count for arm in found.arms] == [0, 3]
    assert found.mixed_unit_count == 1

    purge = user_event_service_pb2.PurgeEventsRequest(shopper=event_pb2.Shopper(user_id="cat"))
    purge.force = True
    async with at_work(suite):
        job = (await suite.events.PurgeEvents(purge)).job
        watch = job_service_pb2.WatchJobRequest(job_id=job.job_id)
        _ = [state async for state in suite.jobs.WatchJob(watch)]

    assert [arm.unit_count for arm in (await report(suite)).arms] == [0, 2]


async def test_an_effect_and_a_wrong_sample_ratio_are_found_and_units_come_in_pages(suite):
    await register(suite, experiment(guardrails=[pb.Guardrail(metric="hide_rate", margin=0.01)]))
    for arm, units, clicks in (("control", 400, 4), ("b", 410, 2)):
        for start in range(0, units, 200):
            await suite.append(
                *(
                    one
                    for n in range(start, min(start + 200, units))
                    for one in did(f"{arm} {n}", arm, *(["CLICK"] if n % clicks == 0 else []))
                )
            )

    found = await report(suite)
    asked = pb.ListExperimentUnitsRequest(name="order", page_size=500)
    first = await suite.experiments.ListExperimentUnits(asked)
    asked.page_token = first.next_page_token
    second = await suite.experiments.ListExperimentUnits(asked)
    await suite.append(*(one for n in range(300) for one in did(f"more {n}", "b")))
    wrong = await report(suite)

    effect = next(one for one in found.arms[1].metrics if one.metric == "click_rate").effect
    assert (effect.value, found.arms[1].verdict) == (0.25, pb.ArmReport.VERDICT_BETTER)
    assert 0.1 < effect.lower < 0.25 < effect.upper < 0.4
    units = [*first.units, *second.units]
    assert (len(first.units), len(units), second.next_page_token) == (500, 810, "")
    assert len({one.unit for one in units}) == 810
    assert sum(one.click_count for one in units if one.arm == "b") == 205
    assert not found.sample_ratio_mismatch
    assert wrong.sample_ratio_mismatch
    assert wrong.arms[1].verdict == pb.ArmReport.VERDICT_SAMPLE_RATIO_MISMATCH


async def test_what_is_under_way_can_not_be_changed_and_what_is_taken_away_ends(suite):
    later = experiment(name="later", layer="cart", scenes=["cart"], began=-(10**9))
    assert await register(suite, experiment(), later) == 2
    assert await register(suite, experiment(), later) == 0
    shares = [pb.ExperimentArm(name="control", share=0.5), pb.ExperimentArm(name="b", share=0.4)]
    moved = experiment(name="later", layer="cart", scenes=["cart"], began=-(10**9), arms=shares)
    before = await kept(suite)

    error = await refusal(register(suite, experiment(arms=shares, seed="2"), moved))

    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "EXPERIMENT_CHANGED")
    fields = [one.field for one in error.violations]
    assert fields == ["experiments[0].seed", "experiments[0].arms[1].share"]
    assert "from 0.5 to 0.4" in error.message
    assert await kept(suite) == before, "the former state stays"
    assert await register(suite, experiment(description="words may change"), moved) == 2
    assert await register(suite, moved) == 1
    (ended,) = [one for one in await kept(suite) if one.name == "order"]
    assert abs(ended.end_time.seconds - now_micros() / 1e6) < 60


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"layer_end": 1.5}, "layer_end"),
        ({"arms": []}, "arms"),
        ({"arms": [pb.ExperimentArm(name="a", share=0.9)] * 2}, "arms"),
        ({"metric": "joy"}, "metric"),
        ({"outcome_window": Duration(seconds=1)}, "outcome_window"),
        ({"planned_units": 0}, "planned_units"),
    ],
)
async def test_what_makes_no_sense_is_refused(suite, changes, field):
    error = await refusal(register(suite, experiment(**changes)))

    assert error.reason == "REQUEST_INVALID"
    assert error.violations[0].field == f"experiments[0].{field}"


async def test_an_unknown_one_is_not_found(suite):
    assert (await refusal(report(suite, "nope"))).reason == "EXPERIMENT_NOT_FOUND"


FILE = """
scenes = ["default"]
start = 2026-01-01T00:00:00Z
metric = "click_rate"
outcome_hours = 1
[[arms]]
name = "control"
share = 0.5
[[arms]]
name = "b"
share = 0.5
"""


async def recommended(front: Front, user: str) -> rec.RecommendResponse:
    return await front.recommendation.Recommend(
        rec.RecommendRequest(shopper=event_pb2.Shopper(user_id=user))
    )


async def test_the_arm_goes_from_the_answer_by_its_token_into_the_event_and_the_report(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The report counts events after an hour: those of answers that are made now come before them.
    monkeypatch.setattr("gateway.state.tokens.SKEW_SECONDS", 3 * HOUR)
    # Other tests may occupy the processor; without an answer a shopper is in no experiment.
    monkeypatch.setattr("gateway.state.experiments.CONSENT_SECONDS", 10.0)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "order.toml").write_text(FILE)
    where = {"ranker_target": suite.target, "experiments_folder": folder}
    async with running(**where) as front:
        listed = await front.admin.ListExperiments(pb.ListExperimentsRequest())
        answers = {f"u{n}": await recommended(front, f"u{n}") for n in range(8)}
        for user, answer in answers.items():
            shown = event(
                "p1",
                "IMPRESSION",
                ago=2 * HOUR,
                shopper=event_pb2.Shopper(user_id=user),
                attribution_token=answer.attribution_token,
                arm="order/made-up",
            )
            alone = event("p1", "IMPRESSION", ago=2 * HOUR, arm="order/b")  # has no token
            request = user_event_service_pb2.WriteEventsRequest(events=[shown, alone])
            await front.events.WriteEvents(request)
        found = await front.admin.GetExperimentReport(pb.GetExperimentReportRequest(name="order"))
    (folder / "order.toml").write_text(FILE.replace("0.5", "0.1"))
    async with running(**where) as front:
        changed = await front.admin.ListExperiments(pb.ListExperimentsRequest())
        again = {user: await recommended(front, user) for user in answers}

    arms = [answer.experiment_arms[0] for answer in answers.values()]
    assert [one.name for one in listed.experiments] == ["order"]
    assert (listed.problem, set(arms)) == ("", {"order/control", "order/b"})
    assert [arm.unit_count for arm in found.arms] == [
        arms.count("order/control"),
        arms.count("order/b"),
    ]
    assert "arms[0].share" in changed.problem
    assert arms == [answer.experiment_arms[0] for answer in again.values()]


PAGE = (Path(__file__).parents[2] / "docs/merchandise/experiments.md").read_text("utf-8")
TRANSCRIPT = re.findall(r"^```\n\$ (sightline experiments .+)\n((?:.*\n)+?)```$", PAGE, re.M)


@pytest.mark.when("docs/merchandise")
async def test_an_experiment_reads_as_the_page_shows_it(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "home-order.toml").write_text(re.sub('scene = "varied".*', "", text))
    for arm, clicks, hides in (("control", 0.2, 0.02), ("varied", 0.27, 0.022)):
        for start in range(0, 1000, 250):
            units = range(start, start + 250)
            did_so = [
                (n, [*["CLICK"] * ((n * 7) % 100 < 100 * clicks), *["HIDE"] * (n < 1000 * hides)])
                for n in units
            ]
            events = [one for n, what in did_so for one in did(f"{arm} {n}", arm, *what)]
            for one in events:
                one.arm = f"home-order/{arm}"
            await suite.append(*events)
    typed = []
    async with running(ranker_target=suite.target, experiments_folder=tmp_path) as front:
        for line in (*(line for line, _ in TRANSCRIPT), "sightline experiments show nope"):
            words = [*shlex.split(line)[1:], "--target", f"127.0.0.1:{front.port}"]
            done = await asyncio.to_thread(CliRunner().invoke, app, words)
            typed.append((line, tidy(done.output)))

    assert "Fix: use a name that `sightline experiments list` shows" in typed.pop()[1]
    assert typed == [(line, tidy(shown)) for line, shown in TRANSCRIPT]
    assert len(typed) == 3


LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n")
"""Log lines of the services in this process."""


def tidy(text: str) -> str:
    return "\n".join(map(str.rstrip, LOGGED.sub("", text).splitlines())).strip("\n")
