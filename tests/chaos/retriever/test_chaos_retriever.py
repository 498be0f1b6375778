"""The chaos run detects broken promises: each of these is one."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from retriever.adapters.milvus.filters import columns
from retriever.domain.index_values import IndexRow
from sightline.common.v1 import answer_pb2, product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as gateway_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_rules.facts import Facts
from tests.chaos import __main__ as program
from tests.chaos.model import NotMeasured, Report
from tests.chaos.retriever import outages, rollouts
from tests.chaos.retriever.ledger import Ledger, in_index, in_record, in_rows, values
from tests.chaos.watching import Return

DIMENSION = 16


def product(name: str, title: str = "Red", units: int = 3) -> product_pb2.Product:
    made = product_pb2.Product(
        product_id=name, title=title, availability=product_pb2.AVAILABILITY_IN_STOCK
    )
    made.price.units = units
    return made


def ledger(*names: str) -> Ledger:
    made = Ledger()
    for name in names:
        made.put(name, "Red", 3)
        made.change(name, vector=1)
    return made


def row(name: str, number: int = 1, seq: int = 7) -> IndexRow:
    return IndexRow(f"id-{name}", seq, name, "", Facts(), values(name, number, DIMENSION))


def held(*rows: IndexRow) -> dict[str, dict[str, object]]:
    return {
        each.row_id: {
            "seq": each.seq,
            "product_id": each.product_id,
            "vector": each.vector,
            **columns(each.facts),
        }
        for each in rows
    }


@pytest.mark.parametrize(
    ("products", "found"),
    [
        ([product("a"), product("b")], "0 lost, 0 stale, 0 strange"),
        ([product("a")], "1 lost, 0 stale, 0 strange (b)"),
        ([product("a"), product("b", units=4)], "0 lost, 1 stale, 0 strange (b)"),
        ([product("a"), product("b", title="White")], "0 lost, 1 stale, 0 strange (b)"),
        ([product("a"), product("b"), product("gone")], "0 lost, 0 stale, 1 strange (gone)"),
    ],
)
def test_a_record_that_differs_is_noticed(products: list[product_pb2.Product], found: str) -> None:
    written = ledger("a", "b")
    written.states["gone"] = None
    assert str(in_record(written, products)) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([row("a"), row("b")], "0 lost, 0 stale, 0 strange"),
        ([row("a")], "1 lost, 0 stale, 0 strange (b)"),
        ([row("a"), row("b", number=2)], "0 lost, 1 stale, 0 strange (b)"),
    ],
)
def test_a_vector_that_differs_is_noticed(rows: list[IndexRow], found: str) -> None:
    assert str(in_rows(ledger("a", "b"), rows, DIMENSION)) == found


def test_an_index_that_differs_is_noticed() -> None:
    a, b = row("a"), row("b")
    assert not in_index([a, b], held(a, b))
    assert in_index([a, b], held(a)).lost == ("id-b",)
    assert in_index([a], held(a, b)).strange == ("id-b",)
    assert in_index([a, b], held(a, replace(b, seq=6))).stale == ("id-b",)
    assert in_index([a, b], held(a, replace(b, vector=a.vector))).stale == ("id-b",)
    assert in_index([a, b], held(a, replace(b, facts=Facts(brand="x")))).stale == ("id-b",)


def answer_of(version: str, named: str = "") -> vectors_pb.SearchResponse:
    """Return the answer of generation `version` about the first product, under the name `named`."""
    names, cosines = rollouts.Truth().nearest(version, 0)
    answer = vectors_pb.SearchResponse(similarities=cosines)
    answer.candidates.product_ids.extend(names)
    answer.space.generation = answer.space.version = named or version
    return answer


@pytest.mark.parametrize(
    ("answer", "wanted", "mixed"),
    [
        (answer_of("one"), "", 0),
        (answer_of("two"), "two", 0),
        (answer_of("one"), "two", 1),
        (answer_of("one", named="two"), "", 1),
        (answer_of("one", named="three"), "", 1),
    ],
)
def test_an_answer_of_two_generations_is_noticed(
    answer: vectors_pb.SearchResponse, wanted: str, mixed: int
) -> None:
    seen = rollouts.Seen()
    rollouts._compare(answer, wanted, 0, rollouts.Truth(), seen)
    assert len(seen.mixed) == mixed


def test_an_answer_half_of_another_generation_is_noticed() -> None:
    answer, other = answer_of("one"), answer_of("two")
    answer.candidates.product_ids[5:] = other.candidates.product_ids[5:]
    answer.similarities[5:] = other.similarities[5:]
    seen = rollouts.Seen()
    rollouts._compare(answer, "", 0, rollouts.Truth(), seen)
    assert seen.mixed


def test_an_empty_success_breaks_the_fallback_chain() -> None:
    assert outages._kind(gateway_pb.RecommendResponse())[0] is outages.Kind.BROKEN
    assert outages._kind(vectors_pb.SearchResponse())[0] is outages.Kind.BROKEN
    whole = gateway_pb.RecommendResponse(results=[gateway_pb.RecommendedProduct(rank=1)])
    assert outages._kind(whole)[0] is outages.Kind.WHOLE
    whole.degradations.add(cause=answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE)
    assert outages._kind(whole)[0] is outages.Kind.FLAGGED


@pytest.mark.parametrize(
    ("kind", "clean"),
    [
        (outages.Kind.FLAGGED, True),
        (outages.Kind.REFUSED, True),
        (outages.Kind.WHOLE, False),
        (outages.Kind.BROKEN, False),
    ],
)
def test_an_answer_while_the_engine_is_lost_has_to_say_so(kind: outages.Kind, clean: bool) -> None:
    report = Report(lambda _line: None)
    outage = outages.Outage("down", lost=10.0, back=Return(15.0, 16.0))
    got = [outages.Got("photo", 11.0, 12.0, kind, "empty success")]
    outages._judge_answers("lite", "down", [outage], got, report)
    assert report.clean is clean


def test_a_late_recovery_is_noticed() -> None:
    report = Report(lambda _line: None)
    outage = outages.Outage("down", lost=10.0, back=Return(15.0, 16.0), well=20.5)
    outages._judge_recovery("server", [outage], report)
    outages._judge_recovery("lite", [outage], report)
    assert [check.verdict.value for check in report.checks] == ["held", "VIOLATED"]


def test_what_could_not_run_is_no_success() -> None:
    report = Report(lambda _line: None)

    def broken(_report: Report) -> None:
        raise ExceptionGroup("in a task", [NotMeasured("no engine")])

    program.play("broken", broken, report)
    assert [(c.name, c.verdict.value) for c in report.checks] == [("broken", "NOT MEASURED")]
    assert not report.clean
    assert not Report(lambda _line: None, time.monotonic()).clean


def test_vectors_are_the_same_in_every_run() -> None:
    assert np.allclose(values("a", 1, 2), values("a", 1, 2))
    assert not np.allclose(values("a", 1, 2), values("a", 2, 2))
