"""The screen "Results": what shoppers did with answers, what they search for, and experiments."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.cli.show import experiments, listings, online_days, online_report
from sightline_client.cli.show.evaluation_page import Axis, Mark, Plot
from sightline_client.cli.show.online_days import DaySums
from sightline_client.cli.show.value_tables import moment
from sightline_client.values.experiments import ExperimentReport
from sightline_client.values.online import OnlineDay
from sightline_client.values.suggestions import TopSearches
from sightline_console.pages.blocks import Block, Line, blocks
from sightline_console.screens.sections import Section, section
from sightline_console.screens.visit import Visit

PATH = "/results"
PERIODS = (7, 28, 90)
"""Days that can be chosen."""
DRAWN = 14
"""Maximum number of days that are drawn."""
SEARCHES = 20
"""Maximum number of texts that are shown."""
MOST_SEARCHES = 200
"""Number of the top searches among which those without result are looked for."""
EXPERIMENTS = 10
"""Maximum number of experiments whose results are read."""


@dataclass(frozen=True, slots=True)
class Day:
    """24 hours."""

    begin: str
    counts: DaySums
    height: float
    """Clicks, in percent of those of the best day."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts by scene and by day."""

    scenes: Sequence[Block]
    days: Sequence[Day]
    """The last ones."""
    by_day: Sequence[Block]
    each: Sequence[tuple[str, Sequence[Block]]]
    """Scene → its days."""
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
    """Count by scene and by day."""
    report = await client.online_report(days=days, by_day=True)
    held = report.days
    if not held:
        return Outcomes(_nothing(), (), (), (), blocks(online_report.report(report)))
    told = (*online_days.by_cause(held), *online_days.unpriced(held))
    names = sorted({each.scene for each in held})
    return Outcomes(
        [one for each in (online_days.by_scene(held), *told) for one in blocks(each)],
        _last(held),
        blocks(online_days.by_day(held)),
        [(name or "–", blocks(online_days.by_day(_of_scene(held, name)))) for name in names],
        blocks(online_report.report(replace(report, days=()))),
    )


def _of_scene(days: Iterable[OnlineDay], name: str) -> list[OnlineDay]:
    return [each for each in days if each.scene == name]


def _nothing() -> list[Block]:
    return [
        Line(_("No answer of this period is recorded.")),
        Line(
            _(
                "Show answers in the shop, and send the events IMPRESSION, CLICK and PURCHASE"
                " with the attribution token of their answer."
            )
        ),
    ]


def _last(days: Iterable[OnlineDay]) -> list[Day]:
    """Return the last days that have answers, the oldest first."""
    last = [*online_days.of_days(days).items()][-DRAWN:]
    most = max(each.clicks for _start, each in last) or 1
    return [Day(moment(start), each, 100 * each.clicks / most) for start, each in last]


async def _searches(client: SightlineClient, *, nothing_found: bool) -> list[Block]:
    most = MOST_SEARCHES if nothing_found else SEARCHES
    found = await client.top_searches(top=most, nothing_found=nothing_found)
    if not found.searches:
        return _none_missing() if nothing_found else _no_searches(found)
    shown = blocks(listings.searched(replace(found, searches=found.searches[:SEARCHES])))
    if nothing_found:
        text = _("Add synonyms for these words, on the page Synonyms, or import such products.")
        shown.append(Line(text))
    return shown


def _none_missing() -> list[Block]:
    return [Line(_("None of the top {count} searches is without result.", count=MOST_SEARCHES))]


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
