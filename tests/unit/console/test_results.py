"""The screen "Results"."""

import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import admin_service_pb2
from sightline.ranker.v1 import experiment_service_pb2 as experiments
from sightline.ranker.v1 import online_report_pb2 as pb
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.fakes.gateway_reports import ORDER, VERDICT, experiment_report
from tests.unit.console.conftest import Browser

DENIED = status(code_pb2.PERMISSION_DENIED, "needs the role models", reason="ROLE_MISSING")


DAY = 86_400
DEADLINE, RANKER = (
    answer_pb2.Degradation.CAUSE_STAGE_DEADLINE,
    answer_pb2.Degradation.CAUSE_RANKER_UNAVAILABLE,
)


def day(scene: str, number: int, **counts: Any) -> pb.OnlineDay:
    """Return what was counted on a day after the first one."""
    return pb.OnlineDay(scene=scene, start_time={"seconds": 1_760_000_000 + DAY * number}, **counts)


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the rows of the first table below a heading."""
    body = page.partition(f"<h2>{heading}</h2>")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall("<bdi>(.*?)</bdi>", each) for each in body.split("<tr>")[1:]]


@pytest.fixture
def week(gateway: FakeGateway) -> pb.OnlineReport:
    """Let the report have two scenes and 20 days."""
    shown = {"answer_count": 4, "impression_count": 40, "impression_estimate": 80.0}
    euros = [pb.OnlineRevenue(currency_code="EUR", amount=20.0)]
    days = [day("home", n, click_count=n, revenues=euros, **shown) for n in range(20)]
    days[3].degraded_answer_count, days[3].empty_answer_count = 2, 1
    for cause, count in ((DEADLINE, 2), (RANKER, 1)):
        days[3].degradations.add(cause=cause, answer_count=count)
    dollars = [pb.OnlineRevenue(currency_code="USD", amount=1.0)]
    days.append(day("", 19, click_count=5, purchase_count=3, unpriced_count=2, **shown))
    days[-1].revenues.extend([*euros, *dollars])
    gateway.online_report = pb.OnlineReport(days=days)
    return gateway.online_report


async def test_scenes_are_counted_over_their_days(
    week: pb.OnlineReport, web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open("/results?days=28")).text
    (asked,) = gateway.requests["GetOnlineReport"]
    assert (asked.days, asked.by_day) == (28, True)
    without, home = rows(page, "By scene")
    assert home == ["home", "80", "1", "2", "800", "190", "237.5", "0", "0.0", "250.00 EUR"]
    assert without == [
        *("–", "4", "0", "0", "40", "5", "125.0", "3", "75.0", "250.00 EUR · 12.50 USD"),
    ]
    assert "2 pieces were bought without a price" in page


async def test_degraded_answers_are_counted_by_cause(week: pb.OnlineReport, web: Browser) -> None:
    page = (await web.open("/results")).text
    told = page.partition("degraded because")[2].partition("</table>")[0]
    cells = re.findall("<bdi>(.*?)</bdi>", told)
    assert cells[0] == "a stage exceeded its share of the deadline"
    assert cells[1:3] == ["2", "2.4%"]
    assert cells[4:] == ["1", "1.2%"]


async def test_each_day_is_drawn_and_has_a_line(week: pb.OnlineReport, web: Browser) -> None:
    page = (await web.open("/results?days=28")).text
    days = rows(page, "By day")
    assert [each[5] for each in days] == [*map(str, range(19)), "24"]
    assert days[-1][0].startswith("2025-10-28")
    assert page.count("<rect x=") == 14, "the last ones"
    assert 'height="42.0"' in page
    assert page.count("By day: scene home</summary>") == 1


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
    assert "Add synonyms for these words" in page.partition("Searches without result")[2]
    asked = {each.nothing_found: each.page_size for each in gateway.requests["ListTopSearches"]}
    assert asked == {False: 20, True: 200}, "few of the top twenty find nothing"


async def test_of_the_searches_without_result_the_first_are_shown(
    web: Browser, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline_console.screens.results.SEARCHES", 1)
    page = (await web.open("/results")).text
    assert len(rows(page, "Searches without result")) == 1


async def test_without_searches_the_page_says_what_to_send(
    no_searches: None, web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open("/results")).text
    assert "No text of at least 20 shoppers" in page
    assert "None of the top 200 searches is without result." in page


@pytest.fixture
def no_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """List no searches. Request it before the gateway, which keeps the methods that it finds."""

    def none(_admin: Any, _request: Any, _context: Any) -> Any:
        return admin_service_pb2.ListTopSearchesResponse(least_shoppers=20)

    monkeypatch.setattr("tests.fakes.gateway_admin.Admin.ListTopSearches", none)


async def test_an_experiment_begins_with_its_verdict_and_has_a_plot(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.experiments = experiments.ListExperimentsResponse(experiments=[ORDER])
    gateway.experiment_report = experiment_report(VERDICT.VERDICT_BETTER)
    page = (await web.open("/results")).text
    verdict = '<p class="strong"><bdi>b is better than control: click_rate changes by +0.0500'
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
    gateway.online_report = pb.OnlineReport(days=[day("<b>x</b>", 0, answer_count=1)])
    page = (await web.open("/results")).text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x" in page
