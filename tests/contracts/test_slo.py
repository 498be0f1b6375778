"""The objectives' alerts: each fires when its budget burns, not before, and ends soon after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from deploy.monitoring import generate, slo
from tests.contracts.test_alerts import promtool

SLOS = slo.read()
RULES = generate.HERE / "slo.rules.yaml"
GROUPS = [group["name"] for group in slo.rules(SLOS)["groups"]]
CALLS = 10_000
"""Calls in a step."""

Phase = tuple[int, float]
"""Number of steps at this burn rate."""


class Course(NamedTuple):
    """Load phases, and the steps at which the alerts of each window fire."""

    step: str
    phases: Sequence[Phase]
    firing: Sequence[tuple[int, set[str]]]


COURSES = {
    "minutes": Course(
        "2m",
        [(200, 0), (6, 100), (20, 0)],
        [(199, set()), (201, set()), (206, {"1h", "3d"}), (210, {"3d"})],
    ),
    "hours": Course(
        "2m",
        [(200, 0), (130, 10), (30, 0)],
        [(225, {"3d"}), (328, {"6h", "3d"}), (350, {"3d"})],
    ),
    "days": Course(
        "15m", [(293, 0), (107, 4), (33, 0)], [(320, set()), (397, {"3d"}), (430, set())]
    ),
    "as much as is allowed": Course("2m", [(200, 0.5)], [(190, set())]),
}
"""In how long a budget burns. Where there is less than three days of history, that is taken for
them: their alert then fires early, and ends when good days have passed."""


def bad(phases: Sequence[Phase]) -> Iterator[float]:
    """Yield the burn rate at each step."""
    for steps, rate in phases:
        yield from [rate] * steps


def counters(good: str, spoilt: str, allowed: float, phases: Sequence[Phase]) -> dict[str, str]:
    """Return two counters: of good and of bad events."""
    values: dict[str, list[int]] = {good: [0], spoilt: [0]}
    for rate in bad(phases):
        share = min(rate * allowed, 1)
        values[good].append(values[good][-1] + round(CALLS * (1 - share)))
        values[spoilt].append(values[spoilt][-1] + round(CALLS * share))
    return {name: " ".join(map(str, some)) for name, some in values.items()}


def looks(series: str, fine: int, spoilt: int, phases: Sequence[Phase]) -> dict[str, str]:
    """Return a gauge that is bad at every n-th step, for an objective of 99%."""
    values = [
        spoilt if rate and step % (100 / rate) < 1 else fine
        for step, rate in enumerate(bad(phases))
    ]
    return {series: " ".join(map(str, values))}


RPC = "sightline.gateway.v1.RecommendationService"


def inputs(name: str, phases: Sequence[Phase]) -> dict[str, str]:
    """Return the series of an objective in these phases."""
    allowed = SLOS.slos[name].allowed
    match name:
        case "availability":
            one = f'sightline_rpc_seconds_count{{service="gateway", method="{RPC}/Search", code='
            # Those of latency are half of all calls.
            return counters(f'{one}"OK"}}', f'{one}"UNAVAILABLE"}}', 2 * allowed, phases)
        case "latency":
            labels = f'service="gateway", method="{RPC}/Recommend", code="OK"'
            quick = f'sightline_rpc_seconds_bucket{{{labels}, le="0.25"}}'
            found = counters(quick, "slow", allowed, phases)
            whole = [CALLS * step for step, _ in enumerate([0.0, *bad(phases)])]
            every = f"sightline_rpc_seconds_count{{{labels}}}"
            return {quick: found[quick], every: " ".join(map(str, whole))}
        case "degraded":
            one = "sightline_gateway_answers_total{quality="
            return counters(f'{one}"full"}}', f'{one}"reduced"}}', allowed, phases)
        case "freshness":
            lag = 'sightline_index_lag_seconds{catalog="default", space="visual"}'
            return looks(lag, 59, 61, phases)
        case "recall":
            one = 'sightline_recall_below_floor{catalog="default", space="visual", plan="graph"}'
            return looks(one, 0, 1, phases)
        case _:
            raise LookupError(f"{name}: how is it made to burn?")


def expected(name: str, windows: set[str]) -> list[dict[str, Any]]:
    """Return the expected alerts of an objective with these windows."""
    found = []
    for rule in (each for group in slo.rules(SLOS)["groups"] for each in group["rules"]):
        if rule.get("alert") == slo.alert_name(name) and rule["labels"]["window"] in windows:
            catalog = {"catalog": "default"} if SLOS.slos[name].good_while else {}
            notes = {
                key: text.replace("{{ $labels.catalog }}", "default")
                for key, text in rule["annotations"].items()
            }
            labels = {**rule["labels"], "slo": name, **catalog}
            found.append({"exp_labels": labels, "exp_annotations": notes})
    assert len(found) == len(windows)
    return found


def ask(folder: Path, course: Course, series: dict[str, str], names: Iterable[str]) -> None:
    """Run the rules on the series by promtool."""
    minutes = int(course.step.rstrip("m"))
    asked = [
        {
            "alertname": slo.alert_name(name),
            "eval_time": f"{step * minutes}m",
            "exp_alerts": expected(name, windows),
        }
        for name in names
        for step, windows in course.firing
    ]
    test = {
        "interval": course.step,
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": asked,
    }
    whole = {
        "rule_files": [str(RULES)],
        "evaluation_interval": course.step,
        "group_eval_order": GROUPS,
        "tests": [test],
    }
    file = folder / "slo.test.yaml"
    file.write_text(json.dumps(whole))
    promtool("test", "rules", str(file))


@pytest.mark.when("deploy")
@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        *("minutes", "as much as is allowed"),
        *(pytest.param(each, marks=pytest.mark.full) for each in ("hours", "days")),
    ],
)
def test_alerts_fire_while_their_budget_burns_and_only_then(what: str, tmp_path: Path) -> None:
    course = COURSES[what]
    series: dict[str, str] = {}
    for name in SLOS.slos:
        series |= inputs(name, course.phases)
    ask(tmp_path, course, series, SLOS.slos)


WELL = f'sightline_rpc_seconds_count{{service="gateway", method="{RPC}/Search", code="OK"}}'
SHED = 'sightline_refused_total{service="gateway", reason="SERVICE_OVERLOADED"}'
ADMIN = WELL.replace("RecommendationService/Search", "AdminService/TrainModel")


@pytest.mark.when("deploy")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "windows"),
    [
        (SHED, {"1h", "6h", "3d"}),
        (WELL.replace("OK", "DEADLINE_EXCEEDED"), {"1h", "6h", "3d"}),
        (SHED.replace("SERVICE_OVERLOADED", "QUOTA_EXHAUSTED"), set()),
        (WELL.replace("OK", "INVALID_ARGUMENT"), set()),
        (ADMIN.replace("OK", "INTERNAL"), set()),
    ],
)
def test_what_counts_against_availability(spoilt: str, windows: set[str], tmp_path: Path) -> None:
    course = Course("2m", [(30, 0), (10, 100)], [(40, windows)])
    series = counters(WELL, spoilt, SLOS.slos["availability"].allowed, course.phases)
    ask(tmp_path, course, series, ["availability"])


GOOD: dict[str, Any] = {
    "objective": 99,
    "promise": "It works.",
    "what": "it fails",
    "act": "x" * 80,
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"valid": "a"},
        {"valid": "a", "good": "b", "bad": ["c"]},
        {"valid": "a", "good": "b", "good_while": "c < 1"},
        {"good_while": "c < 1", "objective": 100},
        {"good_while": "c < 1", "act": "Look."},
        {"good_while": "c < 1", "goood": "b"},
    ],
)
def test_an_objective_that_says_too_little_or_too_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        slo.Slo.model_validate(GOOD | fields)


def test_a_condition_that_is_no_comparison_is_refused() -> None:
    found = slo.Slos(days=30, slos={"x": slo.Slo.model_validate({**GOOD, "good_while": "up"})})
    with pytest.raises(ValueError, match="is not one comparison"):
        slo.rules(found)
