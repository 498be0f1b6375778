"""An evaluation as a self-contained HTML page, with plots as SVG and explanations of its
figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline_client.cli.language import _
from sightline_client.cli.show import evaluation_words as words
from sightline_client.cli.show import page
from sightline_client.values.evaluation import EvaluatedSystem, Evaluation, EvaluationTrial

WIDTH = 720
"""Width of a plot, in its own units."""
LABELS = 150
"""Left of the axis, for names."""
ROW = 26
HEAD, FOOT = 12, 30
LINE = 15
"""Between two labels."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its interval in a plot: x in the plot's units."""

    label: str
    role: str
    y: float
    x: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Values on one axis, a row each."""

    height: float
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[tuple[float, str], ...] = ()
    """Upright lines with their names."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A system in a plot of two figures."""

    label: str
    role: str
    x: float
    y: float
    label_y: float
    """Apart from those of other dots."""
    text: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Systems by two figures."""

    height: float
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
        plot_width=WIDTH,
        plot_labels=LABELS,
    )
    text = made.get_template("evaluation.html.j2").render(found=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


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
    axis = _Axis(0.0, most or 1.0)
    marks = tuple(
        Mark(
            label=system.name,
            role=words.role(system.kind),
            y=HEAD + ROW * (row + 0.5),
            x=axis.at(one.value),
            low=axis.at(one.value if one.low is None else one.low),
            high=axis.at(one.value if one.high is None else one.high),
            text=words.figure(one),
        )
        for row, (system, one) in enumerate(found)
    )
    return Plot(HEAD + ROW * len(marks) + FOOT, marks, axis.ticks())


def difference_plot(trial: EvaluationTrial) -> Plot:
    """Plot the candidate less each other system, with the thresholds of the decision."""
    ends = [end for one in trial.comparisons for end in (one.low, one.high, -one.margin, 0.0)]
    axis = _Axis(min(ends, default=0.0), max(ends, default=1.0))
    marks = tuple(
        Mark(
            label=one.against,
            role=one.verdict.value.lower() if one.decides else "baseline",
            y=HEAD + ROW * (row + 0.5),
            x=axis.at(one.difference),
            low=axis.at(one.low),
            high=axis.at(one.high),
            text=f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}]",
        )
        for row, one in enumerate(trial.comparisons)
    )
    margins = [(axis.at(-one.margin), _("margin")) for one in trial.comparisons if one.margin]
    lines = ((axis.at(0.0), _("no difference")), *margins)
    return Plot(HEAD + ROW * len(marks) + FOOT, marks, axis.ticks(), lines)


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
    height = 260.0
    wide = _Axis(0.0, max(x for _, x, _ in found) or 1.0)
    tall = _Axis(0.0, max(y for _, _, y in found) or 1.0, start=height - FOOT, end=HEAD * 2)
    dots, free = [], 0.0
    for system, x, y in sorted(found, key=lambda one: -one[2]):
        place = tall.at(y)
        label = max(place + 4, free)
        free = label + LINE
        name, role = system.name, words.role(system.kind)
        dots.append(Dot(name, role, wide.at(x), place, label, f"{x:.3f}, {y:.3f}"))
    return Scatter(max(height, free + FOOT), tuple(dots), wide.ticks(), tall.ticks())


class _Axis:
    """Values to a plot's units."""

    def __init__(
        self, low: float, high: float, *, start: float = LABELS, end: float = WIDTH - 200
    ) -> None:
        self._low, self._span = low, (high - low) or 1.0
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self._low) / self._span
        return round(self._start + share * (self._end - self._start), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return five positions on the axis with their values."""
        values = (self._low + self._span * step / 4 for step in range(5))
        return tuple((self.at(value), f"{value:.3f}") for value in values)
