"""ExperimentService on the wire."""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.type.money_pb2 import Money

from ranker.domain.errors import ExperimentChanged, ExperimentMissing
from ranker.domain.experiment_money import KnownOffer
from ranker.domain.experiments import METRICS, ArmFindings, Design, findings
from ranker.record.experiments import ExperimentRecord, Extent, Kept, Unit
from ranker.servicer.messages import message_of
from ranker.servicer.requests import check_range, refuse
from servicekit.clock import now_micros
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import describe, enter, page_place, page_size, page_token, timestamp
from servicekit.rpc.server import Context
from servicekit.tasks.supervision import confined
from sightline.ranker.v1 import experiment_service_pb2 as pb
from sightline.ranker.v1 import experiment_service_pb2_grpc

MOST_EXPERIMENTS = 100
MOST_OFFERS = 5_000
DEFAULT_UNITS, MOST_UNITS = 1_000, 10_000
MAY_CHANGE = frozenset({"name", "description", "end_time", "guardrails"})
"""Fields that may change while an experiment runs."""
_NAME, _ARM = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}"), re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
_ARMS = (2, 8)
_HOURS = (1, 90 * 24)
_PLANNED = (100, 10**9)
_ROUNDING = 1e-9


@dataclass(eq=False)
class ExperimentServicer(experiment_service_pb2_grpc.ExperimentServiceServicer):
    catalogs: Collection[str]
    record: ExperimentRecord

    async def RegisterExperiments(
        self, request: pb.RegisterExperimentsRequest, context: Context
    ) -> pb.RegisterExperimentsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("experiments", len(request.experiments), 0, MOST_EXPERIMENTS)
        refuse(
            (f"experiments[{place}].{field}", problem)
            for place, one in enumerate(request.experiments)
            for field, problem in _problems(one)
        )
        now = now_micros()

        def decide(kept: Sequence[Kept]) -> Sequence[Kept]:
            former = [*_readable(catalog_id, kept)]
            return [_kept(one) for one in _to_keep(request.experiments, former, now)]

        return pb.RegisterExperimentsResponse(
            written_count=await self.record.keep(catalog_id, decide)
        )

    async def ListExperiments(
        self, request: pb.ListExperimentsRequest, context: Context
    ) -> pb.ListExperimentsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        kept = await self.record.all(catalog_id)
        return pb.ListExperimentsResponse(experiments=_readable(catalog_id, kept))

    async def GetExperimentReport(
        self, request: pb.GetExperimentReportRequest, context: Context
    ) -> pb.ExperimentReport:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        experiment = await self._named(catalog_id, request.name)
        return await self._report(catalog_id, experiment, {})

    async def ListExperimentProducts(
        self, request: pb.ListExperimentProductsRequest, context: Context
    ) -> pb.ListExperimentProductsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        experiment = await self._named(catalog_id, request.name)
        if not experiment.currency:
            return pb.ListExperimentProductsResponse()
        extent = _extent(catalog_id, experiment, now_micros())
        found = await self.record.bought(extent, MOST_OFFERS)
        return pb.ListExperimentProductsResponse(product_ids=found)

    async def CountExperiment(
        self, request: pb.CountExperimentRequest, context: Context
    ) -> pb.ExperimentReport:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("offers", len(request.offers), 0, MOST_OFFERS)
        experiment = await self._named(catalog_id, request.name)
        currency = experiment.currency
        offers = {
            each.product_id: KnownOffer(
                *(_amount(getattr(each, name), currency) for name in ("price", "cost"))
            )
            for each in request.offers
        }
        return await self._report(catalog_id, experiment, offers)

    async def _report(
        self, catalog_id: str, experiment: pb.Experiment, offers: Mapping[str, KnownOffer]
    ) -> pb.ExperimentReport:
        now = now_micros()
        counts, mixed = await self.record.counts(_extent(catalog_id, experiment, now), offers)
        found = findings(_design(experiment), counts)
        return pb.ExperimentReport(
            experiment=experiment,
            count_time=timestamp(now),
            arms=map(_arm_report, experiment.arms, found.arms),
            mixed_unit_count=mixed,
            mismatch_evidence=found.evidence,
            sample_ratio_mismatch=found.mismatch,
        )

    async def ListExperimentUnits(
        self, request: pb.ListExperimentUnitsRequest, context: Context
    ) -> pb.ListExperimentUnitsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        size = page_size(request.page_size, DEFAULT_UNITS, MOST_UNITS)
        experiment = await self._named(catalog_id, request.name)
        about = (f"units of {catalog_id}", experiment.name)
        after, counted = page_place(request.page_token, about, str, int) or ("", now_micros())
        extent = _extent(catalog_id, experiment, counted)
        found = await self.record.units(extent, after=after, limit=size + 1)
        more = len(found) > size
        return pb.ListExperimentUnitsResponse(
            units=[_unit(one, experiment.name) for one in found[:size]],
            next_page_token=page_token(about, found[size - 1].actor, counted) if more else "",
        )

    async def _named(self, catalog_id: str, name: str) -> pb.Experiment:
        content = await self.record.get(catalog_id, name)
        if content is None:
            raise ExperimentMissing
        return pb.Experiment.FromString(content)


def _problems(one: pb.Experiment) -> Iterable[tuple[str, str]]:
    for name in ("name", "layer"):
        if not _NAME.fullmatch(getattr(one, name)):
            yield name, "is not 1 to 40 of a-z, 0-9, _ and -"
    if not 0 <= one.layer_start < one.layer_end <= 1:
        yield "layer_end", "is not above layer_start, both 0 to 1"
    yield from _arm_problems(one)
    for metric in (one.metric, *(each.metric for each in one.guardrails)):
        if metric not in METRICS:
            yield "metric", f"is none of {', '.join(METRICS)}"
    if not _HOURS[0] * 3600 <= one.outcome_window.seconds <= _HOURS[1] * 3600:
        yield "outcome_window", "is not 1 hour to 90 days"
    if not _PLANNED[0] <= one.planned_units <= _PLANNED[1]:
        yield "planned_units", f"is not {_PLANNED[0]} to {_PLANNED[1]:,}"


def _arm_problems(one: pb.Experiment) -> Iterable[tuple[str, str]]:
    if not _ARMS[0] <= len(one.arms) <= _ARMS[1]:
        yield "arms", f"must have {_ARMS[0]} to {_ARMS[1]} entries"
    if len({arm.name for arm in one.arms}) < len(one.arms):
        yield "arms", "repeats a name"
    for place, arm in enumerate(one.arms):
        if not _ARM.fullmatch(arm.name):
            yield f"arms[{place}].name", "is not 1 to 20 of a-z, 0-9, _ and -"
        if not 0 < arm.share <= 1:
            yield f"arms[{place}].share", "is not above 0, up to 1"
    if not math.fsum(arm.share for arm in one.arms) <= 1 + _ROUNDING:
        yield "arms", "have shares that add up to more than 1"


def _to_keep(
    given: Sequence[pb.Experiment], kept: Sequence[pb.Experiment], now: int
) -> Iterable[pb.Experiment]:
    """Yield the experiments to write; ExperimentChanged."""
    former = {one.name: one for one in kept}
    changes = [
        FieldViolation(f"experiments[{place}].{field}", f"{one.name}: {problem}")
        for place, one in enumerate(given)
        if one.name in former and former[one.name].start_time.ToMicroseconds() <= now
        for field, problem in _changes(former[one.name], one)
    ]
    if changes:
        raise ExperimentChanged(describe(changes), violations=changes)
    yield from (one for one in given if former.get(one.name) != one)
    names = {one.name for one in given}
    for one in former.values():
        if one.name not in names and not _ended(one, now):
            one.end_time.CopyFrom(timestamp(now))
            yield one


def _changes(former: pb.Experiment, one: pb.Experiment) -> Iterable[tuple[str, str]]:
    """Yield changes that are forbidden, as (field, problem)."""
    began = f"the experiment began at {former.start_time.ToJsonString()}; use another name"
    for field in pb.Experiment.DESCRIPTOR.fields:
        if field.name == "arms":
            continue
        if field.name not in MAY_CHANGE and getattr(former, field.name) != getattr(one, field.name):
            yield field.name, f"is changed, but {began}"
    if [arm.name for arm in former.arms] != [arm.name for arm in one.arms]:
        yield "arms", f"are others, but {began}"
        return
    for place, (before, arm) in enumerate(zip(former.arms, one.arms, strict=True)):
        if before.share != arm.share:
            problem = f"of arm {arm.name} is changed from {before.share:g} to {arm.share:g}"
            yield f"arms[{place}].share", f"{problem}, but {began}"
        if before.scene != arm.scene:
            yield f"arms[{place}].scene", f"of arm {arm.name} is changed, but {began}"


def _ended(one: pb.Experiment, now: int) -> bool:
    return one.HasField("end_time") and one.end_time.ToMicroseconds() <= now


def _kept(one: pb.Experiment) -> Kept:
    return Kept(one.name, one.start_time.ToMicroseconds(), one.SerializeToString())


def _readable(catalog_id: str, kept: Iterable[Kept]) -> Iterator[pb.Experiment]:
    """Yield the experiments of rows. Those that can't be read are told and left out: the next
    registration writes them again."""
    for one in kept:
        with confined("experiments", catalog=catalog_id, experiment=one.name):
            yield pb.Experiment.FromString(one.content)


def _extent(catalog_id: str, one: pb.Experiment, now: int) -> Extent:
    return Extent(
        catalog_id=catalog_id,
        arms=[f"{one.name}/{arm.name}" for arm in one.arms],
        start_micros=one.start_time.ToMicroseconds(),
        end_micros=one.end_time.ToMicroseconds() if _ended(one, now) else now,
        window_micros=one.outcome_window.ToMicroseconds(),
        counted_micros=now,
        currency=one.currency,
    )


def _design(one: pb.Experiment) -> Design:
    return Design(
        shares=[arm.share for arm in one.arms],
        metric=one.metric,
        planned_units=one.planned_units,
        guardrails={each.metric: each.margin for each in one.guardrails},
    )


def _arm_report(arm: pb.ExperimentArm, found: ArmFindings) -> pb.ArmReport:
    samples = found.counts.samples
    return message_of(
        pb.ArmReport,
        found,
        name=arm.name,
        exposed_count=found.counts.exposed,
        unit_count=max(sample.count for sample in samples.values()),
        metrics=[
            message_of(pb.MetricReport, sample, metric=metric, effect=found.effects.get(metric))
            for metric, sample in samples.items()
        ],
        broken_guardrails=found.broken,
        unpriced_count=found.counts.unpriced,
        uncosted_count=found.counts.uncosted,
    )


def _amount(money: Money, currency: str) -> float | None:
    """Return an amount in this currency; None if it is unset or in another one."""
    if money.currency_code != currency:
        return None
    return float(money.units + money.nanos / 1e9)


def _unit(one: Unit, name: str) -> pb.ExperimentUnit:
    hashed = hashlib.blake2b(f"{name}\n{one.actor}".encode(), digest_size=16).hexdigest()
    return message_of(
        pb.ExperimentUnit,
        one,
        unit=hashed,
        arm=one.arm.partition("/")[2],
        exposure_time=one.first_micros,
    )
