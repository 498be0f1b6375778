"""Files of exports are drawn with every change, and a wrong import of one is found."""

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.fuzz.export_files import CHANGES, EXPORTS, File, draw
from tests.fuzz.exports import Imported, complaints


def drawn(count: int = 300) -> list[File]:
    chance = random.Random(3)
    return [draw(chance, chance.choice(list(EXPORTS)), f"zq{n}n") for n in range(count)]


def right(file: File) -> Imported:
    products = file.export.noun == "products"
    stored = " ".join(file.records).encode() if products else b""
    written = "0" if products else str(len(file.records))
    return Imported(0, "", {"rowsRefused": "0", "writtenCount": written}, stored=stored)


def test_files_have_every_change_and_are_drawn_alike_by_one_seed() -> None:
    files = drawn()
    changes = {change for file in files for change in file.changes}
    assert CHANGES.keys() <= changes
    assert {"utf-16", "latin-1"} <= changes
    assert [file.data for file in files] == [file.data for file in drawn()]


def test_what_is_unique_to_a_record_is_in_its_file() -> None:
    for file in drawn():
        if file.export.noun == "products":
            text = file.data.replace(b"\0", b"")  # wide encodings
            assert all(record.encode() in text for record in file.records), file.changes


def test_a_right_import_is_not_complained_about() -> None:
    for file in drawn(50):
        assert not complaints(file, right(file), full=True)


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 3},
        {"code": 1},
        {"said": "Traceback (most recent call last)"},
        {"said": "this is a defect of Sightline", "code": 1},
        {"stored": b"", "summary": {"rowsRefused": "0", "writtenCount": "0"}},
        {"summary": {}},
        {"summary": {"rowsRefused": "1"}, "code": 0},
        {"before": frozenset("ab"), "after": frozenset("a")},
        {"summary": {"rowsRefused": "1"}, "code": 1, "said": "row 1", "before": frozenset("ab")},
    ],
)
def test_a_wrong_import_is_complained_about(fault: Any) -> None:
    file = next(file for file in drawn() if file.export.noun == "products")
    full = len(fault) == 4
    assert complaints(file, replace(right(file), **fault), full=full)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_rows_that_are_rejected_in_the_file_s_encoding_are_not_lost(encoding: str) -> None:
    file = next(file for file in drawn() if file.export.noun == "products")
    rejects = "\n".join(file.records).encode(encoding)
    done = replace(right(file), stored=b"", rejects=rejects, code=1, said="rows refused")
    assert not complaints(file, done, full=False)
    assert complaints(file, replace(done, rejects=b""), full=False)


def test_rows_that_are_left_out_with_a_reason_are_not_lost() -> None:
    file = next(file for file in drawn() if file.export.noun == "events")
    none = {"rowsRefused": "0", "writtenCount": "0"}
    assert complaints(file, Imported(0, "", none), full=False)
    said = f"{len(file.records)} rows left out: events of a kind that is not read."
    assert not complaints(file, Imported(0, said, none), full=False)
