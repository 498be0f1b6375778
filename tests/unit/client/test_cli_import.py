"""Imports of products complete despite interruptions, and errors are reported by row."""

import json
import os
import re
from pathlib import Path

import pytest
from google.rpc import code_pb2

from sightline.common.v1 import import_pb2, job_pb2
from tests.fakes.gateway_messages import status
from tests.unit.client.command_line import flat
from tests.unit.client.import_shop import DOWN, Shop, shop

__all__ = ["shop"]  # fixtures

AWAY = status(code_pb2.UNAVAILABLE, "connection refused")
LOST = status(code_pb2.PERMISSION_DENIED, "revoked", reason="DENIED")


def test_a_file_is_imported_with_its_photos_and_closed(shop: Shop) -> None:
    shop.write(*(f"w{n},Wine {n},a.jpg" for n in range(250)))
    result = shop.run()
    assert result.exit_code == 0, result.output
    assert "250 products stored" in result.stdout
    assert len(shop.gateway.products) == 250
    assert shop.gateway.products["w7"].images[0].content == b"A"
    (known,) = shop.gateway.imports.values()
    assert known.closed
    assert max(len(r.rows) for r in shop.gateway.requests["ImportProducts"]) == 100
    assert not (shop.folder / "wines.rejected.csv").exists()


def test_bad_rows_are_reported_by_number_and_kept_to_be_fixed(shop: Shop) -> None:
    shop.gateway.refused["w5"] = status(
        code_pb2.INVALID_ARGUMENT,
        "not a photo",
        reason="IMAGE_UNDECODABLE",
        violations=(("rows[4].product.images[0]", "text, not a photo"),),
    )
    shop.write("w1,Good,a.jpg", "w2,No photo,none.jpg", "w1,Twice,", "w4", "w5,Refused,a.jpg", ",,")
    result = shop.run("--images", str(shop.folder), "--ignore", "colour")
    assert result.exit_code == 1
    kept_in = shop.folder / "wines.rejected.csv"
    again = f"sightline products import {kept_in} --images {shop.folder} --ignore colour"
    assert f"Fix {kept_in}, then run: {again} --target {shop.gateway.target}\n" in result.stdout
    text = flat(result.stderr)
    assert "Row 2 (w2): PHOTO_MISSING: images: 'none.jpg' is not in" in text
    assert "Row 3 (w1): ID_TWICE: id: 'w1' is also the id of row 1" in text
    assert "Row 4 (w4): ROW_INVALID: row: line 5 has 1 cells" in text
    assert "Row 5 (w5): IMAGE_UNDECODABLE" in text
    assert "Row 6: ROW_INVALID: id: is missing" in text
    assert set(shop.gateway.products) == {"w1"}
    assert shop.gateway.products["w1"].title == "Good"
    kept = shop.rejected()
    assert [(row["id"], row["_row"], row["_reason"]) for row in kept] == [
        ("w2", "2", "PHOTO_MISSING"),
        ("w1", "3", "ID_TWICE"),
        ("w4", "4", "ROW_INVALID"),
        ("w5", "5", "IMAGE_UNDECODABLE"),
        ("", "6", "ROW_INVALID"),
    ]


def test_rejected_rows_can_be_fixed_and_imported_again(shop: Shop) -> None:
    shop.write("w1,Good,", "w2,Photo to come,b.jpg")
    assert shop.run().exit_code == 1
    (shop.folder / "b.jpg").write_bytes(b"B")
    result = shop.run(file="wines.rejected.csv")
    assert result.exit_code == 0, result.output
    assert shop.gateway.products["w2"].images[0].content == b"B"


def test_a_file_of_rejected_rows_that_somebody_fixes_is_not_overwritten(shop: Shop) -> None:
    shop.write("w2,No photo,none.jpg")
    shop.run()
    (shop.folder / "wines.rejected.csv").write_text("fixed")
    shop.run()
    assert (shop.folder / "wines.rejected.csv~").read_text() == "fixed"


@pytest.mark.slow
def test_an_import_that_was_interrupted_goes_on_and_comes_to_the_same(shop: Shop) -> None:
    shop.write(*(f"w{n},Wine {n}," for n in range(300)), "bad", *(f"x{n},X," for n in range(300)))
    shop.gateway.fail("ImportProducts", *[LOST] * 4)
    assert "DENIED" in shop.run("--in-flight", "1").stderr
    shop.gateway._failures["ImportProducts"].clear()
    for further in (2, 2, 5):  # each run gets a bit further, then loses the suite
        calls = len(shop.gateway.requests["ImportProducts"])
        shop.gateway.after["ImportProducts"] = (calls + further, LOST)
        assert shop.run("--in-flight", "1").exit_code == 1
    shop.gateway.after.clear()
    result = shop.run("--in-flight", "1")
    assert "Continuing after row 500" in flat(result.stderr)
    assert len(shop.gateway.products) == 600
    assert sorted(shop.gateway.stored) == sorted(shop.gateway.products), "a row was stored twice"
    assert [row["_row"] for row in shop.rejected()] == ["301"]
    (known,) = shop.gateway.imports.values()
    assert known.state() == import_pb2.ImportState(
        import_id=known.import_id,
        mode=import_pb2.IMPORT_MODE_INCREMENTAL,
        rows_done=601,
        stored_count=600,
        refused_count=1,
        closed=True,
    )


def test_photos_of_rows_that_are_decided_are_not_sent_again(shop: Shop) -> None:
    shop.write(*(f"w{n},Wine,a.jpg" for n in range(200)), "bad")
    shop.gateway.fail("CloseImport", LOST)
    assert shop.run().exit_code == 1
    shop.gateway.requests["ImportProducts"].clear()
    assert "Continuing after row 201" in flat(shop.run().stderr)
    again = shop.gateway.requests["ImportProducts"]
    assert not any(image.content for r in again for row in r.rows for image in row.product.images)
    assert [row["_row"] for row in shop.rejected()] == ["201"]


def test_the_same_file_again_is_a_new_import_with_the_same_result(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,")
    assert shop.run().exit_code == 0
    del shop.gateway.products["w2"]  # something else happened in between
    again = shop.run()
    assert again.exit_code == 0
    assert "This content was imported before: its products are written again." in again.stderr
    assert set(shop.gateway.products) == {"w1", "w2"}
    first, second = shop.gateway.imports
    assert second == f"{first}-2"


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_one_photo_for_many_products_is_reported_with_its_rows(
    shop: Shop, more: tuple[str, ...]
) -> None:
    shop.write("w1,One,a.jpg", "w2,Two,a.jpg", "w3,Three,a.jpg", "w4,Four,")
    result = shop.run(*more)
    assert result.exit_code == 0
    printed = flat(result.stderr)
    assert (
        "2 products have a photo that another one has (row 2 has that of row 1, a.jpg)" in printed
    )
    assert "leave images empty" in printed


def test_variants_may_share_their_photo(shop: Shop) -> None:
    shop.write("w1,One,a.jpg,", "w1-s,Small,a.jpg,w1", header="id,title,images,parent_id")
    result = shop.run()
    assert result.exit_code == 0
    assert "a photo that another one has" not in flat(result.stderr)


def test_a_row_without_an_id_is_a_bad_row_and_the_others_go_on(shop: Shop) -> None:
    shop.write("1,One", ",Two", header="nr,name")
    result = shop.run("--map", "nr=id", "--map", "name=title")
    assert result.exit_code == 1
    assert "Row 2: ROW_INVALID: id: is missing" in flat(result.stderr)
    assert list(shop.gateway.products) == ["1"]


def test_a_given_import_id_is_done_once(shop: Shop) -> None:
    shop.write("w1,One,")
    assert shop.run("--import-id", "monday").exit_code == 0
    result = shop.run("--import-id", "monday")
    assert result.exit_code == 0
    assert "already complete" in result.stderr
    assert len(shop.gateway.requests["ImportProducts"]) == 1


@pytest.mark.slow
def test_a_suite_that_is_away_for_a_moment_is_waited_for(shop: Shop) -> None:
    shop.write("w1,One,")
    shop.gateway.fail("ImportProducts", *[DOWN] * 5)  # more than gRPC tries by itself
    assert shop.run().exit_code == 0
    assert "w1" in shop.gateway.products


@pytest.mark.slow
def test_a_wait_for_the_suite_is_reported_once(shop: Shop) -> None:
    shop.write(*(f"w{n},Wine," for n in range(400)))
    shop.gateway.fail("ImportProducts", *[AWAY] * 20)  # all four batches under way meet it
    result = shop.run()
    assert result.exit_code == 0, result.output
    assert len(shop.gateway.products) == 400
    printed = r"The suite does not answer \(GATEWAY_UNREACHABLE\): trying for 1[12]\d s more\."
    assert re.fullmatch(printed, flat(result.stderr))


@pytest.mark.slow
def test_a_row_that_is_not_decided_yet_is_sent_again(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,")
    shop.gateway.passing["w2"] = status(code_pb2.UNAVAILABLE, "busy", reason="STORE_BUSY")
    assert shop.run().exit_code == 0
    assert set(shop.gateway.products) == {"w1", "w2"}
    numbers = [[row.row_number for row in r.rows] for r in shop.gateway.requests["ImportProducts"]]
    assert numbers == [[1, 2], [2]]


def test_a_folder_is_imported_by_paths(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "clothing"
    (folder / "hat/straw").mkdir(parents=True)
    (folder / "hat/straw/a.jpg").write_bytes(b"A")
    (folder / "evil.jpg").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("x")
    result = shop.call("import", "--folder", str(folder))
    assert result.exit_code == 0, result.output
    assert set(shop.gateway.products) == {"hat/straw/a.jpg"}
    made = shop.gateway.products["hat/straw/a.jpg"]
    assert (list(made.category_path), made.images[0].content) == (["hat", "straw"], b"A")
    assert "1 link was not followed. 1 file is not a photo by its name." in flat(result.stdout)


def test_rejected_rows_of_a_folder_can_be_imported_as_a_file(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "clothing"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"A")
    shop.gateway.refused["a.jpg"] = status(code_pb2.INVALID_ARGUMENT, "bad", reason="IMAGE_BAD")
    assert shop.call("import", "--folder", str(folder)).exit_code == 1
    shop.gateway.refused.clear()
    result = shop.run("--images", str(folder), file="clothing.rejected.jsonl")
    assert result.exit_code == 0, result.output
    assert shop.gateway.products["a.jpg"].images[0].content == b"A"


def test_json_lines_rejects_to_json_lines(shop: Shop) -> None:
    path = shop.folder / "wines.jsonl"
    path.write_text('{"id":"1","title":"a"}\n{"id":"2"}\n{"id":"3","title":"c","price":-1.5}\nx\n')
    assert shop.run(file="wines.jsonl").exit_code == 1
    kept = (shop.folder / "wines.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["_row"] for line in kept] == [2, 3, 4]
    assert json.loads(kept[0]) == {
        **{"id": "2", "_row": 2, "_reason": "ROW_INVALID"},
        "_problem": "title: is missing",
    }
    assert json.loads(kept[2])["_line"] == "x"


def test_json_shows_the_figures(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,none.jpg")
    facts = shop.facts()
    assert facts["state"]["storedCount"] == "1"
    assert facts["state"]["refusedCount"] == "1"
    assert facts["rowsRefused"] == "1"
    assert facts["rejectedFile"].endswith("wines.rejected.csv")


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("import",), "FILE"),
        (("import", "wines.csv", "--folder", "."), "FILE"),
        (("import", "none.csv"), "FILE"),
        (("import", "--folder", "/no/such"), "--folder"),
        (("import", "wines.csv", "--mode", "half"), "--mode"),
        (("import", "wines.csv", "--in-flight", "0"), "--in-flight"),
        (("purge",), "--filter"),
        (("purge", "--filter", "brand = a", "--all"), "--filter"),
        (("purge", "--filter", "price < 3"), "--filter"),
        (("get",), "ID"),
        (("delete",), "ID"),
        (("list", "--order", "price"), "--order"),
    ],
)
def test_wrong_usage_is_2_and_names_the_culprit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], culprit: str
) -> None:
    shop.write("w1,One,")
    monkeypatch.chdir(shop.folder)
    result = shop.call(*arguments)
    assert result.exit_code == 2, result.output
    assert culprit in result.stderr


def test_a_file_that_can_not_be_used_is_1_with_the_fix(shop: Shop) -> None:
    shop.write("w1,One", header="id,titel")
    result = shop.run()
    assert result.exit_code == 1
    assert "did you mean 'title'?" in flat(result.stderr)


def test_a_folder_that_can_not_be_written_to_is_reported_and_no_traceback(shop: Shop) -> None:
    shop.write("w2,No photo,none.jpg")
    if os.geteuid() == 0:
        (shop.folder / "wines.rejected.csv").mkdir()  # root may write anywhere
        (shop.folder / "wines.rejected.csv~").write_text("in the way")
    else:
        shop.folder.chmod(0o500)
    result = shop.run()
    assert result.exit_code == 1
    assert "FILE_UNUSABLE" in result.stderr
    assert "Traceback" not in result.output


def test_a_job_that_fails_fails_the_import(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,", "w3,Three,")
    shop.run()
    shop.write("w1,One,", "w2,Two,")
    shop.gateway.job_states[-1].state = job_pb2.Job.STATE_FAILED
    result = shop.run("--mode", "full")
    assert result.exit_code == 1
    assert "ended as FAILED" in result.stderr


def test_offers_set_price_and_stock_and_leave_the_rest(shop: Shop) -> None:
    shop.write("w1,One,a.jpg", "w2,Two,")
    shop.run()
    shop.write(
        *("w1,9.90,EUR,", "w2,,,no", "w3,1,EUR,yes", "w1,1,EUR,", "w2,,,", "w2,-1,EUR,"),
        header="id,price,currency,available",
    )
    result = shop.call("offers", str(shop.file), "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert (facts["storedCount"], facts["refusedCount"]) == ("2", "4")
    assert [(row["_row"], row["_reason"]) for row in shop.rejected()] == [
        *(("3", "PRODUCT_NOT_FOUND"), ("4", "ID_TWICE"), ("5", "ROW_INVALID")),
        ("6", "ROW_INVALID"),
    ]
    assert shop.gateway.products["w1"].price.units == 9
    assert shop.gateway.products["w1"].images[0].content == b"A"
