"""Pages by position, comparisons of floats, times without a zone, and names taken from the clock:
each place in the code is known here, with the reason why it is right or the test that shows it.

Ruff's DTZ rules reject times that are made without a zone; this finds what they can't see.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from ranker.domain.events import DAY_MICROS
from ranker.domain.nights import begun, following
from ranker.learning.feedback.health import windows
from ranker.serving.ranking.exploration import seed_of
from servicekit.artefacts.backups import STAMP, stamp
from tests.code import nodes, nodes_in_functions

ROOT = Path(__file__).parents[2]
SOURCES = (
    *(f"services/{name}/src" for name in ("all", "embedder", "gateway", "ranker", "retriever")),
    *(
        "kit/src",
        "rules/src",
        "core/src",
        "client/src",
        "agents/src",
        "console/src",
        "protos/sightline",
        "deploy/local",
    ),
)

BY_POSITION = {
    "services/retriever/src/retriever/record/registry.py": "what exceeds a number, in one read",
    "services/retriever/src/retriever/record/retention.py": "what exceeds a number, in one read",
    "services/ranker/src/ranker/record/popularity.py": "OFFSET 0 keeps PostgreSQL's plan",
}
"""Statements with an OFFSET. A list that is read in pages is paged by its key: a row that goes
between two pages would hide another one."""

FLOATS_COMPARED = {
    "services/ranker/src/ranker/serving/ranking/recommenders.py:_best_sellers": "minus infinity",
    "services/gateway/src/gateway/recommend/scene_diff.py:entry_changes": "an exact zero",
}
"""Equality of floats that decides."""

ZONES_BY_HAND = {
    "kit/src/servicekit/artefacts/content_store.py:_older": "in_utc",
    "services/ranker/src/ranker/backups.py:purges": "_time rejects one without a zone",
    "services/ranker/src/ranker/events/backups/purges.py:forget_before": "replace(tzinfo=UTC)",
    "kit/src/servicekit/outbound/fetch.py:_modified": "in_utc",
    "kit/src/servicekit/rpc/tls.py:_end": "a property in UTC",
    "client/src/sightline_client/convert/to_wire.py:timestamp": "rejects one without a zone",
    "client/src/sightline_client/files/audit.py:_instant": "UTC without a zone",
    "client/src/sightline_client/files/instants.py:placed": "has the zone that is named",
    "console/src/sightline_console/pages/rendering.py:typed_moment": "one with a zone alone",
    "console/src/sightline_console/screens/scene_text.py:_utc": "one with a zone alone",
}
"""Where a time, which could be without a zone, is taken for one of this machine's: `timestamp()` of
such a time and `astimezone` do so."""

CLOCK_NAMES = {
    "kit/src/servicekit/artefacts/backups.py:stamp": "names of backups: the tests below",
    "services/ranker/src/ranker/domain/nights.py:begun": "the tests below",
    "services/ranker/src/ranker/domain/nights.py:following": "the tests below",
    "services/ranker/src/ranker/serving/ranking/exploration.py:seed_of": "the tests below",
    "services/ranker/src/ranker/learning/feedback/health.py:windows": "the tests below",
    "services/ranker/src/ranker/servicer/events.py:CountSales": "a sum over whole days (UTC)",
    "services/ranker/src/ranker/record/answers.py:_expose": "the term of a count by day",
    "services/ranker/src/ranker/record/answers.py:_write": "day of an answer's own time",
    "services/ranker/src/ranker/serving/ranking/recommenders.py:_reorder": "days since a purchase",
    "services/ranker/src/ranker/domain/counting.py:days": "day of an event's own time",
    "services/ranker/src/ranker/domain/counting.py:unit": "day of an event's own time",
    "services/ranker/src/ranker/domain/online.py:days": "whole days within a period",
    "services/ranker/src/ranker/domain/signals.py:robots": "day of an event's own time",
    "services/ranker/src/ranker/record/count_queue.py:enqueue_shopper": "days of events",
    "services/ranker/src/ranker/record/online.py:_types": "days of events",
    "services/ranker/src/ranker/record/online_days.py:_day": "whole days since the period began",
    "services/ranker/src/ranker/record/popularity.py:by_day": "day of an event's own time",
    "services/ranker/src/ranker/learning/training/baskets.py:_contents": "days of events",
}
"""Days and names that services derive from times. A day or name of *now* finds nothing again that
was stored under another one: ids of jobs, keys and rows are never taken from the clock."""


@cache
def modules() -> Sequence[Path]:
    """Return each module of ours."""
    return [
        path
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        if not path.stem.endswith(("_pb2", "_pb2_grpc")) and "_generated" not in path.parts
    ]


def called(node: ast.AST) -> str:
    """Return the name of the function or method that a node calls; empty: it calls none."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def skips_rows(node: ast.AST) -> bool:
    """Return whether a node is a statement with OFFSET; Kafka's `offset()` has no argument."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.search(r"(LIMIT|\n|\A) *[^\n]*\bOFFSET\s+[:?%\d]", node.value) is not None
    return called(node) == "offset" and isinstance(node, ast.Call) and bool(node.args)


def slices_pages(path: Path) -> bool:
    """Return whether a module that reads page tokens takes list[after : after + size]."""
    for node in nodes(path) if "page_place" in path.read_text() else ():
        match node:
            case ast.Slice(lower=ast.Name(id=low), upper=ast.BinOp(ast.Name(id=same), ast.Add())):
                if low == same:
                    return True
    return False


def is_float(node: ast.expr) -> bool:
    """Return whether an expression is visibly a float."""
    match node:
        case ast.UnaryOp(operand=operand):
            return is_float(operand)
        case ast.Constant(value=value):
            return isinstance(value, float)
        case ast.BinOp(op=ast.Div()):
            return True
    return called(node) == "float"


def compares_floats(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    equal = any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
    return equal and any(map(is_float, (node.left, *node.comparators)))


LOCAL = {"mktime", "localtime", "ctime", "asctime", "parsedate", "timetuple", "today", "tzlocal"}


def assumes_zone(node: ast.AST) -> bool:
    """Return whether a node reads a time in this machine's zone if it has none."""
    name = called(node)
    if name in LOCAL:
        return True
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    module = isinstance(node.func.value, ast.Name) and node.func.value.id in {
        "to_wire",
        "options",
        "pa",
        "pyarrow",
        "requests",
    }
    return name == "astimezone" or (name == "timestamp" and not node.args and not module)


def places(matches: Callable[[ast.AST], bool]) -> set[str]:
    """Return PATH:FUNCTION of each match."""
    return {
        f"{path.relative_to(ROOT)}:{name}"
        for path in modules()
        for name, node in nodes_in_functions(path)
        if matches(node)
    }


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_lists_are_paged_by_key() -> None:
    assert {place.partition(":")[0] for place in places(skips_rows)} == BY_POSITION.keys()
    assert [path for path in modules() if slices_pages(path)] == []


@pytest.mark.parametrize(
    ("matches", "known"),
    [(compares_floats, FLOATS_COMPARED), (assumes_zone, ZONES_BY_HAND)],
)
def test_floats_that_decide_and_zones_that_are_assumed_are_known(
    matches: Callable[[ast.AST], bool], known: Mapping[str, str]
) -> None:
    assert places(matches) == known.keys()


def names_a_day(node: ast.AST) -> bool:
    """Return whether a node derives a day, or a text with one, from a time."""
    match node:
        case ast.BinOp(op=ast.FloorDiv(), right=ast.Name(id="DAY_MICROS")):
            return True
        case ast.FormattedValue(format_spec=ast.JoinedStr() as spec):
            return re.search(r"%[YmdHj]|STAMP", ast.unparse(spec)) is not None
        case ast.Subscript(value=value, slice=ast.Slice(upper=ast.Constant(value=10))):
            return called(value) == "isoformat"
    return called(node) in ("date", "strftime", "toordinal")


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_days_and_names_that_come_from_the_clock_are_known() -> None:
    found = {place for place in places(names_a_day) if not place.startswith("client/")}
    assert found == CLOCK_NAMES.keys()


def starts_jobs(node: ast.AST) -> bool:
    """Return whether a node creates a job, or finds one by its request."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="create" | "find" | "request")):
            return ast.unparse(owner).rpartition(".")[2] in ("jobs", "board", "night_jobs")
    return False


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_ids_of_jobs_are_not_taken_from_the_clock() -> None:
    starting = {place for place in places(starts_jobs) if place.startswith("services/")}
    assert len(starting) > 20
    dated = places(lambda node: names_a_day(node) or called(node) in ("stamp", "isoformat"))
    assert starting & dated == set()


BORDERS = [
    datetime(2026, 3, 1, tzinfo=UTC),  # a month
    datetime(2027, 1, 1, tzinfo=UTC),  # a year
    datetime(2028, 2, 29, tzinfo=UTC),  # a leap day
    datetime(2028, 3, 1, tzinfo=UTC),
    datetime(2017, 1, 1, tzinfo=UTC),  # after a leap second
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # summer time begins in Europe
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and ends
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # and in New York
]


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let this machine's clock be in another zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("border", BORDERS, ids=str)
def test_what_services_take_from_the_clock_is_right_at_its_borders(border: datetime) -> None:
    second, at = 1_000_000, int(border.timestamp()) * 1_000_000
    around = [at - DAY_MICROS, at - second, at, at + second, at + DAY_MICROS]
    stamps = [stamp(micros) for micros in around]
    assert stamps == sorted({*stamps}), "names sort by time"
    read = [datetime.strptime(one, STAMP).replace(tzinfo=UTC) for one in stamps]
    assert [int(one.timestamp()) * second for one in read] == around
    for hour in (0, 3, 23):
        hours = range(at - DAY_MICROS, at + DAY_MICROS, DAY_MICROS // 24)
        for micros, night in ((micros, begun(hour, micros)) for micros in hours):
            now = datetime.fromtimestamp(micros / 1e6, UTC)
            tonight = now.replace(hour=hour, minute=0)
            assert night == (int(tonight.timestamp()) * second if tonight <= now else None)
            due = tonight if tonight > now else tonight + timedelta(days=1)
            assert following(hour, micros) == int(due.timestamp()) * second
    seeds = [seed_of(7, "ann", "visit", micros) for micros in (at - second, at, at + second)]
    assert seeds[1] == seeds[2]
    assert (seeds[0] == seeds[1]) == bool(border.hour), "another one on another day (UTC)"
    found = windows(at, days=3, reference_days=2)
    assert found.present.end_micros == at - at % DAY_MICROS
    assert found.present.start_micros == at - at % DAY_MICROS - 3 * DAY_MICROS
    assert found.reference.end_micros == found.present.start_micros


def test_ruff_rejects_times_without_a_zone() -> None:
    assert re.search(r'^  "E".*"DTZ"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    excused = [
        path for path in (ROOT / "services").rglob("src/**/*.py") if "noqa: DTZ" in path.read_text()
    ]
    assert [path.name for path in excused] == ["keys.py"]
