"""Experiments as text for people."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, phrase
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable, interval
from sightline_client.values import experiments as values
from sightline_client.values.experiments import ArmVerdict

MEANINGS = {
    "click_rate": "share of units that clicked a product of the experiment's answers",
    "clicks": "mean of a unit's clicks in the experiment's answers",
    "conversion_rate": "share of units that bought anything",
    "revenue": "mean amount that a unit paid",
    "hide_rate": "share of units that hid a product",
    "revenue_per_impression": "amount paid for each impression of the arm's answers",
    "margin": "mean amount paid less costs, of a unit",
    "margin_per_impression": "amount paid less costs, for each impression of the arm's answers",
}


def _state(one: values.Experiment) -> str:
    now = datetime.now(UTC)
    if one.end_time is not None and one.end_time <= now:
        return _("ended {end_time:%Y-%m-%d}", one)
    if one.start_time > now:
        return _("begins {start_time:%Y-%m-%d}", one)
    return _("since {start_time:%Y-%m-%d}", one)


_experiments = ValueTable(
    values.Experiment,
    {
        "name": "name",
        "state": _state,
        "scenes": "scenes",
        "arms": lambda one: ", ".join(f"{arm.name} {arm.share:.0%}" for arm in one.arms),
        "layer": lambda one: f"{one.layer} {one.layer_start:g}–{one.layer_end:g}",
        "decided by": "metric",
    },
    empty="No experiments.",
)


def listing(value: values.ExperimentList) -> RenderableType:
    """Show a row for each experiment, and the errors in the files."""
    found = [_experiments(value.experiments)]
    if value.problem:
        found.append(
            phrase(
                "The files are invalid, the previous ones stay in use: {problem}",
                value,
                style="red",
            )
        )
    return Group(*found)


def report(value: values.ExperimentReport) -> RenderableType:
    """Show the verdict first, then its evidence with explanations."""
    one = value.experiment
    control, *others = value.arms
    return Group(
        *(Text(_sentence(value, control, arm), style="bold") for arm in others),
        grid((_("arm"), _("share"), _("exposed"), _("counted")), _unit_rows(value)),
        grid(
            (_("metric"), _("arm"), _("mean"), _("difference"), _("95% at all readings")),
            _metric_rows(value),
        ),
        *map(Text, _explained(one, value)),
    )


def _sentence(
    value: values.ExperimentReport, control: values.ArmReport, arm: values.ArmReport
) -> str:
    one = value.experiment
    effect = next((each.effect for each in arm.metrics if each.metric == one.metric), None)
    means = {each.metric: each.mean for each in control.metrics}
    change = (
        _(" by {value:+.4f}{effect}", effect, effect=_relative(effect, means[one.metric]))
        if effect
        else ""
    )
    match arm.verdict:
        case ArmVerdict.SAMPLE_RATIO_MISMATCH:
            return _(
                "No conclusion on {name}: the arms' numbers of units contradict their "
                "shares. Find the cause first; docs/merchandise/experiments.md lists "
                "possible causes.",
                arm,
            )
        case ArmVerdict.GUARDRAIL_BROKEN:
            names = ", ".join(arm.broken_guardrails)
            return _(
                "Stop {name}: {names} is worse than in {control_name} beyond the margin.",
                arm,
                names=names,
                control_name=control.name,
            )
        case ArmVerdict.BETTER | ArmVerdict.WORSE:
            how = _("better") if arm.verdict is ArmVerdict.BETTER else _("worse")
            return _(
                "{name} is {how} than {control_name}: {metric} changes{change}.",
                arm,
                how=how,
                control_name=control.name,
                metric=one.metric,
                change=change,
            )
        case ArmVerdict.UNDECIDED:
            seen = sum(each.unit_count for each in (control, arm))
            left = one.planned_units - seen
            wait = (
                _("; {left:,} units to the planned {planned_units:,}", one, left=left)
                if left > 0
                else ""
            )
            return _(
                "Undecided between {name} and {control_name}: {metric}{change}{wait}.",
                arm,
                control_name=control.name,
                metric=one.metric,
                change=change,
                wait=wait,
            )
        case ArmVerdict.TOO_FEW:
            return _(
                "Too few counted units of {name} or {control_name} for a conclusion.",
                arm,
                control_name=control.name,
            )
    return _("{name}: a verdict that this client does not know: update it.", arm)


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
        name = (
            _("{metric} (decides)", metric=metric) if metric == value.experiment.metric else metric
        )
        if metric in guarded:
            name += _(" (guardrail {guarded:g})", guarded=guarded[metric])
        for arm in value.arms:
            one = arm.metrics[at]
            yield name, arm.name, f"{one.mean:.4f}", *_interval(one.effect)
            name = ""


def _interval(effect: values.EffectInterval | None) -> tuple[str, str]:
    if effect is None:
        return "–", "–"
    return f"{effect.value:+.4f}", interval(effect.lower, effect.upper, "+.4f")


def _uncounted(arms: Iterable[values.ArmReport]) -> Iterable[str]:
    """Yield what counts 0 in revenue and margin, if anything."""
    unpriced = sum(arm.unpriced_count for arm in arms)
    uncosted = sum(arm.uncosted_count for arm in arms)
    if unpriced:
        pieces = counted(unpriced, "piece", "pieces")
        yield _("Without a known price, 0 in revenue: {pieces}.", pieces=pieces)
    if uncosted:
        pieces = counted(uncosted, "piece", "pieces")
        yield _("Without a known price or cost, 0 in margin: {pieces}.", pieces=pieces)


def _explained(one: values.Experiment, value: values.ExperimentReport) -> Iterable[str]:
    hours = round(one.outcome_window.total_seconds() / 3600)
    yield (
        _(
            "exposed: units (users, else visitors) that received an answer of the arm. "
            "counted: exposed at least {hours} ago; all figures are of these.",
            hours=counted(hours, "hour", "hours"),
        )
    )
    currency = _(" in {currency}", one) if one.currency else ""
    names = [each.metric for each in value.arms[0].metrics]
    yield " ".join(
        f"{name}: {_(MEANINGS.get(name, name))}"
        f"{currency if name.startswith(('revenue', 'margin')) else ''}" + _(".")
        for name in names
    )
    yield from _uncounted(value.arms)
    yield (
        _(
            "difference: to the control. The interval contains the true difference with 95% "
            "probability over all readings together, divided among the arms."
        )
    )
    if value.mixed_unit_count:
        units = counted(value.mixed_unit_count, "unit", "units")
        yield _("Saw several arms, and count in the first one: {units}.", units=units)
