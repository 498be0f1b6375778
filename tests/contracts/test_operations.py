"""The handbook has a row for each failure of the chaos runs, and names only existing things."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from local_suite.programs import ALL
from tests.chaos.__main__ import scenarios
from tests.chaos.embedder.losses import BACK_SECONDS, LOSSES, WATCHED_SECONDS
from tests.chaos.retriever import outages
from tests.chaos.retriever.full_disks import MEBIBYTES, PHOTOS, RECORD
from tests.chaos.suite import processes
from tests.trends import product

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
PARTS: Mapping[str, Sequence[str]] = {
    "outages": outages.KINDS,
    "full-disks": (*MEBIBYTES, "engine"),
    "embedder-losses": tuple(LOSSES),
    "processes": tuple(each for each in processes.LEFT if each != ALL),
}
"""Scenarios that lose one thing after another."""
ROWS: Mapping[str, Sequence[str]] = {
    "A gateway": ["processes: gateway"],
    "The HTTP process": ["processes: gateway-http"],
    "Embedder, retriever or ranker": [
        *("processes: embedder", "processes: retriever", "processes: ranker"),
    ],
    "A worker": ["processes: retriever-worker", "processes: ranker-worker"],
    "A rolling restart": ["restarts", "one-process-restarts"],
    "The process of all services": [
        *("one-process", "one-process-kills", "one-process-outages", "one-process-full-disks"),
    ],
    "Triton": [
        *("processes: triton", "embedder-losses: Triton killed", "embedder-losses: Triton slow"),
        *("embedder-losses: Triton restarted", "embedder-losses: Triton stands still"),
    ],
    "A model in Triton": [
        "embedder-losses: the model's process killed",
        "embedder-losses: starting processes stand still",
        "embedder-losses: model unloaded",
    ],
    "Triton overloaded": ["embedder-losses: overloaded"],
    "Another version of a model": ["embedder-versions"],
    "Milvus": [
        *("processes: milvus", "outages: down", "outages: hung", "outages: restarted"),
    ],
    "Milvus's data": ["deletions", "one-process-deletions"],
    "Retriever, worker and Milvus": ["kills"],
    "An index generation": ["rollouts", "one-process-rollouts"],
    "PostgreSQL": ["database", "one-process-database"],
    "The record's disk": [f"full-disks: {RECORD}"],
    "The photos' disk": [f"full-disks: {PHOTOS}"],
    "Milvus's disk": ["full-disks: engine"],
    "A slow network": ["proxy"],
    "Five times the load": ["overload"],
    "Cameras": [
        *("watches", "one-process-watches", "processes: vision", "processes: vision-worker"),
    ],
    "Frames of watches": [],  # tests/wire/test_vision_snapshots.py
    "Objects can't be found, or pieces not inspected": [],  # tests/wire/test_vision_inspection.py
    "The event log": [],  # tests/wire/test_event_log.py
    "Forged events": [],  # the same
    "A greedy caller": ["greedy"],
}
"""Scenarios of the chaos runs by the first words of the row."""


def made() -> Iterator[str]:
    """Yield the names of all scenarios of `make chaos`, for every engine."""
    numbers = dict.fromkeys(("seed", "rounds", "switches", "losses", "versions", "stopped"), 0)
    names = scenarios(argparse.Namespace(part=[], **numbers))
    for name in {re.sub("-(lite|server)$", "", each) for each in names}:
        yield from [f"{name}: {part}" for part in PARTS[name]] if name in PARTS else [name]


def test_each_failure_that_the_chaos_runs_make_has_a_row() -> None:
    assert sorted(made()) == sorted(each for some in ROWS.values() for each in some)
    assert re.findall(r"^\| \*\*(.+?)\*\*", PAGE, re.MULTILINE) == list(ROWS)
    assert processes.HOW == ("killed", "stopped"), "each row says what comes of both"


def test_what_it_promises_is_what_the_chaos_runs_hold() -> None:
    (promised,) = re.findall(r"Promised: (.+?\))", PAGE, re.DOTALL)
    assert re.findall(r"[\d.]+", promised) == [
        *("99.9", f"{BACK_SECONDS:.0f}", f"{WATCHED_SECONDS:.0f}"),
    ]
    assert processes.ANSWERED == 0.999
    assert processes.RECOVERY_SECONDS == outages.RECOVERY_SECONDS == BACK_SECONDS


def test_whoever_is_called_by_an_alert_finds_it() -> None:
    there = [
        rule
        for name in ("alerts.yaml", "slo.rules.yaml")
        for group in yaml.safe_load((ROOT / "deploy/monitoring" / name).read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    calling = {each["alert"] for each in there if each["labels"]["severity"] == "critical"}
    named = set(re.findall(r"`(Sightline\w+)`", PAGE))
    assert calling <= named <= {each["alert"] for each in there}


def test_reasons_log_lines_metrics_and_targets_are_there() -> None:
    code = "".join(path.read_text("utf-8") for path in product())
    lines = re.findall(r"(?:log|, then) `([^`]+)`", PAGE)
    words = [*lines, *re.findall(r"\b[A-Z]+_[A-Z_]+\b", PAGE)]
    assert len(words) > 18
    assert [each for each in words if each not in code] == []
    metrics = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    assert [each for each in re.findall(r"sightline_\w+", PAGE) if each not in metrics] == []
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall("`make ([a-z-]+)", PAGE):
        assert re.search(rf"^{target}\b.*:", makefile, re.MULTILINE), target
