"""PrivacyService on the wire."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from google.protobuf.json_format import MessageToDict

from ranker.adapters.model_store import ModelStore
from ranker.domain import personal_data
from ranker.domain.consent import Purpose
from ranker.domain.erasure import ERASE, Erasure, Person, params, person_hash, person_of
from ranker.domain.errors import ErasureMissing, ShopperUnknown
from ranker.domain.private_counts import COUNTS, BudgetLimit
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.selection import request_key
from ranker.domain.signals import Signals
from ranker.events.recount import RECOUNT
from ranker.ports import HistoryReader, Models
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.models import ModelRegistry
from ranker.record.personal import OWNED, Key, PersonalRecord, PersonalRow, key_types
from ranker.record.private_counts import BudgetRecord, spend
from ranker.record.selections import SelectionRecord
from ranker.servicer import consents
from ranker.servicer.messages import message_of
from ranker.servicer.private_counts import budget_message, counts_order
from ranker.servicer.requests import OWNER, actor, check_request_id, job_message
from ranker.serving.profiles import profiles
from ranker.serving.profiles.texts import ProfileWords
from servicekit.clock import now_micros
from servicekit.jobs.queue import Job, JobNotFound, Jobs, JobState
from servicekit.rpc.requests import (
    PageTokenInvalid,
    enter,
    page_place,
    page_size,
    page_token,
    timestamp,
)
from servicekit.rpc.server import Context
from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline.ranker.v1 import privacy_service_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 500, 1_000
PROFILE = "profile"
"""What was inferred, beside the stores of the registry; computed on request."""
STORES = (*OWNED, personal_data.JOBS.name, personal_data.MODELS.name, PROFILE)
"""The stores of a copy, in its order. Exports and backups are copies of the tables."""
COMPUTED = {personal_data.MODELS.name: (str, str), PROFILE: (str,)}
"""Stores that are not tables, with the types of their records' keys."""
START = "-"
"""In a page token: the first record of a store."""
UNDER_WAY = (JobState.PENDING, JobState.RUNNING)


@dataclass(eq=False)
class PrivacyServicer(privacy_service_pb2_grpc.PrivacyServiceServicer):
    catalogs: Collection[str]
    pseudonyms: Pseudonyms
    personal: PersonalRecord
    erasures: ErasureRecord
    consents: ConsentRecord
    selections: SelectionRecord
    budget: BudgetRecord
    budget_limit: BudgetLimit
    jobs: Jobs
    registry: ModelRegistry
    store: ModelStore
    reader: HistoryReader
    models: Models
    signals: Signals
    forget: Callable[[str], None]
    """Drops what this process keeps in memory of a catalog's shoppers."""

    async def ExportUser(
        self, request: pb.ExportUserRequest, context: Context
    ) -> pb.ExportUserResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)
        actors = await self._actors(catalog_id, request)
        about = ("person", catalog_id, person_hash(actors[0]))
        place = page_place(request.page_token, about, int, str)
        first, after = (place[0], _key_of(*place)) if place else (0, ())
        if not place and not await self.personal.has_any(catalog_id, actors):
            raise ShopperUnknown
        answer = pb.ExportUserResponse()
        for number in range(first, len(STORES)):
            room = size - len(answer.records)
            found = await self._records(catalog_id, actors, STORES[number], after, room + 1)
            answer.records.extend(
                pb.PersonalRecord(store=STORES[number], json=one.json) for one in found[:room]
            )
            if len(found) > room:
                last = found[room - 1].key if room else after
                answer.next_page_token = page_token(about, number, _text_of(last))
                break
            after = ()
        return answer

    async def _records(
        self, catalog_id: str, actors: Sequence[str], store: str, after: Key, limit: int
    ) -> Sequence[PersonalRow]:
        """Return at most `limit` records of a store, after the one with this key."""
        if store in COMPUTED:
            some = self._profile if store == PROFILE else self._vectors
            found = sorted(await some(catalog_id, actors))
            return [one for one in found if one.key > after][:limit]
        return await self.personal.rows(catalog_id, actors, store, after, limit)

    async def _profile(self, catalog_id: str, actors: Sequence[str]) -> list[PersonalRow]:
        who = actors[0]
        history = await profiles.read(catalog_id, who, self.reader, self.signals)
        model, words = self.models.serving(catalog_id), ProfileWords("en")
        found = await asyncio.to_thread(
            profiles.of_shopper, history, model, self.signals, words, now_micros()
        )
        text = json.dumps(MessageToDict(found, preserving_proto_field_name=True))
        return [PersonalRow((PROFILE,), text)]

    async def _vectors(self, catalog_id: str, actors: Sequence[str]) -> list[PersonalRow]:
        found = list[PersonalRow]()
        for model in await self.registry.with_files(catalog_id):
            vectors = await asyncio.to_thread(self.store.vectors_of, *model.key, actors)
            for each, vector in vectors.items():
                row = {"model_version": model.version, "actor": each, "actor_vector": vector}
                found.append(PersonalRow((model.version, each), json.dumps(row)))
        return found

    async def EraseUser(self, request: pb.EraseUserRequest, context: Context) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_request_id(request.request_id)
        self.forget(catalog_id)
        actors = await self._actors(catalog_id, request)
        before = await self.erasures.get(catalog_id, actors[0])
        earlier = await self._job(before)
        if earlier is not None and earlier.state in UNDER_WAY:
            return job_message(earlier)
        if not (request.force or await self.personal.has_any(catalog_id, actors)):
            if earlier is not None and earlier.state is JobState.SUCCEEDED:
                return job_message(earlier)
            raise ShopperUnknown
        if earlier is not None and earlier.state is not JobState.SUCCEEDED:
            # It may have erased the merges, by which visitors are known to be the shopper.
            merged = set(person_of(catalog_id, earlier.params).actors) - {actors[0]}
            actors = (actors[0], *sorted(merged.union(actors[1:])))
        person = Person(catalog_id, actors, now_micros())
        # Two requests at a time create one job.
        key = f"{person_hash(actors[0])[:32]}:{before.job_id if before else ''}"
        job = await self.jobs.create(ERASE, catalog_id, params(person), key)
        await self.erasures.begin(person, job.id)
        self.forget(catalog_id)  # what was read meanwhile
        return job_message(job)

    async def _job(self, erasure: Erasure | None) -> Job | None:
        """Return the job of an erasure; None without one, or after its term."""
        if erasure is None:
            return None
        try:
            return await self.jobs.get(erasure.job_id)
        except JobNotFound:
            return None

    async def GetErasure(self, request: pb.GetErasureRequest, context: Context) -> pb.Erasure:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
        found = await self.erasures.get(catalog_id, who)
        if found is None:
            raise ErasureMissing
        return _receipt(found)

    async def GetLastErasure(
        self, request: pb.GetLastErasureRequest, context: Context
    ) -> pb.GetLastErasureResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        requested = await self.erasures.last_requested(catalog_id)
        return pb.GetLastErasureResponse(request_time=timestamp(requested) if requested else None)

    async def ExportCounts(self, request: pb.ExportCountsRequest, context: Context) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_request_id(request.request_id)
        last = await self.selections.last_sequence(catalog_id)
        order, now = counts_order(request, catalog_id, last), now_micros()
        given = (f"{order.epsilon!r}", order.attribute, str(order.most_products))
        key = request_key(request.request_id, order.selection, *given)
        paid = partial(spend, order=order, limit=self.budget_limit, now_micros=now)
        made = await self.jobs.create(COUNTS, catalog_id, order.params(), key, beside=paid)
        return job_message(made)

    async def GetPrivacyBudget(
        self, request: pb.GetPrivacyBudgetRequest, context: Context
    ) -> pb.PrivacyBudget:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        limit = self.budget_limit
        spent = await self.budget.spendings(catalog_id, limit.since(now_micros()))
        return budget_message(limit.epsilon, limit.days, spent)

    async def SetConsent(self, request: pb.SetConsentRequest, context: Context) -> pb.Consents:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = consents.whose(request, catalog_id, self.pseudonyms)
        decided, key_id = consents.decisions(request, now_micros()), self.pseudonyms.key_id
        before = await self.consents.get(catalog_id, who)
        found = await self.consents.decide(catalog_id, who, decided, key_id=key_id)
        answer = consents.message(found)
        if not who and before.granted[Purpose.TRAIN] != found.granted[Purpose.TRAIN]:
            key = f"default of {found.history[0].decided_micros}"
            answer.job_id = f"{OWNER}{(await self.jobs.create(RECOUNT, catalog_id, {}, key)).id}"
        return answer

    async def GetConsent(self, request: pb.GetConsentRequest, context: Context) -> pb.Consents:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = consents.whose(request, catalog_id, self.pseudonyms)
        return consents.message(await self.consents.get(catalog_id, who))

    async def _actors(
        self, catalog_id: str, request: pb.ExportUserRequest | pb.EraseUserRequest
    ) -> tuple[str, ...]:
        who = actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
        return await self.personal.actors(catalog_id, who)


def _text_of(key: Key) -> str:
    """Return the key of a record as a part of a page token."""
    return page_token((), *key) if key else START


def _key_of(number: int, text: str) -> Key:
    """Return the key of a record of a store, by its number. Raise PageTokenInvalid."""
    if not 0 <= number < len(STORES):
        raise PageTokenInvalid
    store = STORES[number]
    return () if text == START else page_place(text, (), *(COMPUTED.get(store) or key_types(store)))


def _receipt(erasure: Erasure) -> pb.Erasure:
    return message_of(pb.Erasure, erasure, job_id=f"{OWNER}{erasure.job_id}")
