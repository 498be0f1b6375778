"""``sightline models online``: requests and output."""

import json
from datetime import timedelta

from typer.testing import CliRunner, Result

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
