"""Every figure is read from its named source, and assumptions are marked as such."""

from dataclasses import asdict

import pytest

from lab.capacity import inputs, validation
from lab.capacity.inputs import KINDS, PHOTO, SEARCH, USER, Assumed, Origin


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_what_the_bench_measured(kind: str) -> None:
    work = inputs.work(kind)
    assert work.search + work.hydrate == pytest.approx(inputs.processor(kind, "retriever"))
    if kind != SEARCH:
        assert work.generate + work.rank == pytest.approx(inputs.processor(kind, "ranker"))
    assert (work.infer > 0) == (work.embed > 0) == (kind == PHOTO)
    assert (work.generate > 0) == (kind == USER)
    assert 0.1 < work.spread < 0.4
    parts = {name: value for name, value in asdict(work).items() if name != "spread"}
    milliseconds = sum(parts.values()) * 1e3
    all_processes = inputs.cell(kind, 8)["cpu_ms"]
    assert min(all_processes) * 0.9 < milliseconds < max(all_processes)


def test_a_cell_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="video, 8 callers"):
        inputs.cell("video", 8)


def test_each_input_names_its_source() -> None:
    given = inputs.listed(Assumed(start=99.0))
    assert all(each.source or each.name == "nodes" for each in given)
    start = next(each for each in given if each.name == "start")
    assert (start.value, start.origin) == (99.0, Origin.ASSUMED)
    assert {each.name for each in given} >= set(asdict(Assumed()))


@pytest.mark.slow
def test_one_machine_is_predicted_within_what_the_page_says() -> None:
    rate, median, _ = validation.predicted(PHOTO, 8)
    real, middle, _ = validation.measured(PHOTO, 8)
    assert rate / real == pytest.approx(1, abs=0.25)
    assert median / middle == pytest.approx(1, abs=0.25)
