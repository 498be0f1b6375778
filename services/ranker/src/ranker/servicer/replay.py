"""Answers ranked once more from their records, by the very call that ranked them.

Rank is given a record in the place of the store, and the model of then in the place of the one
that serves; it does not know the difference. What is no longer there is said.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

import numpy as np

from ranker.domain import answer_columns
from ranker.domain.arrays import Doubles
from ranker.domain.errors import AnswerOutdated, ModelCorrupt, ModelNotFound
from ranker.domain.events import EventType, History
from ranker.domain.model import Model
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.events.record.answers import Answer
from ranker.events.record.events import EventRecord
from ranker.ports import HistoryReader, Models
from ranker.servicer import inputs as kept_inputs
from ranker.servicer.inputs import asked_again, changed, settings_digest
from ranker.servicer.ranking import RankingServicer
from servicekit.server import Context
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb

Load = Callable[[str, str], Awaitable[Model]]
"""(catalog, version) to model; ModelNotFound, ModelCorrupt."""
_Unranked: TypeAlias = Literal["matched_image_ids", "branch_names", "branches"]
_UNRANKED: Sequence[_Unranked] = ("matched_image_ids", "branch_names", "branches")
"""What a record's columns have beside what the ranker computes."""
_D = pb.ReplayDifference
Said = list[pb.ReplayDifference]


@dataclass(frozen=True)
class Recorded(HistoryReader):
    """What was known when an answer was given."""

    shopper: History
    shares: bytes
    """As a record holds them; empty = they are read anew."""
    now: HistoryReader

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        return self.shopper

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        if self.shares:
            return answer_columns.numbers(self.shares)
        return await self.now.popularity(catalog_id, product_ids)

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        return await self.now.most_popular(catalog_id, count)


@dataclass(frozen=True)
class Alone(Models):
    """One model that serves."""

    model: Model | None

    def serving(self, catalog_id: str) -> Model | None:
        return self.model

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return self.model

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


class Caught:
    """Takes one answer's record and keeps it nowhere."""

    content = b""

    def offer(self, answer: Answer, /) -> bool:
        self.content = answer.content
        return True


@dataclass(eq=False)
class Replayer:
    pseudonyms: Pseudonyms
    events: EventRecord
    models: Models
    load: Load
    signals: Signals
    _held: dict[tuple[str, str], Model] = field(default_factory=dict)
    """The model that was loaded last."""

    async def __call__(
        self, catalog_id: str, request: pb.ReplayAnswerRequest, record: pb.AnswerRecord, actor: str
    ) -> pb.ReplayAnswerResponse:
        """The record's order computed again; `actor`: whose the record is, "" = nobody's.
        AnswerOutdated."""
        check_version(record)
        answer = pb.ReplayAnswerResponse()
        if record.HasField("inputs"):
            await self._replay(catalog_id, request, record, actor, answer)
        else:
            text = "the ranker had not ranked it: the order is that of the branches' fused places"
            answer.differences.append(_D(kind=_D.KIND_NOT_RANKED, text=text))
        shown = answer.record
        shown.CopyFrom(record)
        shown.ClearField("inputs")
        shown.ClearField("inputs_version")
        answer_columns.page(shown, 0, request.limit, as_columns=False)
        return answer

    async def _replay(
        self,
        catalog_id: str,
        request: pb.ReplayAnswerRequest,
        record: pb.AnswerRecord,
        actor: str,
        answer: pb.ReplayAnswerResponse,
    ) -> None:
        inputs, gone = record.inputs, Said()
        model = await self._model(catalog_id, record.versions.model_version, gone)
        answer.model_version = model.version if model else ""
        shopper = await self._shopper(catalog_id, record, actor, model, gone)
        if inputs.settings_digest != settings_digest(self.signals):
            text = "events are read by other settings (RANKER_SIGNAL_…) than then"
            gone.append(_D(kind=_D.KIND_SETTINGS_CHANGED, text=text))
        if inputs.request.HasField("photo_vectors"):
            text = "vectors of photos came with the request, and are not kept"
            gone.append(_D(kind=_D.KIND_PHOTOS_NOT_KEPT, text=text))
        reader = Recorded(shopper, inputs.popularity, self.events)
        again = asked_again(record)
        computed = await self._ranked(catalog_id, again, reader, model, inputs.draws)
        answer.equal = same(record.columns, computed.columns) and (
            record.hidden_count == computed.hidden_count
        )
        if not answer.equal:
            gone.append(difference(record.columns, computed.columns))
        answer.differences.extend(gone)
        answer.recomputed.extend(_first(computed.columns, request.limit))
        if request.HasField("change"):
            other = changed(again, request.change)
            computed = await self._ranked(catalog_id, other, reader, model, inputs.draws)
            answer.changed.extend(_first(computed.columns, request.limit))

    async def _ranked(
        self,
        catalog_id: str,
        asked: ranking_pb.RankRequest,
        reader: HistoryReader,
        model: Model | None,
        draws: bytes,
    ) -> pb.AnswerRecord:
        caught = Caught()
        asked.catalog_id = catalog_id
        servicer = RankingServicer(
            (catalog_id,),
            self.pseudonyms,
            reader,
            Alone(model),
            sys.maxsize,
            signals=self.signals,
            answers=caught,
            draws=draws,
        )
        await servicer.Rank(asked, cast("Context", None))
        return pb.AnswerRecord.FromString(caught.content)

    async def _model(self, catalog_id: str, version: str, gone: Said) -> Model | None:
        """The model of this version; where it is gone, and that is said, the one that serves."""
        if not version:
            return None
        serving = self.models.serving(catalog_id)
        for known in (serving, self.models.former(catalog_id)):
            if known is not None and known.version == version:
                return known
        key = (catalog_id, version)
        try:
            if key not in self._held:
                model = await self.load(catalog_id, version)
                self._held.clear()
                self._held[key] = model
        except (ModelNotFound, ModelCorrupt):
            instead = serving.version if serving else "no model"
            text = f"the model is no longer kept; computed with {instead} instead"
            gone.append(_D(kind=_D.KIND_MODEL_GONE, subject=version, text=text))
            return serving
        return self._held[key]

    async def _shopper(
        self,
        catalog_id: str,
        record: pb.AnswerRecord,
        actor: str,
        model: Model | None,
        gone: Said,
    ) -> History:
        """What was known of the shopper, of what is still there."""
        inputs = record.inputs
        if not inputs.personal:
            return History()
        numbers = (*inputs.recent_events, *inputs.marking_events)
        found = await self.events.numbered(catalog_id, numbers)
        if missing := len({*numbers} - found.keys()):
            text = f"{missing} of {len({*numbers})} events of the shopper were deleted since"
            gone.append(_D(kind=_D.KIND_EVENTS_GONE, text=text))
        marks = [found[number] for number in inputs.marking_events if number in found]
        hidden = frozenset(one.product_id for one in marks if one.type is EventType.HIDE)
        known = History(
            recent=tuple(found[number] for number in inputs.recent_events if number in found),
            hidden=hidden,
            seen=frozenset(one.product_id for one in marks) - hidden,
        )
        same_model = model is not None and model.version == record.versions.model_version
        if inputs.shopper_place:
            whose = _actor(model, inputs.shopper_place - 1) if same_model else actor
            return replace(known, actor=whose)
        if not inputs.attributes_digest:
            return known
        now = await self.events.history(catalog_id, actor, limit=1, with_seen=False)
        digest = kept_inputs.attributes_digest(model, now, catalog_id, self.pseudonyms)
        if digest != inputs.attributes_digest:
            text = "the shopper gave other attributes since, or took them back"
            gone.append(_D(kind=_D.KIND_ATTRIBUTES_CHANGED, text=text))
        return replace(known, attributes=now.attributes)


def check_version(record: pb.AnswerRecord) -> None:
    """AnswerOutdated unless the record holds what this release keeps."""
    if record.inputs_version != kept_inputs.VERSION:
        raise AnswerOutdated(record.inputs_version, kept_inputs.VERSION)


def same(recorded: pb.AnsweredColumns, computed: pb.AnsweredColumns) -> bool:
    """Whether two orders are equal to the last bit."""
    both = pb.AnsweredColumns(), pb.AnsweredColumns()
    for made, given in zip(both, (recorded, computed), strict=True):
        made.CopyFrom(given)
        for name in _UNRANKED:
            made.ClearField(name)
    return bool(both[0] == both[1])


def difference(recorded: pb.AnsweredColumns, computed: pb.AnsweredColumns) -> _D:
    """How two orders differ."""
    ids, others = list(recorded.product_ids), list(computed.product_ids)
    if ids != others:
        moved = sum(one != other for one, other in zip(ids, others, strict=False))
        moved += abs(len(ids) - len(others))
        text = f"{moved} of {max(len(ids), len(others))} places hold another product"
        return _D(kind=_D.KIND_ORDER, text=text)
    scores = [answer_columns.numbers(one.raw_scores) for one in (recorded, computed)]
    most = float(np.abs(scores[0] - scores[1]).max(initial=0.0))
    text = f"the order is the same; raw scores differ by {most:.3g} at most"
    return _D(kind=_D.KIND_NUMBERS, text=text)


def _first(columns: pb.AnsweredColumns, limit: int) -> Iterable[pb.AnsweredProduct]:
    count = len(columns.product_ids)
    return answer_columns.to_products(answer_columns.cut(columns, 0, limit or count))


def _actor(model: Model | None, row: int) -> str:
    rows = model.actor_rows.items() if model else ()
    return next((actor for actor, place in rows if place == row), "")
