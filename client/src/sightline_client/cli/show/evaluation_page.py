"""An evaluation as a self-contained HTML page, with plots as SVG and explanations of its
figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline_client.cli.language import _
from sightline_client.cli.show import evaluation_words as words
from sightline_client.cli.show import page
from sightline_client.values.evaluation import EvaluatedSystem, Evaluation, EvaluationTrial


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its interval on an axis: places are percents of its width."""

    label: str
    role: str
    x: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Values on one axis, a row each."""

    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[tuple[float, str], ...] = ()
    """Upright lines with their names."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A system in a plot of two figures: places are percents from the left and the bottom."""

    number: int
    label: str
    role: str
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Systems by two figures."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def write(path: Path, value: Evaluation) -> None:
    """Write the page, its folder too."""
    made = page.environment(photo_of=lambda _: "")
    made.globals.update(
        words=words,
        figures=figure_plot,
        differences=difference_plot,
        scatter=scatter_plot,
    )
    page.render(path, made.get_template("evaluation.html.j2"), found=value)


def figure_plot(systems: Sequence[EvaluatedSystem], part: str, name: str) -> Plot | None:
    """Plot one figure of all systems with intervals; None = no shopper was measured."""
    found = []
    for system in systems:
        measured = system.slice(part)
        figure = measured.figure(name) if measured else None
        if figure is not None:
            found.append((system, figure))
    if not found:
        return None
    most = max(one.high if one.high is not None else one.value for _, one in found)
    axis = Axis(0.0, most or 1.0)
    marks = tuple(
        Mark(
            label=system.name,
            role=words.role(system.kind),
            x=axis.at(one.value),
            low=axis.at(one.value if one.low is None else one.low),
            high=axis.at(one.value if one.high is None else one.high),
            text=words.figure(one),
        )
        for system, one in found
    )
    return Plot(marks, axis.ticks())


def difference_plot(trial: EvaluationTrial) -> Plot:
    """Plot the candidate less each other system, with the thresholds of the decision."""
    ends = [end for one in trial.comparisons for end in (one.low, one.high, -one.margin, 0.0)]
    axis = Axis(min(ends, default=0.0), max(ends, default=1.0))
    marks = tuple(
        Mark(
            label=one.against,
            role=one.verdict.value.lower() if one.decides else "baseline",
            x=axis.at(one.difference),
            low=axis.at(one.low),
            high=axis.at(one.high),
            text=f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}]",
        )
        for one in trial.comparisons
    )
    margins = [(axis.at(-one.margin), _("margin")) for one in trial.comparisons if one.margin]
    lines = ((axis.at(0.0), _("no difference")), *margins)
    return Plot(marks, axis.ticks(), lines)


def scatter_plot(systems: Sequence[EvaluatedSystem], across: str, up: str) -> Scatter | None:
    """Plot the regulars' figures `across` and `up` of each system; None = no shopper was
    measured."""
    found = []
    for system in systems:
        part = system.slice("regulars")
        first, second = (part.figure(name) if part else None for name in (across, up))
        if first is not None and second is not None:
            found.append((system, first.value, second.value))
    if not found:
        return None
    wide = Axis(0.0, max(x for _, x, _ in found) or 1.0)
    tall = Axis(0.0, max(y for _, _, y in found) or 1.0)
    dots = tuple(
        Dot(
            number,
            system.name,
            words.role(system.kind),
            wide.at(x),
            tall.at(y),
            _(
                "{up_name} {up:.3f}, {across_name} {across:.3f}",
                up_name=words.short(up),
                up=y,
                across_name=words.short(across),
                across=x,
            ),
        )
        for number, (system, x, y) in enumerate(sorted(found, key=lambda one: -one[2]), 1)
    )
    return Scatter(dots, wide.ticks(), tall.ticks())


class Axis:
    """Values as percents of an axis."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._span = low, (high - low) or 1.0

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return round(100 * (value - self._low) / self._span, 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return three positions on the axis with their values."""
        values = (self._low + self._span * step / 2 for step in range(3))
        return tuple((self.at(value), f"{value:.3f}") for value in values)
