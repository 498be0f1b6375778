"""``sightline privacy`` and the client's calls for it: requests and output."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner, Result

from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline_client import Erasure, SightlineClient
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
