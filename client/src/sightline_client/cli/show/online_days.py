"""Tables of answers and of what they led to, by scene and by day."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, phrase
from sightline_client.cli.show.tables import CAUSES
from sightline_client.cli.show.value_tables import moment
from sightline_client.values.answers import Cause
from sightline_client.values.online import OnlineDay

THOUSAND = 1_000


@dataclass(frozen=True, slots=True)
class DaySums:
    """Sums over days and scenes."""

    answers: int
    empty: int
    degraded: int
    shown: int
    clicks: int
    purchases: int
    estimate: float
    """Products shown, estimated if impressions are sampled."""
    revenues: Mapping[str, float]
    """In units of each currency."""
    causes: Counter[Cause]
    """Degraded answers by cause."""
    unpriced: int

    def cells(self) -> tuple[str, ...]:
        """Return the sums as cells of a table; `table` names them."""
        return (
            f"{self.answers:,}",
            f"{self.empty:,}",
            f"{self.degraded:,}",
            f"{self.shown:,}",
            f"{self.clicks:,}",
            self._rate(self.clicks),
            f"{self.purchases:,}",
            self._rate(self.purchases),
            self._revenue(),
        )

    def _rate(self, count: int) -> str:
        return f"{THOUSAND * count / self.shown:.1f}" if self.shown else "–"

    def _revenue(self) -> str:
        if not self.estimate:
            return "–"
        each = sorted(self.revenues.items())
        told = (f"{THOUSAND * amount / self.estimate:,.2f} {code}" for code, amount in each)
        return " · ".join(told) or "–"


def summed(days: Iterable[OnlineDay]) -> DaySums:
    """Add days and scenes."""
    held, revenues, causes = list(days), defaultdict[str, float](float), Counter[Cause]()
    for day in held:
        for revenue in day.revenues:
            revenues[revenue.currency_code] += revenue.amount
        for one in day.degradations:
            causes[one.cause] += one.answer_count

    def total(count: Callable[[OnlineDay], int]) -> int:
        return sum(map(count, held))

    return DaySums(
        total(lambda day: day.answer_count),
        total(lambda day: day.empty_answer_count),
        total(lambda day: day.degraded_answer_count),
        total(lambda day: day.impression_count),
        total(lambda day: day.click_count),
        total(lambda day: day.purchase_count),
        sum(day.impression_estimate for day in held),
        revenues,
        causes,
        total(lambda day: day.unpriced_count),
    )


def by_scene(days: Sequence[OnlineDay]) -> RenderableType:
    """Show the sums of each scene."""
    names = sorted({each.scene for each in days})
    counted = {name: summed(each for each in days if each.scene == name) for name in names}
    return table(_("scene"), ((name or "–", *one.cells()) for name, one in counted.items()))


def of_days(days: Iterable[OnlineDay]) -> dict[datetime, DaySums]:
    """Return the sums of each day, the oldest first."""
    held = list(days)
    starts = sorted({each.start_time for each in held})
    return {start: summed(each for each in held if each.start_time == start) for start in starts}


def by_day(days: Iterable[OnlineDay]) -> RenderableType:
    """Show the sums of each day."""
    counted = of_days(days).items()
    return table(_("24 hours from"), ((moment(start), *one.cells()) for start, one in counted))


def table(first: str, rows: Iterable[Sequence[str]]) -> RenderableType:
    """Show sums, a line each; `first`: heading of what they are about."""
    figures = (
        _("answers"),
        _("empty"),
        _("degraded"),
        _("shown"),
        _("clicks"),
        _("clicks per 1,000"),
        _("purchases"),
        _("purchases per 1,000"),
        _("revenue per 1,000"),
    )
    return grid((first, *figures), rows, right=figures)


def by_cause(days: Iterable[OnlineDay]) -> list[RenderableType]:
    """Show degraded answers by cause; empty: there are none."""
    total = summed(days)
    if not total.causes:
        return []
    figures = (_("answers"), _("share"))
    rows = (
        (_(CAUSES[cause]), f"{count:,}", f"{count / max(total.answers, 1):.1%}")
        for cause, count in total.causes.most_common()
    )
    return [grid((_("degraded because"), *figures), rows, right=figures)]


def unpriced(days: Iterable[OnlineDay]) -> list[RenderableType]:
    """Say how many purchases have no price."""
    count = summed(days).unpriced
    if not count:
        return []
    return [
        phrase(
            "{count:,} pieces were bought without a price in their events: they count 0 in"
            " revenue.",
            count=count,
            style="yellow",
        )
    ]
