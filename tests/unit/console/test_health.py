"""The screen "Health"."""

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline_client.version import VERSION
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
    for method in ("ListModels", "ListExperiments", "GetCatalog"):
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
