"""Consent over real gRPC: each call that names a shopper is bound to a purpose, or says why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import product as each_of

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.message import Message

from ranker.adapters.model_store import ModelStore
from ranker.domain.consent import Decision, Purpose
from ranker.domain.signals import DEFAULTS
from ranker.events import recount
from ranker.events.consent_retention import ConsentRetention
from ranker.learning.forget import ForgetInModels
from ranker.learning.training import job
from ranker.record.consent_changes import ConsentRecord, decide
from ranker.record.models import ModelRegistry
from ranker.record.recounting import RecountRecord
from ranker.record.selections import SelectionRecord
from ranker.record.tables import ANSWERS, EVENTS, JOBS, POPULARITY
from servicekit.admission.access import PeerName
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.rpc import owned
from sightline.common.v1 import event_pb2
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.ranker.v1 import (
    answer_service_pb2,
    event_service_pb2,
    experiment_service_pb2,
    model_service_pb2,
    profile_service_pb2,
    ranking_service_pb2,
)
from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline.ranker.v1 import privacy_service_pb2_grpc as pb_grpc
from tests.fakes.ranker import columns
from tests.peer_stubs import peer_stub
from tests.wire.ranker_suite import (
    ANN,
    PRODUCTS,
    WEIGHTS,
    Suite,
    at_work,
    crowd,
    event,
    refusal,
    suite,
)
from tests.wire.test_ranker_privacy import ACTORS, KEYS, erased, vector

__all__ = ["suite"]

BOB = event_pb2.Shopper(user_id="bob")
RIGHTS = "serves the shopper's rights, for the role `privacy`"
UNBOUND = {
    "GetEvents": RIGHTS,
    "PurgeEvents": RIGHTS,
    "ExportUser": RIGHTS,
    "EraseUser": RIGHTS,
    "GetErasure": RIGHTS,
    "SetConsent": RIGHTS,
    "GetConsent": RIGHTS,
    "MergeShopper": "joins two ids, and their decisions with them",
}
"""Calls that name a shopper and are bound to no purpose, each with the reason."""
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (
        answer_service_pb2,
        event_service_pb2,
        experiment_service_pb2,
        model_service_pb2,
        pb,
        profile_service_pb2,
        ranking_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)


def names_a_shopper(message: Descriptor, known: frozenset[str] = frozenset()) -> bool:
    """Return whether a message holds a Shopper, at any depth."""
    if message.full_name == event_pb2.Shopper.DESCRIPTOR.full_name:
        return True
    inner = [one.message_type for one in message.fields if one.message_type is not None]
    return any(
        names_a_shopper(one, known | {message.full_name})
        for one in inner
        if one.full_name not in known
    )


@pytest.fixture
async def privacy(suite: Suite) -> AsyncIterator[pb_grpc.PrivacyServiceStub]:
    async with grpc.aio.insecure_channel(suite.target) as channel:
        yield peer_stub("ranker", channel, pb_grpc.PrivacyServiceStub)


@pytest.fixture
async def profiles(suite: Suite) -> AsyncIterator[AdminServiceStub]:
    async with grpc.aio.insecure_channel(suite.target) as channel:
        yield peer_stub("ranker", channel)


def deciding(*withdrawn: str, given: tuple[str, ...] = (), **fields) -> pb.SetConsentRequest:
    if not fields.get("as_default"):
        fields.setdefault("shopper", ANN)
    return pb.SetConsentRequest(
        given=[f"PURPOSE_{one}" for one in given],
        withdrawn=[f"PURPOSE_{one}" for one in withdrawn],
        source="a test",
        **fields,
    )


def retention(suite: Suite) -> ConsentRetention:
    """Return what the worker runs every minute."""
    forget = ForgetInModels(suite.database, ModelStore(str(suite.folder / "models")))
    return ConsentRetention(
        ("default",),
        ConsentRecord(suite.database),
        SelectionRecord(suite.database),
        lambda catalog_id, refusers: forget.all_of(catalog_id, refusers.__contains__),
        partial(suite.database.erase_deleted, ("answers", "events")),
        asyncio.Event(),
    )


def same(one: Message, other: Message, *but: str) -> None:
    """Assert that two answers are equal, except for these fields."""
    for message in (one, other):
        for name in ("stage_timings", "history_token", *but):
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
    assert one == other


async def shopped(suite: Suite) -> None:
    """Let Ann shop, train a model of her, and show her an answer."""
    await suite.append(
        *crowd(),
        *(event(f"r{n}", "PURCHASE", ago=n) for n in range(3)),
        event("w1", "HIDE"),
        event("w5", "VIEW", shopper=BOB),
    )
    await suite.promote(await suite.learn())


class Asked:
    """Each bound call, for Ann and for a shopper without data."""

    def __init__(self, suite: Suite, profiles: AdminServiceStub) -> None:
        self.suite, self.profiles = suite, profiles

    async def Rank(self, **who) -> Message:
        return await self.suite.rank(explain=True, **who)

    async def Nominate(self, **who) -> Message:
        return await self.suite.generate(top_k=8, **who)

    async def GiveReasons(self, **who) -> Message:
        ranked = await self.suite.rank(**who)
        known = {one.product_id: one for one in PRODUCTS}
        request = ranking_service_pb2.GiveReasonsRequest(
            candidates=columns([known[one] for one in ranked.product_ids]),
            explain=True,
            parts=ranked.parts,
            weights=[
                ranking_service_pb2.PartWeight(part=part, weight=weight)
                for part, weight in WEIGHTS.items()
            ],
            **who,
        )
        return await self.suite.ranking.GiveReasons(request)

    async def GetAnswer(self, **who) -> Message:
        draft = ranking_service_pb2.AnswerDraft(answer_id="of-nobody")
        await self.suite.rank(record=draft)
        request = answer_service_pb2.GetAnswerRequest(answer_id="of-nobody", drop_seen=True, **who)
        return await self.suite.answers.GetAnswer(request)

    async def GetShopperProfile(self, **who) -> Message:
        who = who or {"shopper": event_pb2.Shopper(user_id="unknown")}
        return await self.profiles.GetShopperProfile(
            profile_service_pb2.GetShopperProfileRequest(**who)
        )


READERS = sorted(name for name in vars(Asked) if name[0].isupper())
WRITERS = ("WriteEvents", "RecordAnswers", "SetShopperAttributes", "ReplayAnswer")


def test_every_call_that_names_a_shopper_is_bound_to_a_purpose_or_says_why_not() -> None:
    between = (method for service in SERVICES for method in service.methods)
    named = {
        method.name
        for method in (*between, *owned.methods_of(PeerName.RANKER))
        if names_a_shopper(method.input_type)
    }
    assert named - {"ReplayAnswer"} == {*READERS, *WRITERS, *UNBOUND} - {"ReplayAnswer"}
    assert not {*READERS, *WRITERS} & {*UNBOUND}


@pytest.mark.parametrize("call", READERS)
async def test_a_call_answers_who_refuses_personal_answers_as_a_stranger(
    suite: Suite,
    privacy: pb_grpc.PrivacyServiceStub,
    profiles: AdminServiceStub,
    call: str,
) -> None:
    await shopped(suite)
    ask: Callable[..., Awaitable[Message]] = getattr(Asked(suite, profiles), call)
    with pytest.raises(AssertionError):
        same(await ask(shopper=ANN), await ask())
    await privacy.SetConsent(deciding("PERSONALISE"))
    same(await ask(shopper=ANN), await ask())


async def test_events_without_consent_to_any_use_are_not_stored(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await privacy.SetConsent(deciding("PERSONALISE", "TRAIN"))
    answer = await suite.append(event("r1"), event("r2", shopper=BOB))
    assert [one.code for one in answer.statuses] == [0, 0]
    assert (answer.written_count, answer.withheld_count) == (1, 1)
    found = await suite.events.GetEvents(event_service_pb2.GetEventsRequest(shopper=ANN))
    assert len(found.events) == 0


async def test_answers_without_consent_are_recorded_without_the_shopper(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await shopped(suite)
    await privacy.SetConsent(deciding("PERSONALISE"))
    await suite.rank(shopper=ANN, record=ranking_service_pb2.AnswerDraft(answer_id="a1"))
    one = answer_service_pb2.AnswerRecord(answer_id="a2", shopper=ANN)
    await suite.answers.RecordAnswers(answer_service_pb2.RecordAnswersRequest(answers=[one]))
    await suite.stored()
    rows = await suite.database.read(
        lambda c: c.execute(sa.select(ANSWERS.c.answer_id, ANSWERS.c.actor)).all()
    )
    assert dict(rows) == {"a1": "", "a2": ""}
    asked = answer_service_pb2.ReplayAnswerRequest(answer_id="a1")
    assert not (await suite.answers.ReplayAnswer(asked)).differences


async def test_attributes_need_consent_and_go_with_it(
    privacy: pb_grpc.PrivacyServiceStub, profiles: AdminServiceStub
) -> None:
    size = profile_service_pb2.ShopperAttribute(key="size", text="M")
    request = profile_service_pb2.SetShopperAttributesRequest(shopper=ANN, attributes=[size])
    assert (await refusal(profiles.SetShopperAttributes(request))).reason == "CONSENT_REQUIRED"
    await privacy.SetConsent(deciding(given=("ATTRIBUTES",)))
    assert (await profiles.SetShopperAttributes(request)).kept_count == 1
    await privacy.SetConsent(deciding("ATTRIBUTES"))
    assert (await refusal(profiles.SetShopperAttributes(request))).reason == "CONSENT_REQUIRED"
    request.consent = True
    assert (await profiles.SetShopperAttributes(request)).former_count == 0, "they were deleted"


async def test_a_withdrawal_deletes_events_answers_and_vectors_within_a_look(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await shopped(suite)
    await suite.rank(shopper=ANN, record=ranking_service_pb2.AnswerDraft(answer_id="a1"))
    await suite.stored()
    assert await vector(suite)
    await privacy.SetConsent(deciding("PERSONALISE", "TRAIN"))
    await retention(suite).look()
    for table in (EVENTS, ANSWERS):
        mine = sa.select(table.c.actor).where(table.c.actor == ACTORS[0])
        assert not await suite.database.read(lambda c, mine=mine: c.execute(mine).all())
    record = await ModelRegistry(suite.database).serving("default")
    assert record is not None
    assert ACTORS[0] not in ModelStore(str(suite.folder / "models")).read(*record.key).actor_rows


VECTOR = b"\0\0\x80?" * 2


async def recorded_photos(suite: Suite) -> list[tuple[bytes | None, str]]:
    t = ANSWERS.c
    rows = sa.select(t.photo, t.photo_space).order_by(t.answer_id)
    return [tuple(row) for row in await suite.database.read(lambda c: c.execute(rows).all())]


async def test_a_vector_that_an_earlier_release_recorded_is_copied_and_erased(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await shopped(suite)
    await privacy.SetConsent(deciding(given=("PHOTOS",)))
    for answer in ("a1", "a2"):
        await suite.rank(shopper=ANN, record=ranking_service_pb2.AnswerDraft(answer_id=answer))
        await suite.stored()
        await suite.database.write(
            lambda c, mine=ANSWERS.c.answer_id == answer: c.execute(
                sa.update(ANSWERS).where(mine).values(photo=VECTOR, photo_space="v1")
            )
        )
        if answer == "a1":
            copy = await privacy.ExportUser(pb.ExportUserRequest(shopper=ANN))
            assert any(VECTOR.hex() in one.json for one in copy.records)
            await privacy.SetConsent(deciding("PHOTOS"))
            await retention(suite).look()
            assert await recorded_photos(suite) == [(None, "")]
            await privacy.SetConsent(deciding(given=("PHOTOS",)))
    assert (VECTOR, "v1") in await recorded_photos(suite)
    async with at_work(suite):
        await erased(suite, privacy)
    assert await recorded_photos(suite) == []


async def test_trainings_leave_out_who_refuses_them(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await shopped(suite)
    await privacy.SetConsent(deciding("TRAIN"))
    await suite.promote(await suite.learn(seed=1))
    record = await ModelRegistry(suite.database).serving("default")
    assert record is not None
    assert ACTORS[0] not in ModelStore(str(suite.folder / "models")).read(*record.key).actor_rows
    personal = await suite.rank(shopper=ANN)
    assert personal.product_ids != (await suite.rank()).product_ids, "answers are still personal"


async def test_a_withdrawal_in_the_midst_of_a_training_is_honoured(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suite.append(*crowd(), *(event(f"r{n}", "PURCHASE", ago=n) for n in range(3)))
    train = job.train

    def withdrawn_meanwhile(*given, **named):
        refuses = Decision(Purpose.TRAIN, False, "a test", now_micros())
        with suite.database.engine.begin() as connection:
            decide(connection, "default", ACTORS[0], [refuses], DEFAULTS, key_id=KEYS.key_id)
        return train(*given, **named)

    monkeypatch.setattr(job, "train", withdrawn_meanwhile)
    version = await suite.learn()
    record = await ModelRegistry(suite.database).get("default", version)
    assert ACTORS[0] not in ModelStore(str(suite.folder / "models")).read(*record.key).actor_rows


async def test_a_changed_default_is_counted_by_a_job(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await suite.append(event("r1"), event("r2", shopper=BOB))
    await privacy.SetConsent(deciding(given=("TRAIN",), shopper=BOB))
    assert not (await privacy.SetConsent(deciding("EXPERIMENT", as_default=True))).job_id
    answer = await privacy.SetConsent(deciding("TRAIN", as_default=True))
    jobs = Jobs(suite.database, JOBS)
    job = await jobs.claim((recount.RECOUNT,), "me", 30)
    assert job is not None
    assert answer.job_id.endswith(job.id)
    record = RecountRecord(suite.database, DEFAULTS)
    done = await recount.run(job, record, jobs, asyncio.Event())
    assert done == {"product_count": "2", "shopper_count": "2"}
    left = await suite.database.read(lambda c: c.execute(sa.select(POPULARITY.c.product_id)).all())
    assert left == [("r2",)]


async def test_the_consents_are_part_of_the_copy_and_their_withdrawal_outlives_an_erasure(
    suite: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await suite.append(event("r1"))
    await privacy.SetConsent(deciding("TRAIN", given=("EXPERIMENT",)))
    copy = await privacy.ExportUser(pb.ExportUserRequest(shopper=ANN))
    assert sum("TRAIN" in one.json for one in copy.records if one.store == "consents") == 1
    async with at_work(suite):
        receipt = await erased(suite, privacy)
    (row,) = [one for one in receipt.stores if one.store == "consents"]
    assert (row.erased_count, "Withdrawals" in row.text) == (1, True)
    assert (await refusal(privacy.ExportUser(pb.ExportUserRequest(shopper=ANN)))).reason == (
        "SHOPPER_NOT_FOUND"
    )
    await suite.append(event("r1"))
    found = await privacy.GetConsent(pb.GetConsentRequest(shopper=ANN))
    states = {one.purpose: (one.granted, one.by_default) for one in found.states}
    assert states[pb.PURPOSE_TRAIN] == (False, False)
    assert states[pb.PURPOSE_EXPERIMENT] == (True, True)


def bad() -> Iterator[tuple[str, pb.SetConsentRequest]]:
    yield "shopper", deciding("TRAIN", shopper=None)
    yield (
        "as_default",
        pb.SetConsentRequest(shopper=ANN, as_default=True, given=["PURPOSE_TRAIN"], source="x"),
    )
    yield "given", deciding()
    yield "withdrawn[0]", deciding("TRAIN", given=("TRAIN",))
    yield "withdrawn[1]", deciding("TRAIN", "TRAIN")
    yield "given[0]", pb.SetConsentRequest(shopper=ANN, given=[0], source="x")
    yield "given[0]", pb.SetConsentRequest(shopper=ANN, given=[99], source="x")
    yield "given", deciding(given=("ATTRIBUTES",), as_default=True)
    yield "given", deciding(given=("PHOTOS",), as_default=True)
    for text, _ in each_of(("", "x" * 129, "a\nb"), (0,)):
        yield "source", pb.SetConsentRequest(shopper=ANN, given=["PURPOSE_TRAIN"], source=text)


@pytest.mark.parametrize(("field", "request_"), list(bad()))
async def test_a_bad_decision_is_refused_with_its_field_and_stores_nothing(
    privacy: pb_grpc.PrivacyServiceStub, field: str, request_: pb.SetConsentRequest
) -> None:
    error = await refusal(privacy.SetConsent(request_))
    assert (error.reason, [one.field for one in error.violations]) == ("REQUEST_INVALID", [field])
    assert not (await privacy.GetConsent(pb.GetConsentRequest(shopper=ANN))).history
