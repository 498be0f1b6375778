"""Experiments as text for people."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import counted, grid
from sightline_client.values import experiments as values
from sightline_client.values.experiments import ArmVerdict

MEANINGS = {
    "click_rate": "share of units that clicked a product of the experiment's answers",
    "clicks": "mean of a unit's clicks in the experiment's answers",
    "conversion_rate": "share of units that bought anything",
    "revenue": "mean amount that a unit paid",
    "hide_rate": "share of units that hid a product",
}
_BETTER, _WORSE = "better", "worse"


def listing(value: values.ExperimentList) -> RenderableType:
    """Show a row for each experiment, and the errors in the files."""
    now = datetime.now(UTC)
    rows = [
        (
            one.name,
            _state(one, now),
            ", ".join(one.scenes),
            ", ".join(f"{arm.name} {arm.share:.0%}" for arm in one.arms),
            f"{one.layer} {one.layer_start:g}–{one.layer_end:g}",
            one.metric,
        )
        for one in value.experiments
    ]
    found: list[RenderableType] = [
        grid(("name", "state", "scenes", "arms", "layer", "decided by"), rows)
        if rows
        else Text("No experiments.")
    ]
    if value.problem:
        found.append(
            Text(
                f"The files are invalid, the previous ones stay in use: {value.problem}",
                style="red",
            )
        )
    return Group(*found)


def _state(one: values.Experiment, now: datetime) -> str:
    if one.end_time is not None and one.end_time <= now:
        return f"ended {one.end_time:%Y-%m-%d}"
    if one.start_time > now:
        return f"begins {one.start_time:%Y-%m-%d}"
    return f"since {one.start_time:%Y-%m-%d}"


def report(value: values.ExperimentReport) -> RenderableType:
    """Show the verdict first, then its evidence with explanations."""
    one = value.experiment
    control, *others = value.arms
    return Group(
        *(Text(_sentence(value, control, arm), style="bold") for arm in others),
        grid(("arm", "share", "exposed", "counted"), _unit_rows(value)),
        grid(("metric", "arm", "mean", "difference", "95% at all readings"), _metric_rows(value)),
        *map(Text, _explained(one, value)),
    )


def _sentence(
    value: values.ExperimentReport, control: values.ArmReport, arm: values.ArmReport
) -> str:
    one = value.experiment
    effect = next((each.effect for each in arm.metrics if each.metric == one.metric), None)
    means = {each.metric: each.mean for each in control.metrics}
    change = f" by {effect.value:+.4f}{_relative(effect, means[one.metric])}" if effect else ""
    match arm.verdict:
        case ArmVerdict.SAMPLE_RATIO_MISMATCH:
            return (
                f"No conclusion on {arm.name}: the arms' numbers of units contradict their shares."
                " Find the cause first; docs/merchandise/experiments.md lists possible causes."
            )
        case ArmVerdict.GUARDRAIL_BROKEN:
            names = ", ".join(arm.broken_guardrails)
            return f"Stop {arm.name}: {names} is worse than in {control.name} beyond the margin."
        case ArmVerdict.BETTER | ArmVerdict.WORSE:
            how = _BETTER if arm.verdict is ArmVerdict.BETTER else _WORSE
            return f"{arm.name} is {how} than {control.name}: {one.metric} changes{change}."
        case ArmVerdict.UNDECIDED:
            seen = sum(each.unit_count for each in (control, arm))
            left = one.planned_units - seen
            wait = f"; {left:,} units to the planned {one.planned_units:,}" if left > 0 else ""
            return f"Undecided between {arm.name} and {control.name}: {one.metric}{change}{wait}."
        case ArmVerdict.TOO_FEW:
            return f"Too few counted units of {arm.name} or {control.name} for a conclusion."
    return f"{arm.name}: a verdict that this client does not know: update it."


def _relative(effect: values.EffectInterval, base: float) -> str:
    return f" ({effect.value / base:+.1%})" if base else ""


def _unit_rows(value: values.ExperimentReport) -> Iterator[tuple[str, ...]]:
    shares = {arm.name: arm.share for arm in value.experiment.arms}
    for arm in value.arms:
        share = f"{shares[arm.name]:.1%}"
        yield arm.name, share, f"{arm.exposed_count:,}", f"{arm.unit_count:,}"


def _metric_rows(value: values.ExperimentReport) -> Iterator[tuple[str, ...]]:
    guarded = {each.metric: each.margin for each in value.experiment.guardrails}
    for at, metric in enumerate(each.metric for each in value.arms[0].metrics):
        name = f"{metric} (decides)" if metric == value.experiment.metric else metric
        if metric in guarded:
            name += f" (guardrail {guarded[metric]:g})"
        for arm in value.arms:
            one = arm.metrics[at]
            yield name, arm.name, f"{one.mean:.4f}", *_interval(one.effect)
            name = ""


def _interval(effect: values.EffectInterval | None) -> tuple[str, str]:
    if effect is None:
        return "–", "–"
    return f"{effect.value:+.4f}", f"{effect.lower:+.4f} to {effect.upper:+.4f}"


def _explained(one: values.Experiment, value: values.ExperimentReport) -> Iterable[str]:
    hours = round(one.outcome_window.total_seconds() / 3600)
    yield (
        "exposed: units (users, else visitors) that received an answer of the arm. counted: exposed"
        f" at least {counted(hours, 'hour', 'hours')} ago; all figures are of these."
    )
    currency = f" in {one.currency}" if one.currency else ""
    names = [each.metric for each in value.arms[0].metrics]
    yield " ".join(
        f"{name}: {MEANINGS.get(name, name)}{currency if name == 'revenue' else ''}."
        for name in names
    )
    yield (
        "difference: to the control. The interval contains the true difference with 95% probability"
        " over all readings together, divided among the arms."
    )
    if value.mixed_unit_count:
        units = counted(value.mixed_unit_count, "unit", "units")
        yield f"Excluded, because they saw several arms: {units}."
