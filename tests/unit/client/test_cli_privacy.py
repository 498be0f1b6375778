"""``sightline privacy`` and the client's calls for it: requests and output."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner, Result

from sightline.common.v1 import event_pb2, job_pb2
from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline_client import ConsentState, Erasure, Purpose, SightlineClient
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway

COPY = {
    "events": [{"event_id": "e1"}, {"event_id": "e2"}],
    "answers": [{"answer_id": "a1"}],
}


def privacy(gateway: FakeGateway, *words: str) -> Result:
    where = ("--target", gateway.target, "--catalog", "shop")
    return CliRunner().invoke(app, ["privacy", *words, *where])


def erasure(*, complete: bool = True) -> pb.Erasure:
    message = pb.Erasure(request_time=Timestamp(seconds=0), job_id="ranker/1")
    if complete:
        message.complete_time.CopyFrom(Timestamp(seconds=60))
        message.stores.add(store="events", erased_count=1_234)
        message.stores.add(
            store="models", erased_count=2, due_time=Timestamp(seconds=30 * 86_400), text="Trained."
        )
    return message


def test_a_copy_is_printed_with_all_its_pages(gateway: FakeGateway) -> None:
    result = privacy(gateway, "export", "ann")
    assert json.loads(result.stdout) == COPY
    asked = gateway.requests["ExportUser"]
    assert [each.page_token for each in asked] == ["", "2"]
    assert (asked[0].shopper.user_id, asked[0].catalog_id) == ("ann", "shop")


def test_a_copy_in_a_file_is_for_its_owner_alone(gateway: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "ann.json"
    file.write_text("{}")
    file.chmod(0o644)
    result = privacy(gateway, "export", "cookie", "--visitor", "--out", str(file))
    assert json.loads(file.read_text()) == COPY
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "3 records of 2 stores" in result.stdout
    assert gateway.requests["ExportUser"][0].shopper.visitor_id == "cookie"


def test_an_erasure_is_followed_and_its_receipt_shown(gateway: FakeGateway) -> None:
    gateway.erasure = erasure()
    result = privacy(gateway, "erase", "ann", "--force")
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    assert "events 1,234" in printed
    assert "models 2 1970-01-31 Trained." in printed
    asked = gateway.requests["EraseUser"][-1]
    assert (asked.shopper.user_id, asked.force) == ("ann", True)


def test_a_failed_erasure_shows_no_receipt(gateway: FakeGateway) -> None:
    gateway.job_states[-1].state = job_pb2.Job.STATE_FAILED
    result = privacy(gateway, "erase", "ann")
    assert result.exit_code == 1
    assert not gateway.requests["GetErasure"]


def test_a_receipt_under_way_says_so(gateway: FakeGateway) -> None:
    gateway.erasure = erasure(complete=False)
    result = privacy(gateway, "receipt", "ann")
    assert "under way as job ranker/1" in result.stdout


async def test_programs_get_a_receipt_as_values(gateway: FakeGateway) -> None:
    gateway.erasure = erasure()
    async with SightlineClient(gateway.target) as client:
        found = await client.get_erasure(user="ann")
        await client.erase_user(visitor="cookie")
    assert isinstance(found, Erasure)
    assert found.complete_time == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert [one.due_time for one in found.stores] == [None, datetime(1970, 1, 31, tzinfo=UTC)]
    assert gateway.requests["EraseUser"][-1].shopper.visitor_id == "cookie"


def consents() -> pb.Consents:
    return pb.Consents(
        states=[
            pb.ConsentState(purpose="PURPOSE_PERSONALISE", granted=True, by_default=True),
            pb.ConsentState(purpose="PURPOSE_TRAIN"),
        ],
        history=[
            pb.ConsentDecision(
                purpose="PURPOSE_TRAIN",
                decide_time=Timestamp(seconds=0),
                source="banner 3",
            )
        ],
        job_id="ranker/7",
    )


def test_consents_are_shown_with_their_history(gateway: FakeGateway) -> None:
    gateway.consents = consents()
    shown = privacy(gateway, "consent", "cookie", "--visitor").stdout
    (asked,) = gateway.requests["GetConsent"]
    assert (asked.shopper.visitor_id, asked.as_default) == ("cookie", False)
    lines = [line.split() for line in shown.splitlines()]
    assert ["personalise", "granted", "by", "default"] in lines
    assert ["train", "refused"] in lines
    assert ["1970-01-01", "00:00:00Z", "train", "withdrawn", "banner", "3"] in lines
    assert "ranker/7" in shown


def test_a_decision_is_sent_with_its_source(gateway: FakeGateway) -> None:
    gateway.consents = consents()
    words = ("--give", "ATTRIBUTES", "--withdraw", "TRAIN", "--source", "banner 3")
    assert privacy(gateway, "consent", "ann", *words).exit_code == 0
    (asked,) = gateway.requests["SetConsent"]
    assert asked == pb.SetConsentRequest(
        catalog_id="shop",
        shopper=asked.shopper,
        given=["PURPOSE_ATTRIBUTES"],
        withdrawn=["PURPOSE_TRAIN"],
        source="banner 3",
    )
    assert asked.shopper.user_id == "ann"


def test_a_default_names_no_shopper(gateway: FakeGateway) -> None:
    privacy(gateway, "consent", "--default", "--withdraw", "TRAIN", "--source", "policy")
    (asked,) = gateway.requests["SetConsent"]
    assert (asked.as_default, asked.HasField("shopper")) == (True, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "USER"),
        (("ann", "--default"), "USER"),
        (("ann", "--give", "TRAIN"), "--source"),
        (("ann", "--give", "SALE", "--source", "x"), "--give"),
    ],
)
def test_a_decision_that_can_not_be_sent_is_refused(
    gateway: FakeGateway, words: tuple[str, ...], said: str
) -> None:
    result = privacy(gateway, "consent", *words)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert "SetConsent" not in gateway.requests


async def test_programs_decide_and_read_plain_values(gateway: FakeGateway) -> None:
    gateway.consents = consents()
    async with SightlineClient(gateway.target, catalog="shop") as client:
        decided = await client.set_consent(user="ann", withdrawn=[Purpose.TRAIN], source="x")
        assert await client.get_consent(as_default=True) == decided
    assert decided.states[1] == ConsentState(Purpose.TRAIN, granted=False, by_default=False)
    assert decided.history[0].source == "banner 3"
    assert gateway.requests["GetConsent"][0].as_default


def test_counts_are_ordered_and_their_results_shown(gateway: FakeGateway) -> None:
    words = ("--epsilon", "0.5", "--type", "VIEW", "--by", "country", "--no-wait")
    assert privacy(gateway, "counts", *words).exit_code == 0
    (asked,) = gateway.requests["ExportCounts"]
    assert (asked.epsilon, asked.attribute, asked.most_products) == (0.5, "country", 8)
    assert [event_pb2.EventType.Name(one) for one in asked.types] == ["EVENT_TYPE_VIEW"]
    assert asked.request_id, "a retry spends nothing"


def test_a_budget_is_shown_with_its_expenses(gateway: FakeGateway) -> None:
    gateway.budget = pb.PrivacyBudget(
        epsilon=3,
        days=365,
        left=2.5,
        spendings=[
            pb.PrivacySpending(
                spend_time=Timestamp(seconds=0), epsilon=0.5, delta=1e-8, text="shoppers"
            )
        ],
    )
    shown = privacy(gateway, "budget").stdout
    assert "Epsilon 2.5 of 3 in 365 days is left." in shown
    assert ["1970-01-01", "00:00:00Z", "0.5", "1e-08", "shoppers"] in [
        line.split() for line in shown.splitlines()
    ]
    gateway.budget = pb.PrivacyBudget(epsilon=3, days=365, left=3)
    assert privacy(gateway, "budget").stdout == "Epsilon 3 of 3 in 365 days is left.\n"


async def test_programs_count_and_read_the_budget(gateway: FakeGateway) -> None:
    gateway.budget = pb.PrivacyBudget(epsilon=3, days=365, left=2.5)
    async with SightlineClient(gateway.target, catalog="shop") as client:
        await client.export_counts(epsilon=1, most_products=3)
        assert (await client.get_privacy_budget()).left == 2.5
    assert gateway.requests["ExportCounts"][0].most_products == 3
