"""The screen "Health"."""

import re

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.ranker.v1 import online_report_pb2 as online
from sightline_client.values.answers import Cause
from sightline_client.version import VERSION
from sightline_console.screens.degraded import FIXES
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser

DENIED = status(code_pb2.PERMISSION_DENIED, "needs a role", reason="ROLE_MISSING")


async def test_a_sound_suite_has_parts_versions_and_no_problem(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.status.components[0].version = VERSION
    page = (await web.open("/health")).text
    assert '<p class="strong">No problem found.</p>' in page
    assert "photos: 99 in the index, 1 pending embedding" in page
    assert page.count(VERSION) == 2, "of the gateway and of the console"
    assert "Each caller may use 1 times the quotas" in page


async def test_findings_are_those_of_the_doctor_each_with_its_fix(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.status.scene_problems.add(path="home.toml", text="<b>plce</b> is unknown")
    gateway.status.components.add(component="ranker").status.CopyFrom(
        status(code_pb2.UNAVAILABLE, "gone")
    )
    gateway.status.freshness.CopyFrom(answer_pb2.IndexFreshness(index_lag=Duration(seconds=3600)))
    gateway.experiments.problem = "arms[1].share"
    gateway.serves = False
    page = (await web.open("/health")).text
    assert "4 problems found." in page
    for text in (
        "ranker does not answer: gone",
        "scene file rejected: home.toml: &lt;b&gt;plce",
        "<code>sightline scenes check</code>",
        "the index is 3600 s behind the catalog",
        "experiment file rejected: arms[1].share",
        "ranking model: none yet; 7 of 100 returning shoppers",
        "<b>Next: </b>",
    ):
        assert text in page, text
    assert page.count('<li class="fault">') == 4


async def test_a_key_of_fewer_roles_sees_what_it_may(web: Browser, gateway: FakeGateway) -> None:
    for method in ("ListModels", "ListExperiments", "GetCatalog", "GetOnlineReport"):
        gateway.after[method] = (0, DENIED)
    page = await web.open("/health")
    assert page.status_code == 200
    assert "No problem found." in page.text
    assert "Your key does not allow this." in page.text
    gateway.after["GetStatus"] = (0, DENIED)
    assert (await web.open("/health")).status_code == 403


async def test_rows_that_open_imports_rejected_are_told_with_their_reason(
    web: Browser, gateway: FakeGateway
) -> None:
    assert "No open import has rejected a row." in (await web.open("/health")).text
    gateway.rejected_rows.rows.add(
        import_id="autumn",
        row_number=1234,
        product_id='a/"<b>',
        status=status(code_pb2.INVALID_ARGUMENT, "<i>no title", reason="PRODUCT_INVALID"),
    )
    gateway.rejected_rows.rows.add(
        import_id="אביב", row_number=7, status=status(code_pb2.INVALID_ARGUMENT, "empty id")
    )
    page = (await web.open("/health")).text
    for text in ("autumn", "1,234", "a/&#34;&lt;b&gt;", "&lt;i&gt;no title", "אביב", "empty id"):
        assert text in page, text
    assert "No open import" not in page
    assert gateway.requests["ListRejectedRows"][-1].page_size == 50


async def test_a_key_without_the_catalog_role_sees_all_but_rejected_rows(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.after["ListRejectedRows"] = (0, DENIED)
    page = await web.open("/health")
    assert page.status_code == 200
    assert "No problem found." in page.text
    assert "Your key does not allow this." in page.text


async def test_an_empty_catalog_has_a_next_step(web: Browser, gateway: FakeGateway) -> None:
    gateway.status.CopyFrom(admin.GetStatusResponse(products=0))
    page = (await web.open("/health")).text
    assert "the catalog is empty" in page
    assert "<code>sightline products import FILE</code>" in page


DAY = 86_400
CAUSES = answer_pb2.Degradation


@pytest.fixture
def week(gateway: FakeGateway) -> online.OnlineReport:
    """Let the last day have more degraded answers than those before."""
    end = 1_760_000_000
    report = online.OnlineReport(end_time={"seconds": end})
    for scene, days, answers in (("home", 1, 50), ("cart", 1, 50), ("home", 2, 900)):
        report.days.add(start_time={"seconds": end - days * DAY}, scene=scene, answer_count=answers)
    for day, count, cause in (
        (report.days[0], 10, CAUSES.CAUSE_RANKER_UNAVAILABLE),
        (report.days[2], 20, CAUSES.CAUSE_STAGE_DEADLINE),
    ):
        day.degraded_answer_count = count
        day.degradations.add(cause=cause, answer_count=count)
    gateway.online_report = report
    return report


def section(page: str, heading: str) -> str:
    """Return what stands below a heading."""
    return page.partition(f"<h2>{heading}</h2>")[2].partition("<h2>")[0]


async def test_the_share_of_degraded_answers_is_told_by_cause_with_what_to_do(
    week: online.OnlineReport, web: Browser, gateway: FakeGateway
) -> None:
    told = section((await web.open("/health")).text, "Degraded answers")
    (asked,) = gateway.requests["GetOnlineReport"]
    assert (asked.days, asked.by_day) == (7, True)
    assert "of the last 24 hours 10 (10.0%) were degraded" in told
    assert "of the last 7 days 30 (3.0%)" in told
    cells = re.findall("<td[^>]*><bdi>(.*?)</bdi></td>", told)
    assert [cells[at : at + 3] for at in (0, 4)] == [
        ["a stage exceeded its share of the deadline", "0 (0.0%)", "20 (2.0%)"],
        [
            "the ranker did not answer: products are ordered by similarity",
            *("10 (10.0%)", "10 (1.0%)"),
        ],
    ]
    assert cells[3].startswith("sightline recommend --verbose shows the slow stage")
    assert "whether the ranker answers" in cells[7]
    assert 'href="/results"' in told


def test_each_cause_has_something_to_do() -> None:
    assert FIXES.keys() == {*Cause}


async def test_without_a_degraded_answer_there_is_nothing_to_do(
    week: online.OnlineReport, web: Browser
) -> None:
    del week.days[:2]
    week.days[0].degraded_answer_count = 0
    del week.days[0].degradations[:]
    told = section((await web.open("/health")).text, "Degraded answers")
    assert "0 (0.0%)" in told
    assert "Nothing to do." in told
    del week.days[:]
    told = section((await web.open("/health")).text, "Degraded answers")
    assert "No answer of the last 7 days is recorded." in told


async def test_freshness_says_what_to_do(web: Browser, gateway: FakeGateway) -> None:
    gateway.status.ClearField("freshness")
    told = section((await web.open("/health")).text, "Freshness")
    assert "not known how far the index is behind" in told
    assert "knows events until" in told
    gateway.status.freshness.CopyFrom(answer_pb2.IndexFreshness())
    assert "index: up to date" in section((await web.open("/health")).text, "Freshness")
    gateway.status.freshness.CopyFrom(answer_pb2.IndexFreshness(index_lag=Duration(seconds=90)))
    told = section((await web.open("/health")).text, "Freshness")
    assert '<p class="loss"><bdi>index: 90.0 s behind the catalog' in told
    assert "<code>sightline products status --wait</code>" in told


async def test_quotas_are_told_with_what_to_do(web: Browser, gateway: FakeGateway) -> None:
    told = section((await web.open("/health")).text, "Quotas")
    assert "The gateway names none" in told
    assert "<code>GATEWAY_QUOTA_CALLS</code>" in told
    gateway.status.quotas.add(kind="calls", rate=50, most=500, available=499.123)
    gateway.status.quotas.add(kind="<b>new", rate=0.5, most=5, available=-1)
    told = section((await web.open("/health")).text, "Quotas")
    cells = re.findall("<td[^>]*><bdi>(.*?)</bdi></td>", told)
    assert cells == ["calls", "50", "500", "499.12", "&lt;b&gt;new", "0.5", "5", "-1"]
    assert "QUOTA_EXHAUSTED" in told
    assert "--quota-share" in told


async def test_parts_and_files_say_what_to_do(web: Browser, gateway: FakeGateway) -> None:
    gateway.status.components[0].version = VERSION
    page = (await web.open("/health")).text
    assert "All parts answer." in section(page, "Parts")
    assert "All parts are of one release." in section(page, "Versions")
    files = section(page, "Rejected files and rows")
    assert "No file of scenes or experiments is rejected." in files
    part = gateway.status.components.add(component="ranker", version="0.1.0")
    gateway.status.scene_problems.add(path="home.toml", text="plce is unknown")
    gateway.experiments.problem = "arms[1].share"
    page = (await web.open("/health")).text
    releases = ", ".join(sorted(("0.1.0", VERSION)))
    assert f"of several releases, {releases}: run one" in section(page, "Versions")
    files = section(page, "Rejected files and rows")
    assert "2 files are rejected: see the problems above." in files
    part.status.CopyFrom(status(code_pb2.UNAVAILABLE, "gone"))
    page = (await web.open("/health")).text
    assert "read its log: ranker." in section(page, "Parts")
