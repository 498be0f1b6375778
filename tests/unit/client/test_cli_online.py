"""``sightline models online``: requests and output."""

import json
from datetime import timedelta

from typer.testing import CliRunner, Result

from sightline.common.v1 import answer_pb2
from sightline_client import SightlineClient
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_reports import online_report


def online(gateway: FakeGateway, *options: str) -> Result:
    where = ("--target", gateway.target, "--catalog", "shop")
    return CliRunner().invoke(app, ["models", "online", *options, *where])


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_online_report_shows_each_figure_in_words(gateway: FakeGateway) -> None:
    assert "No answers are recorded." in online(gateway).stdout
    assert "No event of this period has" in flat(online(gateway).stdout)
    gateway.online_report = online_report()
    printed = flat(online(gateway, "--days", "28", "--conversion-days", "2").stdout)
    assert gateway.requests["GetOnlineReport"][-1].days == 28
    assert "m1 home blue 9 (8) 80 clicked 5.00% 2.00% to 9.00% 4" in printed
    assert "bought 0.00% 0.00% to 0.00% 0" in printed
    assert "within 2 days after the click" in printed
    assert "6 clicked and 0 bought products" in printed
    assert "2 of 7 events" in printed
    assert "SNIPS 0.0500 0.0200 to 0.0900" in printed
    assert "raw_score: NOT MEASURED: too few" in printed
    assert "DRIFT Red 60%, was 30%" in printed
    shown = json.loads(online(gateway, "--json").stdout)
    assert shown["groups"][0]["clickThrough"]["count"] == "4"


def test_days_are_summed_up_by_scene_and_by_day(gateway: FakeGateway) -> None:
    gateway.online_report = online_report()
    day = gateway.online_report.days.add(
        start_time={"seconds": 0}, scene="home", answer_count=8, degraded_answer_count=2
    )
    day.impression_count, day.impression_estimate, day.click_count = 50, 100.0, 5
    day.revenues.add(currency_code="EUR", amount=12.5)
    day.degradations.add(cause=answer_pb2.Degradation.CAUSE_STAGE_DEADLINE, answer_count=2)
    printed = flat(online(gateway, "--by-day").stdout)
    assert gateway.requests["GetOnlineReport"][-1].by_day
    assert "home 8 0 2 50 5 100.0 0 0.0 125.00 EUR" in printed
    assert "1970-01-01 00:00:00Z 8 0 2 50" in printed
    assert "a stage exceeded its share of the deadline 2 25.0%" in printed


async def test_the_report_is_plain_values(gateway: FakeGateway) -> None:
    gateway.online_report = online_report()
    async with SightlineClient(gateway.target) as client:
        found = await client.online_report(days=3)
        gateway.online_report.ClearField("health")
        without = await client.online_report()
    assert gateway.requests["GetOnlineReport"][0].days == 3
    assert found.conversion_window == timedelta(days=2)
    assert found.groups[0].click_through.upper == 0.09
    assert found.health is not None
    assert [policy.snips is None for policy in found.health.policies] == [False, True]
    assert without.health is None
