"""The report on exposure: its request, its groups of products, and its messages."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ranker.domain import features
from ranker.domain.answer_arrays import read_columns
from ranker.domain.events import DAY_MICROS
from ranker.domain.exposure import ShownProduct, exposures, opportunities
from ranker.domain.model import Model
from ranker.domain.online import Period
from ranker.ports import Models
from ranker.record.shown import ShownRecord
from ranker.servicer.messages import message_of
from ranker.servicer.profiles import KEY
from ranker.servicer.requests import refuse
from servicekit.rpc.requests import timestamp
from sightline.ranker.v1 import exposure_report_pb2 as pb

DEFAULT_DAYS, MOST_DAYS, NEW_DAYS = 7, 90, 30
SHOWN_PLACES = 10
MOST_SCENE = 64
BRAND, CATEGORY, POPULARITY, NEWNESS = "brand", "category", "popularity", "newness"
_ATTRIBUTE = re.compile(r"attribute\.[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ReportExposure:
    """The report's sources."""

    record: ShownRecord
    models: Models

    async def __call__(
        self, catalog_id: str, request: pb.GetExposureReportRequest, now_micros: int
    ) -> pb.ExposureReport:
        """Return the report. Raise RequestInvalid."""
        _check(request)
        days = request.days or DEFAULT_DAYS
        period = Period(now_micros - days * DAY_MICROS, now_micros, conversion_micros=0)
        shown = await self.record.impressions(catalog_id, request.scene, period)
        told = bool(shown)
        if not told:
            records = await self.record.records(catalog_id, request.scene, period)
            shown = await asyncio.to_thread(_of_records, records)
        groups = await self._groups(catalog_id, request.by or BRAND, now_micros)
        # In a thread: hundreds of thousands of products take tenths of a second.
        found = await asyncio.to_thread(exposures, shown, groups)
        answer = pb.ExposureReport(
            start_time=timestamp(period.start_micros),
            end_time=timestamp(period.end_micros),
            answer_count=len({one.answer_id for one in shown}),
            from_impressions=told,
            groups=[message_of(pb.ExposureGroup, asdict(one)) for one in found],
        )
        if request.shoppers_by:
            values = await self.record.values(catalog_id, request.shoppers_by)
            got = await asyncio.to_thread(opportunities, shown, values)
            answer.shoppers.extend(message_of(pb.ShopperOpportunity, asdict(one)) for one in got)
        return answer

    async def _groups(self, catalog_id: str, by: str, now_micros: int) -> Mapping[str, str]:
        if by == POPULARITY:
            return await self.record.deciles(catalog_id)
        if by == NEWNESS:
            since = now_micros - NEW_DAYS * DAY_MICROS
            return await self.record.newcomers(catalog_id, since)
        model = self.models.serving(catalog_id)
        kind = by if by in (BRAND, CATEGORY) else features.ATTRIBUTE_KIND + by.partition(".")[2]
        return {} if model is None else _described(model, kind)


def _check(request: pb.GetExposureReportRequest) -> None:
    problems = []
    if not 0 <= request.days <= MOST_DAYS:
        problems.append(("days", f"is not within 1 and {MOST_DAYS}"))
    if len(request.scene) > MOST_SCENE:
        problems.append(("scene", f"is longer than {MOST_SCENE} characters"))
    known = ("", BRAND, CATEGORY, POPULARITY, NEWNESS)
    if request.by not in known and not _ATTRIBUTE.fullmatch(request.by):
        problem = "is not brand, category, popularity, newness or attribute.KEY"
        problems.append(("by", problem))
    if request.shoppers_by and not KEY.fullmatch(request.shoppers_by):
        problems.append(("shoppers_by", "is not 1 to 64 characters of [a-z0-9_.-]"))
    refuse(problems)


def _described(model: Model, kind: str) -> Mapping[str, str]:
    """Return the value of each product of the model: of several, the shortest, which is the topmost
    category."""
    described, found = model.product_features, dict[str, str]()
    if described is None:
        return found
    prefix = f"{kind}="
    values = {
        place: name.removeprefix(prefix)
        for place, name in enumerate(described.names)
        if name.startswith(prefix)
    }
    for row, item in enumerate(model.item_ids):
        mine = described.features[described.starts[row] : described.starts[row + 1]].tolist()
        if theirs := [values[place] for place in mine if place in values]:
            found[item] = min(theirs, key=lambda value: (len(value), value))
    return found


def _of_records(records: Sequence[tuple[str, str, bytes]]) -> list[ShownProduct]:
    """Return the first products of recorded answers. Whether they were shown is unknown, and so is
    what they led to."""
    found = []
    for answer_id, actor, content in records:
        order = read_columns(content).product_ids
        found += [
            ShownProduct(answer_id, actor, item, place, 1.0, successful=None)
            for place, item in enumerate(order[:SHOWN_PLACES], 1)
        ]
    return found
