"""The screen "Results": what shoppers did with answers, what they search for, and experiments."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.cli.show import experiments, listings, online_report
from sightline_client.cli.show.evaluation_page import Axis, Mark, Plot
from sightline_client.cli.show.grids import grid
from sightline_client.cli.show.value_tables import moment
from sightline_client.values.experiments import ExperimentReport
from sightline_client.values.online import OnlineGroup, OnlineReport
from sightline_client.values.suggestions import TopSearches
from sightline_console.pages.blocks import Block, Line, blocks
from sightline_console.screens.sections import Section, section
from sightline_console.screens.visit import Visit

PATH = "/results"
PERIODS = (7, 28, 90)
"""Days that can be chosen."""
WEEK = 7
SEARCHES = 20
EXPERIMENTS = 10
"""Maximum number of experiments whose results are read."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of answers, of their products that were shown, and of what these led to."""

    answers: int = 0
    shown: int = 0
    clicks: int = 0
    purchases: int = 0

    def less(self, other: "Counts") -> "Counts":
        """Return the difference, at least 0: answers go on while they are counted."""
        return Counts(
            max(self.answers - other.answers, 0),
            max(self.shown - other.shown, 0),
            max(self.clicks - other.clicks, 0),
            max(self.purchases - other.purchases, 0),
        )

    def cells(self) -> tuple[str, ...]:
        """Return the counts as cells of a table; COLUMNS names them."""
        return (
            f"{self.answers:,}",
            f"{self.shown:,}",
            f"{self.clicks:,}",
            self._rate(self.clicks),
            f"{self.purchases:,}",
            self._rate(self.purchases),
        )

    def _rate(self, count: int) -> str:
        return f"{1000 * count / self.shown:.1f}" if self.shown else "–"


@dataclass(frozen=True, slots=True)
class Day:
    """24 hours."""

    begin: str
    counts: Counts
    height: float
    """Clicks, in percent of those of the best day."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts by scene and by day."""

    scenes: Sequence[Block]
    days: Sequence[Day]
    by_day: Sequence[Block]
    all_figures: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Tested:
    """An experiment's results."""

    name: str
    verdicts: Sequence[Block]
    figures: Sequence[Block]
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class Experiments:
    """All experiments, and the results of the latest."""

    listed: Sequence[Block]
    tested: Sequence[tuple[str, Section[Tested]]]


async def show(visit: Visit) -> Response:
    """Show the results of the days that the address names."""
    given = visit.request.query_params.get("days", "")
    days = next((each for each in PERIODS if str(each) == given), PERIODS[0])
    client = visit.client
    outcomes, searched, missing, tests = await asyncio.gather(
        section(_outcomes(client, days)),
        section(_searches(client, nothing_found=False)),
        section(_searches(client, nothing_found=True)),
        section(_experiments(client)),
    )
    return visit.page(
        "results",
        days=days,
        periods=PERIODS,
        outcomes=outcomes,
        searched=searched,
        missing=missing,
        tests=tests,
    )


async def _outcomes(client: SightlineClient, days: int) -> Outcomes:
    """Count by scene and by day. A day is the difference of two periods that end now."""
    asked = sorted({*range(1, WEEK + 1), days})
    found = await asyncio.gather(*(client.online_report(days=each) for each in asked))
    reports = dict(zip(asked, found, strict=True))
    week = _week(reports)
    by_day = [(day.begin, *day.counts.cells()) for day in week]
    return Outcomes(
        _scenes(reports[days]),
        week if any(day.counts.answers for day in week) else (),
        _table(_("24 hours from"), by_day),
        blocks(online_report.report(reports[days])),
    )


def _scenes(report: OnlineReport) -> list[Block]:
    if not report.groups:
        return [
            Line(_("No answer of this period is recorded.")),
            Line(
                _(
                    "Show answers in the shop, and send the events IMPRESSION, CLICK and PURCHASE"
                    " with the attribution token of their answer."
                )
            ),
        ]
    names = sorted({each.scene for each in report.groups})
    counted = {name: _sum(each for each in report.groups if each.scene == name) for name in names}
    return _table(_("scene"), [(name or "–", *one.cells()) for name, one in counted.items()])


def _week(reports: Mapping[int, OnlineReport]) -> list[Day]:
    """Return the last days, the oldest first."""
    sums = [Counts(), *(_sum(reports[days].groups) for days in range(1, WEEK + 1))]
    counts = [sums[days].less(sums[days - 1]) for days in range(1, WEEK + 1)]
    most = max(each.clicks for each in counts) or 1
    return [
        Day(
            moment(reports[days].start_time),
            counts[days - 1],
            100 * counts[days - 1].clicks / most,
        )
        for days in range(WEEK, 0, -1)
    ]


def _sum(groups: Iterable[OnlineGroup]) -> Counts:
    held = list(groups)
    return Counts(
        sum(each.answer_count for each in held),
        sum(each.impression_count for each in held),
        sum(each.click_through.count for each in held),
        sum(each.conversion.count for each in held),
    )


def _table(first: str, rows: Iterable[Sequence[str]]) -> list[Block]:
    clicks, purchases = _("clicks per 1,000"), _("purchases per 1,000")
    figures = (_("answers"), _("shown"), _("clicks"), clicks, _("purchases"), purchases)
    return blocks(grid((first, *figures), rows, right=figures))


async def _searches(client: SightlineClient, *, nothing_found: bool) -> list[Block]:
    found = await client.top_searches(top=SEARCHES, nothing_found=nothing_found)
    return blocks(listings.searched(found)) if found.searches else _no_searches(found)


def _no_searches(found: TopSearches) -> list[Block]:
    text = _(
        "No text of at least {count} shoppers in the last 90 days: send SEARCH events from the"
        " shop's search box.",
        count=found.least_shoppers,
    )
    return [Line(text)]


async def _experiments(client: SightlineClient) -> Experiments:
    found = await client.list_experiments()
    names = [each.name for each in found.experiments[:EXPERIMENTS]]
    tested = await asyncio.gather(*(section(_tested(client, name)) for name in names))
    return Experiments(blocks(experiments.listing(found)), [*zip(names, tested, strict=True)])


async def _tested(client: SightlineClient, name: str) -> Tested:
    report = await client.experiment_report(name)
    shown = blocks(experiments.report(report))
    verdicts = [each for each in shown if isinstance(each, Line) and each.kind == "strong"]
    figures = [each for each in shown if each not in verdicts]
    return Tested(name, verdicts, figures, _plot(report))


def _plot(report: ExperimentReport) -> Plot | None:
    """Plot the difference of each arm to the control by the metric that decides; None: there are
    too few units."""
    effects = [
        (arm, each.effect)
        for arm in report.arms
        for each in arm.metrics
        if each.metric == report.experiment.metric and each.effect is not None
    ]
    if not effects:
        return None
    ends = [0.0, *(end for _arm, one in effects for end in (one.lower, one.upper))]
    axis = Axis(min(ends), max(ends))
    marks = tuple(
        Mark(
            label=arm.name,
            role=arm.verdict.value.lower(),
            x=axis.at(one.value),
            low=axis.at(one.lower),
            high=axis.at(one.upper),
            text=f"{one.value:+.4f} [{one.lower:+.4f}, {one.upper:+.4f}]",
        )
        for arm, one in effects
    )
    return Plot(marks, axis.ticks(), ((axis.at(0.0), _("no difference")),))
