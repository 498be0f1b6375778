"""The further parts of the fuzzer detect faults: each check fails when it should."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import cancelled, exports
from tests.fuzz.exports import ExportFile, Imported
from tests.fuzz.model import Answer, Call, Finding
from tests.fuzz.namesakes import Namesakes, Products, Webhooks
from tests.fuzz.surface import METHODS, named

READ = {"rowsRefused": "0"}
REFUSED = {"rowsRefused": "1"}


def file_of(*marks: str) -> ExportFile:
    return ExportFile("shopify", ["Handle"], [[mark] for mark in marks], list(marks))


def test_equal_seeds_make_equal_files_and_every_change_is_made() -> None:
    files = [exports.changed(random.Random(n), "shopify", n) for n in range(80)]
    again = [exports.changed(random.Random(n), "shopify", n) for n in range(80)]
    assert [file.data() for file in files] == [file.data() for file in again]
    made = {change for file in files for change in file.changes}
    assert made == {change.__name__[1:] for change in exports.CHANGES}


@pytest.mark.parametrize(
    ("done", "stored", "kept"),
    [
        (Imported(0, "", READ, ""), "m1", True),  # a record is lost
        (Imported(0, "", REFUSED, "m2"), "m1", True),
        (Imported(1, "", READ, ""), "m1 m2", True),
        (Imported(1, "", REFUSED, "m2"), "m1", False),
        (Imported(0, "", {}, ""), "", True),
        (Imported(2, "wrong usage", {}, ""), "", True),
        (Imported(1, "Traceback (most recent call last)", {}, ""), "", True),
        (Imported(1, "said", {}, "", crash="KeyError()"), "", True),
    ],
)
def test_a_wrong_import_is_a_fault(done: Imported, stored: str, kept: bool) -> None:
    assert exports.faults(file_of("m1", "m2"), done, stored, kept=kept)


def test_a_right_import_is_none() -> None:
    file = file_of("m1", "m2")
    assert not exports.faults(file, Imported(1, "", REFUSED, "m2"), "m1", kept=True)
    assert not exports.faults(file, Imported(1, "no title", {}, ""), "", kept=True)


def test_the_command_line_reads_a_changed_file(tmp_path: Path) -> None:
    importer = exports.Importer("127.0.0.1:1", "", "default", tmp_path)
    done = importer.run(exports.made(random.Random(1), "shopify", 1), "--dry-run")
    assert (done.code, done.crash, done.facts["rowsRefused"]) == (0, "", "0")


def test_a_call_that_is_no_longer_answered_is_seen() -> None:
    path = named("GetProduct").path
    fine, shed = Answer("OK", "", b"", ()), Answer("RESOURCE_EXHAUSTED", "", b"", ())
    assert cancelled.lost({path: fine}, {path: shed})
    assert not cancelled.lost({path: shed}, {path: shed})


async def test_what_is_still_held_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelled, "REST_SECONDS", 0.0)
    text = 'sightline_calls_in_flight{service="x"} 2.0\nsightline_other 9\n'
    now = {name: float(value) for name, value in cancelled.GAUGES.findall(text)}
    assert len(now) == 1
    assert await cancelled.at_rest(lambda: now, {})
    assert not await cancelled.at_rest(lambda: now, now)


class Store:
    """Fake suite with products and webhooks; `forgets`: whether deletion removes them."""

    def __init__(self, *, forgets: bool) -> None:
        self._forgets = forgets
        self._said: dict[str, str] = {}
        self.findings: list[Finding] = []

    async def send(self, call: Call) -> Answer:
        method = METHODS[call.method]
        request: Any = method.request.FromString(call.request)
        response: Any = method.response()
        if method.name == "UpsertProducts":
            (product,) = request.products
            former = "" if self._forgets else self._said.get(product.product_id, "")
            self._said[product.product_id] = former + product.title
        elif method.name == "GetProduct":
            response.title = self._said[request.product_id]
        return Answer("OK", "", b"", (response.SerializeToString(),))

    def find(self, finding: Finding) -> None:
        self.findings.append(finding)


@pytest.mark.parametrize("forgets", [True, False])
async def test_what_a_predecessor_leaves_is_found(forgets: bool) -> None:
    store = Store(forgets=forgets)
    outcome = await Namesakes(store, {"p": Products(store)}, 1).check(0.3)
    assert outcome.held is forgets
    assert bool(store.findings) is not forgets


async def test_a_kind_whose_names_are_never_given_again_is_no_success() -> None:
    store = Store(forgets=True)
    assert not (await Namesakes(store, {"w": Webhooks(store)}, 1).check(0.0)).held
