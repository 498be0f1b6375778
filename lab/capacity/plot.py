"""Plot of the runs: load, pods, p99 and incomplete answers over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab.capacity.runs import SimulationRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "signals": "#1b6ca8",
    "CPU 60%": "#d1495b",
    "fixed, by peak": "#555555",
    "fixed, by mean": "#b0a060",
}
ROWS = (
    ("requests/s", "rate", 1.0),
    ("pods", "pods", 1.0),
    ("p99, ms", "p99", 1e3),
    ("not whole, %", "not_whole", 100.0),
)


def picture(runs: Sequence[SimulationRun]) -> str:
    """Return an SVG of the runs. Equal runs give equal bytes."""
    # Imported late, as it takes half a second of processor time.
    import matplotlib
    from matplotlib.figure import Figure

    loads = list(dict.fromkeys(each.load for each in runs))
    with matplotlib.rc_context({"svg.hashsalt": "sightline", "svg.fonttype": "none"}):
        figure = Figure(figsize=(3.4 * len(loads), 8), layout="constrained")
        grid = figure.subplots(len(ROWS), len(loads), squeeze=False, sharex="col")
        for column, load in enumerate(loads):
            mine = [each for each in runs if each.load == load]
            for row, (label, name, times) in enumerate(ROWS):
                _lines(grid[row][column], mine, name, times)
                if not column:
                    grid[row][column].set_ylabel(label)
            grid[0][column].set_title(load)
            grid[-1][column].set_xlabel(
                "minutes" if mine[0].series["minutes"][-1] < 60 else "hours"
            )
        handles, labels = grid[1][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _lines(axes: Axes, runs: Sequence[SimulationRun], name: str, times: float) -> None:
    for each in runs[:1] if name == "rate" else runs:
        x = _time(each.series)
        y = [value * times for value in each.series[name]]
        colour = "#888888" if name == "rate" else COLOURS.get(each.policy)
        axes.plot(x, y, color=colour, label=each.policy, linewidth=1.2)
    if name == "p99":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, linewidth=0.3)


def _time(series: Mapping[str, list[float]]) -> list[float]:
    minutes = series["minutes"]
    return [each / 60 for each in minutes] if minutes[-1] >= 60 else minutes
