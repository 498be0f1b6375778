"""Degraded answers: which share has which cause, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from sightline_client import SightlineClient
from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import grid
from sightline_client.cli.show.online_days import DaySums, summed
from sightline_client.cli.show.tables import CAUSES
from sightline_client.values.answers import Cause
from sightline_client.values.online import OnlineReport
from sightline_console.pages.blocks import Block, Line, blocks

DAYS = 7
DAY = timedelta(hours=24)
SECONDS = 5.0
"""Maximum seconds for the report: the rest of the page does not wait longer."""
FIXES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.UNKNOWN: later("Update the console."),
        Cause.EMBEDDER_UNAVAILABLE: later(
            "See among the parts below whether embedder and triton answer, and read their logs."
        ),
        Cause.INDEX_UNAVAILABLE: later(
            "See among the parts below whether milvus answers, and read its log."
        ),
        Cause.RETRIEVER_UNAVAILABLE: later(
            "See among the parts below whether the retriever answers, and read its log."
        ),
        Cause.RANKER_UNAVAILABLE: later(
            "See among the parts below whether the ranker answers, and read its log."
        ),
        Cause.PROFILE_UNAVAILABLE: later(
            "See among the parts below whether the ranker answers, and read its log and that of its"
            " database."
        ),
        Cause.STAGE_DEADLINE: later(
            "sightline recommend --verbose shows the slow stage: give its service more"
            " processors, or callers a longer deadline."
        ),
        Cause.SPACE_UNAVAILABLE: later(
            "Let the embedder serve a model for this kind of query, or do not send such queries."
        ),
        Cause.MODEL_NOT_READY: later(
            "Promote a model that is loaded, on the page Models, or let the scene pin another."
        ),
        Cause.ANSWER_RECORD_DROPPED: later(
            "See among the parts below whether the ranker answers: it stores the records."
        ),
    }
)
"""Each cause → what an operator does about it, in English."""


async def degraded(client: SightlineClient) -> list[Block]:
    """Return the shares of degraded answers of the last days, by cause."""
    return list(_blocks(await client.online_report(days=DAYS, by_day=True, timeout=SECONDS)))


def _blocks(report: OnlineReport) -> Iterator[Block]:
    last = [each for each in report.days if each.start_time >= report.end_time - DAY]
    now, before = summed(last), summed(report.days)
    if not before.answers:
        text = _("No answer of the last {days} days is recorded.", days=DAYS)
        yield Line(text)
        return
    yield Line(_sentence(now, before), "strong")
    if before.causes:
        yield from blocks(grid(_columns(), _rows(now, before), right=_columns()[1:3]))
    else:
        yield Line(_("Nothing to do."))


def _sentence(now: DaySums, before: DaySums) -> str:
    return _(
        "Of the answers of the last 24 hours {now} were degraded, of those of the last {days} days"
        " {before}.",
        now=_share(now.degraded, now),
        before=_share(before.degraded, before),
        days=DAYS,
    )


def _share(count: int, of: DaySums) -> str:
    """Write a number of answers, and its share of all."""
    return f"{count:,} ({count / max(of.answers, 1):.1%})"


def _columns() -> tuple[str, ...]:
    week = _("last {days} days", days=DAYS)
    return _("degraded because"), _("last 24 hours"), week, _("what to do")


def _rows(now: DaySums, before: DaySums) -> Iterator[Sequence[str]]:
    for cause, count in before.causes.most_common():
        shares = _share(now.causes[cause], now), _share(count, before)
        yield _(CAUSES[cause]), *shares, _(FIXES[cause])
