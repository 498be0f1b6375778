"""Files of events and products by the command line: requests, output and exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.rpc import code_pb2
from pyarrow import parquet

from sightline.common.v1 import event_pb2, job_pb2
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.client.command_line import Line, call, flat, line

__all__ = ["line"]  # fixtures

OFFERS = "id,price,currency\nwine-1,9,EUR\n"
EVENTS = "event_id,type,product_id,user_id,visitor_id,time,value\n"


def test_events_are_imported_once_however_often(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    rows = "".join(f"e{n},VIEW,p{n},u,,2026-03-01T12:00:00Z,\n" for n in range(2500))
    path.write_text(EVENTS + rows)
    first = line("events", "import", str(path))
    assert first.exit_code == 0, first.output
    assert "2,500 new, 0 duplicates" in first.stdout
    again = json.loads(line("events", "import", str(path), "--json").stdout)
    assert (again["writtenCount"], again["duplicateCount"]) == (0, 2500)
    sizes = sorted(len(request.events) for request in gateway.requests["WriteEvents"])
    assert sizes == [500, 500, 1000, 1000, 1000, 1000]
    assert gateway.events["e7"].event_time.seconds == 1772366400


def test_bad_events_are_reported_by_row_and_never_end_the_rest(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(
        EVENTS + "e1,VIEW,p,u,,,\ne2,LOOK,p,u,,,\ne3,VIEW,p,u,,2026-03-01T12:00:00,\n"
        "e4,VIEW,p\ne5,VIEW,p,u,,2099-01-01T00:00:00Z,\ne6,RATING,p,,v,,4.5\n"
    )
    gateway.refused["e5"] = status(
        code_pb2.INVALID_ARGUMENT, "in the future", reason="EVENT_TIME_INVALID"
    )
    result = line("events", "import", str(path))
    assert result.exit_code == 1
    text = flat(result.stderr)
    for printed in (
        *("Row 2 (e2): ROW_INVALID: type: 'LOOK' is not one of", "Row 3 (e3): ROW_INVALID: time:"),
        *("Row 4 (e4): ROW_INVALID: row: line 5 has 3", "Row 5 (e5): EVENT_TIME_INVALID"),
    ):
        assert printed in text
    assert set(gateway.events) == {"e1", "e6"}
    kept = (tmp_path / "e.rejected.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in kept] == ["event_id", "e2", "e3", "e4", "e5"]


def test_equal_reasons_are_said_once_with_their_rows_and_values(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    kinds = ["LOOK"] * 46 + ["SMELL", "TASTE"]
    rows = [f"e{n},{kind},p,u,,," for n, kind in enumerate(kinds, start=1)]
    path.write_text(EVENTS + "\n".join([*rows, "e49,VIEW,p,,,,", "e50,VIEW,p,,,,"]))
    result = line("events", "import", str(path))
    said = flat(result.stderr)
    assert "Rows 1 (e1), 2 (e2), 3 (e3) and 45 more: ROW_INVALID: type: 'LOOK' is not one" in said
    assert "; other values: 'SMELL', 'TASTE'" in said
    assert "Rows 49 (e49), 50 (e50): ROW_INVALID: user_id: is missing" in said
    assert said.count("ROW_INVALID") == 2
    assert "50 rejected" in result.stdout
    assert len((tmp_path / "e.rejected.csv").read_text().splitlines()) == 51


def test_only_the_first_reasons_are_said(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "title": "t", "x{"y" * n}": 1}}\n' for n in range(15)))
    said = flat(line("products", "import", str(path), "--dry-run").stderr)
    assert said.count("ROW_INVALID") == 10
    assert "… more rejected rows are in their file." in said


def test_events_are_checked_without_a_suite(gateway: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(EVENTS + "e1,VIEW,p,u,,,\ne2,LOOK,p,u,,,\ne3,CLICK,p,u,,,\n")
    for target in (gateway.target, "127.0.0.1:1"):
        result = call("events", "import", str(path), "--dry-run", "--target", target)
        assert result.exit_code == 1
        assert "2 events are valid (3 rows): nothing was written; 1 rejected." in result.stdout
        again = f"sightline events import {tmp_path / 'e.rejected.csv'} --target {target}\n"
        assert result.stdout.endswith(f"then run: {again}")
    facts = call(
        "events", "import", str(path), "--dry-run", "--json", "--target", gateway.target
    ).stdout
    assert json.loads(facts)["validCount"] == 2
    assert not gateway.events


def test_a_row_with_half_a_character_is_kept_and_never_ends_the_rest(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"id": "\\ud800", "title": "t"}\n'
        '{"id": "a", "title": "t", "attributes": {"\\ud800": "x"}}\n'
        '{"id": "b", "title": "t"}\n'
    )
    assert line("products", "import", str(path)).exit_code == 1
    assert gateway.stored == ["b"]
    kept = (tmp_path / "p.rejected.jsonl").read_text().splitlines()
    assert [json.loads(row)["id"] for row in kept] == ["\ud800", "a"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["events import", "products offers"])
def test_a_suite_that_is_away_is_waited_for_and_it_is_reported_once(
    line: Line, gateway: FakeGateway, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "f.csv"
    rows = "".join(f"e{n},VIEW,p,u,,,\n" for n in range(3000))
    path.write_text(EVENTS + rows if command == "events import" else OFFERS)
    away = status(code_pb2.UNAVAILABLE, "connection refused")
    for method in ("WriteEvents", "UpdateOffers"):
        gateway.fail(method, *[away] * 15)
    result = line(*command.split(), str(path))
    assert result.exit_code == 0, result.output
    printed = r"The suite does not answer \(GATEWAY_UNREACHABLE\): trying for 1[12]\d s more\."
    said = flat(result.stderr)
    assert re.match(printed, said)
    assert said.count("does not answer") == 1


def rejected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.full
def test_products_of_a_parquet_file_are_imported_and_the_bad_ones_kept(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    columns = {
        "id": [1, 2, 3, 4],
        "title": [b"Barolo", b"Bytes", b"Price", b"Not a number"],
        "price": ["12.50", "3", "cheap", None],
        "currency": ["EUR"] * 4,
        "tags": [["Beef", "Lamb"], [], None, []],
    }
    table = pa.table(columns)
    texts = table.set_column(1, "title", table["title"].cast(pa.string()))
    parquet.write_table(texts, tmp_path / "texts.parquet")
    result = line("products", "import", str(tmp_path / "texts.parquet"))
    assert result.exit_code == 1
    assert "Row 3 (3): ROW_INVALID: price: 'cheap' is not a number" in flat(result.stderr)
    assert sorted(gateway.stored) == ["1", "2", "4"]
    made = gateway.products["1"]
    assert (made.title, made.price.units, list(made.tags)) == ("Barolo", 12, ["Beef", "Lamb"])
    (kept,) = rejected(tmp_path / "texts.rejected.jsonl")
    assert kept["id"] == 3
    assert (kept["price"], kept["_row"], kept["_reason"]) == ("cheap", 3, "ROW_INVALID")

    figures = table.set_column(2, "price", pa.array([12.5, 3.0, float("nan"), None]))
    parquet.write_table(figures, tmp_path / "bytes.parquet")
    for name in ("bytes.parquet", "bytes.rejected.jsonl"):
        path = tmp_path / name
        path = path.rename(tmp_path / "again.jsonl") if name.endswith("jsonl") else path
        result = line("products", "import", str(path), "--json")
        assert json.loads(result.stdout)["rowsRefused"] == "4"
        assert "title: is " in result.stderr
    again = rejected(tmp_path / "again.rejected.jsonl")
    assert [row["title"] for row in again][:2] == [
        [["bytes", b"Barolo".hex()]],
        [["bytes", "4279746573"]],
    ]
    assert again[2]["price"] == [["float", "nan"]]


def test_events_of_a_parquet_file_are_imported_and_naive_times_reported_with_the_fix(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    naive = pa.array([1772366400_000_000_001, None], pa.int64()).cast(pa.timestamp("ns"))
    columns = {"event_id": ["e1", "e2"], "type": ["VIEW", "CLICK"], "user_id": [7, 8]}
    columns |= {"product_id": ["p", "p"], "position": [1, 2]}
    path = tmp_path / "clicks.parquet"
    parquet.write_table(pa.table(columns | {"time": naive}), path)
    result = line("events", "import", str(path))
    assert result.exit_code == 1
    printed = flat(result.stderr)
    assert "Row 1 (e1): ROW_INVALID: time: 2026-03-01T12:00:00 has no time zone" in printed
    assert "name it with --time-zone, such as Europe/Berlin" in printed
    assert "append Z" not in printed, "nobody can append to a column of times"
    assert set(gateway.events) == {"e2"}
    (kept,) = rejected(tmp_path / "clicks.rejected.jsonl")
    assert (kept["time"], kept["user_id"]) == ("2026-03-01T12:00:00", 7)

    assert line("events", "import", str(path), "--time-zone", "Asia/Tokyo").exit_code == 0
    assert gateway.events["e1"].event_time.seconds == 1772366400 - 9 * 3600

    zoned = naive.cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("us", "UTC"))
    parquet.write_table(pa.table(columns | {"time": zoned}), path)
    assert line("events", "import", str(path)).exit_code == 0
    made = gateway.events["e1"]
    assert (made.event_time.seconds, made.shopper.user_id, made.position) == (1772366400, "7", 1)


def test_a_suite_that_answers_for_too_few_rows_is_at_fault(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.unanswered = 1
    events, products = tmp_path / "e.csv", tmp_path / "p.csv"
    events.write_text(EVENTS + "e1,VIEW,p,u,,,\n")
    products.write_text("id,title,price,currency\nwine-1,Barolo,9,EUR\n")
    for arguments in (
        ("events", "import", str(events)),
        ("products", "import", str(products)),
        ("products", "offers", str(products), "--ignore", "title"),
    ):
        result = line(*arguments)
        assert result.exit_code == 1
        assert "1 items were sent, and the suite answered for 0" in flat(result.stderr)


def test_a_purge_of_events_counts_first(line: Line, gateway: FakeGateway) -> None:
    result = line("events", "purge", "--before", "2024-01-01", "--type", "view", "--type", "CLICK")
    assert result.exit_code == 0, result.output
    assert "7 events would be deleted; --force deletes them: from 2020-09-13" in flat(result.stdout)
    (request,) = gateway.requests["PurgeEvents"]
    assert not request.force
    assert list(request.types) == [event_pb2.EVENT_TYPE_VIEW, event_pb2.EVENT_TYPE_CLICK]
    assert request.before_time.seconds == 1704067200
    assert "7 events deleted" in flat(line("events", "purge", "--user", "u", "--force").stdout)
    assert gateway.requests["PurgeEvents"][1].shopper.user_id == "u"
    assert gateway.requests["PurgeEvents"][1].request_id


def test_a_visitor_becomes_a_customer(line: Line, gateway: FakeGateway) -> None:
    assert "3 events moved" in line("events", "merge", "cookie", "u7").stdout
    made = line("events", "visitor").stdout.split()
    assert made == ["visitor", "v-new", "proof", "proof-of-v"]
    assert line("events", "merge", "v-new", "u7", "--proof", made[-1]).exit_code == 0
    assert [each.visitor_proof for each in gateway.requests["MergeShopper"]] == ["", "proof-of-v"]
    request = gateway.requests["MergeShopper"][0]
    assert getattr(request, "from").visitor_id == "cookie"
    assert request.to.user_id == "u7"


def test_events_are_exported_and_the_folder_shown(line: Line, gateway: FakeGateway) -> None:
    gateway.fail("ExportEvents", status(code_pb2.UNAVAILABLE, "lost"))
    gateway.job_states[-1].results.add(name="folder", value="s3://bucket/exports/default/1")
    result = line("events", "export", "--since", "2026-01-01", "--type", "click", "--type", "VIEW")
    assert result.exit_code == 0
    assert "folder s3://bucket/exports/default/1" in flat(result.stdout)
    first, second = gateway.requests["ExportEvents"]
    assert first == second
    assert first.request_id, "a try again must not start a second job"
    assert (first.from_time.seconds, first.HasField("before_time")) == (1_767_225_600, False)
    assert list(first.types) == [event_pb2.EVENT_TYPE_CLICK, event_pb2.EVENT_TYPE_VIEW]
    gateway.job_states[-1].state = job_pb2.Job.STATE_FAILED
    assert line("events", "export").exit_code == 1


def test_events_of_products_that_the_catalog_lacks_are_counted(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.products.clear()
    path = tmp_path / "p.csv"
    path.write_text("id,title\nP0,a\nP1,b\n")
    assert line("products", "import", str(path)).exit_code == 0
    events = tmp_path / "e.csv"
    rows = [f"VIEW,{'sku_' if n % 2 else ''}P{n % 4 // 2},u{n}" for n in range(8)]
    events.write_text("\n".join(("type,product_id,user_id", *rows)))
    said = flat(line("events", "import", str(events)).stderr)
    assert "4 of 8 events whose products were looked up name none of the catalog shop" in said
    assert "such as sku_P0, sku_P1:" in said
    facts = json.loads(line("events", "import", str(events), "--json").stdout)
    assert (facts["lookedUpCount"], facts["unmatchedCount"]) == (8, 4)


def test_events_that_an_export_leaves_out_are_counted_by_their_reason(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "ga4.jsonl"
    view = {"event_name": "view_item", "user_pseudo_id": "1.2", "items": [{"item_id": "(not set)"}]}
    rows = [view, view | {"items": [{"item_id": "p"}]}, view | {"event_name": "scroll"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = line("events", "import", str(path))
    assert result.exit_code == 0, result.output
    assert "1 row was left out: events of a product whose id says that there is none" in flat(
        result.stderr
    )
    assert "1 row was left out: events of a kind that is not read." in flat(result.stderr)
