"""The screen "Results"."""

import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.ranker.v1 import experiment_service_pb2 as experiments
from sightline.ranker.v1 import online_report_pb2 as pb
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.fakes.gateway_reports import ORDER, VERDICT, experiment_report
from tests.unit.console.conftest import Browser

DENIED = status(code_pb2.PERMISSION_DENIED, "needs the role models", reason="ROLE_MISSING")


def group(scene: str, answers: int, shown: int, clicks: int, arm: str = "") -> pb.OnlineGroup:
    return pb.OnlineGroup(
        scene=scene,
        arm=arm,
        answer_count=answers,
        impression_count=shown,
        click_through=pb.Rate(count=clicks),
        conversion=pb.Rate(count=1),
    )


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the rows of the first table below a heading."""
    body = page.partition(f"<h2>{heading}</h2>")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall("<bdi>(.*?)</bdi>", each) for each in body.split("<tr>")[1:]]


@pytest.fixture
def week(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the report of N days have N times as many clicks in one of the scenes. Request it before
    the gateway, which keeps the methods that it finds."""

    def get(admin: Any, request: Any, context: Any) -> pb.OnlineReport:
        admin._gateway.take("GetOnlineReport", request, context)
        days = request.days
        return pb.OnlineReport(
            groups=[
                group("home", 2 * days, 20 * days, days),
                group("home", 1, 0, 0, "blue"),
                group("", 7, 100, 50),
            ]
        )

    monkeypatch.setattr("tests.fakes.gateway_admin.Admin.GetOnlineReport", get)


async def test_scenes_are_counted_over_their_models_and_arms(week: None, web: Browser) -> None:
    page = (await web.open("/results")).text
    without, home = rows(page, "By scene")
    assert home == ["home", "15", "140", "7", "50.0", "2", "14.3"]
    assert without[:4] == ["–", "7", "100", "50"]


async def test_a_day_is_what_a_longer_period_has_more(
    week: None, web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open("/results?days=28")).text
    assert {each.days for each in gateway.requests["GetOnlineReport"]} == {*range(1, 8), 28}
    days = rows(page, "By day")
    assert len(days) == 7
    assert [each[3] for each in days] == ["1"] * 6 + ["51"], (
        "groups that no day adds to belong to the newest one"
    )
    assert page.count("<rect x=") == 7
    assert 'height="42.0"' in page


async def test_without_answers_the_page_says_what_to_send(web: Browser) -> None:
    page = (await web.open("/results?days=junk")).text
    assert "No answer of this period is recorded." in page
    assert "attribution token" in page
    assert "<h2>By day</h2>" not in page
    assert "No experiments." in page


async def test_searches_with_and_without_result(web: Browser, gateway: FakeGateway) -> None:
    page = (await web.open("/results")).text
    assert "merlot" in page
    assert "1,234" in page
    assert [each.nothing_found for each in gateway.requests["ListTopSearches"]] in (
        [False, True],
        [True, False],
    )


async def test_an_experiment_begins_with_its_verdict_and_has_a_plot(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.experiments = experiments.ListExperimentsResponse(experiments=[ORDER])
    gateway.experiment_report = experiment_report(VERDICT.VERDICT_BETTER)
    page = (await web.open("/results")).text
    verdict = '<p class="strong">b is better than control: click_rate changes by +0.0500'
    assert verdict in page
    assert '<div class="row better">' in page
    assert "+0.0500 [+0.0100, +0.0900]" in page
    assert "hide_rate (guardrail 0.01)" in page


async def test_a_key_without_the_role_is_told_in_a_sentence(
    web: Browser, gateway: FakeGateway
) -> None:
    for method in ("GetOnlineReport", "ListTopSearches", "ListExperiments"):
        gateway.after[method] = (0, DENIED)
    page = await web.open("/results")
    assert page.status_code == 200
    assert page.text.count("Your key does not allow this.") == 4
    assert "needs the role models" in page.text


async def test_without_a_gateway_there_is_one_error(web: Browser, gateway: FakeGateway) -> None:
    gateway.__exit__(None, None, None)
    page = await web.open("/results")
    assert page.status_code == 503
    assert "No gateway answers the console." in page.text


async def test_names_are_no_markup(web: Browser, gateway: FakeGateway) -> None:
    gateway.online_report = pb.OnlineReport(groups=[group("<b>x</b>", 1, 1, 1)])
    page = (await web.open("/results")).text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x" in page
