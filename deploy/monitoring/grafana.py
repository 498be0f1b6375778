"""Dashboards as Grafana reads them, built by Grafana's own library (grafana-foundation-sdk)."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from deploy.monitoring.boards.model import Board, Panel, PanelRow, Variable

HEIGHT = {True: 4, False: 8}
"""Heights of a panel with a number, and of one with lines."""
WIDTH = 24
"""Columns of the grid."""
SOURCE = models.DataSourceRef(type_val="prometheus", uid="$datasource")
ALL = models.VariableOption(selected=True, text="All", value="$__all")


def rendered(board: Board) -> str:
    """Return the dashboard's JSON."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"sightline-{board.name}")
        .description(board.says)
        .tags(["sightline"])
        .editable()
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .link(_others())
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(
            _labels(
                "namespace",
                "sightline_rpc_seconds_count",
                "Namespace on Kubernetes; All elsewhere.",
            )
        )
        .with_variable(
            _labels("catalog", 'sightline_index_lag_seconds{namespace=~"$namespace"}', "Shops.")
        )
    )
    for variable in board.asked:
        built = built.with_variable(_asked(variable))
    number, down = 0, 0
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title).grid_pos(models.GridPos(y=down, w=24, h=1)))
        placed, down = _placed(row, down + 1)
        for panel, place in placed:
            number += 1
            built = built.with_panel(_panel(panel, number).grid_pos(place))
    return json.dumps(built.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _placed(row: PanelRow, down: int) -> tuple[list[tuple[Panel, models.GridPos]], int]:
    """Place the row's panels side by side from the height `down` on.

    Return them and the next height.
    """
    placed, across, tallest = [], 0, 0
    for panel in row.panels:
        if across + panel.width > WIDTH:
            across, down, tallest = 0, down + tallest, 0
        height = HEIGHT[panel.number]
        placed.append((panel, models.GridPos(x=across, y=down, w=panel.width, h=height)))
        across, tallest = across + panel.width, max(tallest, height)
    return placed, down + tallest


def _others() -> dashboard.DashboardLink:
    """Return a menu of the other dashboards, which keeps time and variables."""
    return (
        dashboard.DashboardLink("Sightline")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["sightline"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _labels(name: str, series: str, says: str) -> dashboard.QueryVariable:
    """Return a variable with the values of a label. "All" also matches series without the label."""
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .description(says)
        .datasource(SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(ALL)
    )


def _asked(variable: Variable) -> dashboard.TextBoxVariable:
    return (
        dashboard.TextBoxVariable(variable.name)
        .label(variable.label)
        .description(variable.says)
        .default_value(variable.default)
        .current(
            models.VariableOption(selected=True, text=variable.default, value=variable.default)
        )
    )


def _panel(panel: Panel, number: int) -> stat.Panel | timeseries.Panel:
    built: stat.Panel | timeseries.Panel
    if panel.number:
        built = (
            stat.Panel()
            .graph_mode(common_models.BigValueGraphMode.AREA)
            .color_mode(common_models.BigValueColorMode.VALUE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    else:
        built = _lines(panel)
    built = (
        built.id(number)
        .title(panel.title)
        .description(panel.says)
        .datasource(SOURCE)
        .unit(panel.unit if panel.unit != "cores" else "suffix: cores")
        .thresholds(_thresholds(panel))
    )
    for place, query in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query.promql).ref_id(chr(ord("A") + place)).range()
        built = built.with_target(asked.legend_format(query.legend or "__auto"))
    return built


def _lines(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 5)
        .show_points(common_models.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if panel.stacked:
        built = built.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if panel.most is not None:
        built = built.max(panel.most)
    if panel.limits:
        shown = common_models.GraphThresholdsStyleMode.DASHED
        built = built.thresholds_style(common.GraphThresholdsStyleConfig().mode(shown))
    return built


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(color=panel.base)]
    steps += [models.Threshold(value=value, color=color) for value, color in panel.limits.items()]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
