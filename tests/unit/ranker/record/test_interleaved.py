"""Every pair of writers of the ranker's record, interleaved on PostgreSQL, is as if one came after
the other."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

import servicekit
from ranker.domain.consent import Decision, Purpose, StoredDecision
from ranker.domain.erasure import ErasedStore, Person
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.model import ModelVerdict
from ranker.domain.private_counts import BudgetLimit, CountsOrder
from ranker.domain.report import ProductionAs, Report
from ranker.domain.selection import PurgePlace, Selection
from ranker.record import tables
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.count_groups import GroupRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.experiments import ExperimentRecord, Kept
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.record.personal import PersonalRecord
from ranker.record.private_counts import BudgetRecord, spend
from ranker.record.recounting import RecountRecord
from ranker.record.removed_catalogs import RemovedCatalogRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.workers.nightly import judge
from servicekit.audit.record import AuditRecord
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease
from servicekit.sql.retention import forget_jobs
from tests.fakes.ranker import KEY, NOW, model, record, stored
from tests.interleaved import check, each_of
from tests.stores import NewStore, only_postgresql

C = "default"
ANN, VISITOR = (KEY.of(C, Shopper(kind, "ann")) for kind in (Identity.USER, Identity.VISITOR))


class World:
    """One process."""

    def __init__(self, db: Database, name: str) -> None:
        self.db, self.name = db, name
        self.models, self.events, self.budget = ModelRegistry(db), EventRecord(db), BudgetRecord(db)
        self.shoppers, self.consents = ShopperRecord(db), ConsentRecord(db)
        self.selections, self.recounts = SelectionRecord(db), RecountRecord(db)
        self.answers, self.erasures = AnswerLog(db), ErasureRecord(db)
        self.groups, self.experiments = GroupRecord(db), ExperimentRecord(db)
        self.personal, self.online = PersonalRecord(db), OnlineRecord(db)
        self.removed = RemovedCatalogRecord(db)
        self.jobs = Jobs(db, tables.JOBS, clock=lambda: NOW)
        self.audit = AuditRecord(db, clock=lambda: NOW)

    @cached_property
    def lease(self) -> Lease:
        return Lease(self.db, "lead", self.name, 5, clock=lambda: NOW)


Writers = Mapping[str, Callable[[World], Awaitable[object]]]


async def models(here: World) -> Writers:
    for number, version in enumerate("abcd"):
        await here.models.add(record(version, trained=NOW + number))
    await here.models.promote(C, "a", 1)
    await here.models.promote(C, "c", 2)
    passed = Report(ModelVerdict.PASSED, "", (), "c", ProductionAs.REFITTED, 200, 3_000)
    await here.models.keep_report(C, "b", passed)
    _, promotion = await here.models.before(C)

    async def load(catalog_id: str, version: str) -> Any:
        return model({"p": [1.0]}, version=version)

    late = 10 * 3_600_000_000
    return {
        "ModelRegistry.add": lambda w: w.models.add(record("a", trained=NOW + 9)),
        "ModelRegistry.rewritten": lambda w: w.models.rewritten(record("a"), "0" * 64),
        "ModelRegistry.confirm": lambda w: w.models.confirm(C, "a", 7),
        "ModelRegistry.promote": lambda w: w.models.promote(C, "d", late, forced=True),
        "ModelRegistry.roll_back": lambda w: w.models.roll_back(C, promotion, late),
        "ModelRegistry.demote": lambda w: w.models.demote(C, late),
        "ModelRegistry.prune": lambda w: w.models.prune(C, 1, (), late),
        "ModelRegistry.retire": lambda w: w.models.retire(C, ("a", "b", "c"), late),
        "ModelRegistry.keep_report": lambda w: w.models.keep_report(C, "d", passed),
        "judge": lambda w: judge(C, "b", w.models, load, late),
    }


async def shoppers(here: World) -> Writers:
    await here.events.append([_event("old", Identity.VISITOR)])
    await here.shoppers.set_attributes(
        C, VISITOR, {"size": "m"}, consent=True, key_id="k", now_micros=NOW
    )
    refuses = Decision(Purpose.TRAIN, False, "shop", NOW)
    allows = Decision(Purpose.TRAIN, True, "shop", NOW + 1)
    person = Person(C, (ANN, VISITOR), NOW + 5)
    selection, old = Selection(C), (C, EventType.VIEW, NOW + 1, 9)
    answer = StoredAnswer(C, "a1", VISITOR, "k", b"x", NOW * 2, NOW, controls=("c",))
    return {
        "EventRecord.append": lambda w: w.events.append([_event("new", Identity.USER)]),
        "EventRecord.append visitor": lambda w: w.events.append([_event("v", Identity.VISITOR)]),
        "EventRecord.append new": lambda w: w.events.append([_event(f"n{w.name}", product="n")]),
        "ShopperRecord.merge": lambda w: w.shoppers.merge(
            C, VISITOR, ANN, key_id="k", now_micros=NOW
        ),
        "ShopperRecord.set_attributes": lambda w: w.shoppers.set_attributes(
            C, VISITOR, {"size": "l"}, consent=True, key_id="k", now_micros=NOW
        ),
        "ConsentRecord.decide": lambda w: w.consents.decide(C, VISITOR, [refuses], key_id="k"),
        "ConsentRecord.decide yes": lambda w: w.consents.decide(C, VISITOR, [allows], key_id="k"),
        "ConsentRecord.forget": lambda w: w.consents.forget(person),
        "ConsentRecord.restore": lambda w: w.consents.restore(
            C, [StoredDecision(VISITOR, "k", refuses)]
        ),
        "ConsentRecord.delete_answers": lambda w: w.consents.delete_answers(C, 9),
        "ConsentRecord.delete_photos": lambda w: w.consents.delete_photos(C, 9),
        "SelectionRecord.delete": lambda w: w.selections.delete(selection, PurgePlace(), 9),
        "SelectionRecord.expire": lambda w: w.selections.expire(*old),
        "RecountRecord.products": lambda w: w.recounts.products(C, "", 9),
        "RecountRecord.shoppers": lambda w: w.recounts.shoppers(C, "", 9),
        "PersonalRecord.delete": lambda w: w.personal.delete(person, "events", 9),
        "PersonalRecord.forget_in_jobs": lambda w: w.personal.forget_in_jobs(person),
        "ErasureRecord.begin": lambda w: w.erasures.begin(person, "j"),
        "ErasureRecord.complete": lambda w: w.erasures.complete(
            person, "j", [ErasedStore("events")], NOW
        ),
        "ErasureRecord.restore": lambda w: w.erasures.restore(C, {"h": NOW}, "j"),
        "AnswerLog.write": lambda w: w.answers.write([answer], NOW),
        "AnswerLog.sweep": lambda w: w.answers.sweep(NOW * 3, 9),
    }


def _event(name: str, kind: Identity = Identity.USER, product: str = "p1") -> Any:
    return stored(name, shopper=Shopper(kind, "ann"), product_id=product, type=EventType.PURCHASE)


async def popularity(here: World) -> Writers:
    """First events of a product, from shoppers of their own."""

    def told(*products: str) -> Callable[[World], Awaitable[object]]:
        def append(w: World) -> Awaitable[object]:
            ann = Shopper(Identity.USER, w.name)
            given = {"shopper": ann, "type": EventType.PURCHASE}
            return w.events.append(
                [stored(f"{w.name}{each}", product_id=each, **given) for each in products]
            )

        return append

    return {
        "EventRecord.append": told("new"),
        "EventRecord.append two": told("new", "a"),
        "EventRecord.append three": told("b", "new", "a"),
        "RecountRecord.products": lambda w: w.recounts.products(C, "", 9),
    }


async def counts(here: World) -> Writers:
    order = CountsOrder(Selection(C), 0.6, "", 1)
    limit = BudgetLimit(1.0, 365.0)
    expense = {"catalog_id": C, "key": "b", "spent_micros": 1, "epsilon": 0.5, "delta": 0.0}
    await here.events.append([_event("old")])

    paid = partial(spend, order=order, limit=limit, now_micros=NOW)

    def decide(kept: Any) -> list[Kept]:
        return [] if kept else [Kept("x", 1, b"")]

    return {
        "Jobs.create a": lambda w: _kind(w.jobs.create("count", C, {}, "a", beside=paid)),
        "Jobs.create b": lambda w: _kind(w.jobs.create("count", C, {}, "b", beside=paid)),
        "BudgetRecord.restore": lambda w: w.budget.restore(C, [expense | {"text": ""}]),
        "GroupRecord.keep": lambda w: w.groups.keep(C, {"p1": ("Wine",)}, NOW),
        "ExperimentRecord.keep": lambda w: w.experiments.keep(C, decide),
        "OnlineRecord.keep": lambda w: w.online.keep(C, 1, w.name and "{}"),
        "RemovedCatalogRecord.remove": lambda w: w.removed.remove(C, 100),
    }


async def work(here: World) -> Writers:
    """Jobs, leases and the audit log of the kit."""
    before = Jobs(here.db, tables.JOBS, clock=lambda: NOW - 10**6)  # ids are in this order
    made = await before.create("train", C, {})
    await before.create("other", C, {})
    claimed = await here.jobs.claim(("other",), "worker", 5)
    assert claimed is not None
    (first,) = await here.audit.append([_entry("1")])
    for each in ("progress", "finish", "fail"):
        assert hasattr(here.jobs, each)
    return {
        "Jobs.create": lambda w: _kind(w.jobs.create("train", C, {}, "r")),
        "Jobs.create one": lambda w: _kind(
            w.jobs.create("train", C, {}, decide=lambda found: found[0] if found else None)
        ),
        "Jobs.claim": lambda w: _kind(w.jobs.claim(("train",), "worker", 5)),
        "Jobs.cancel": lambda w: w.jobs.cancel(made.id),
        "Jobs.cancel running": lambda w: w.jobs.cancel(claimed.id),
        "Lease.acquire": lambda w: w.lease.acquire(),
        "Lease.renew": lambda w: w.lease.renew(),
        "Lease.release": lambda w: w.lease.release(),
        "AuditRecord.append": lambda w: w.audit.append([_entry(f"of {w.name}")]),
        "AuditRecord.drop": lambda w: w.audit.drop(C, 1, first["hash"], 0),
        "forget_jobs": lambda w: forget_jobs(w.db, tables.JOBS, 1, clock=lambda: NOW * 2),
    }


def _entry(name: str) -> dict[str, Any]:
    texts = dict.fromkeys(("caller", "method", "code", "reason", "request_id"), "")
    return {**texts, "id": name, "time": 1, "catalog_id": C, "left_out": 0}


async def _kind(job: Awaitable[Any]) -> str:
    """Return what requests have in common: their ids differ."""
    return str(getattr(await job, "kind", ""))


RESOURCES = (models, shoppers, popularity, counts, work)

APART = {
    "DataKeyRecord.add": "adds a row",
    "DataKeyRecord.wrap_again": "one process at a time: lock of the data keys",
    "DataKeyRecord.finish": "one process at a time: lock of the data keys",
    "DataKeyRecord.seal_queries": "changes only what it has read: in its condition",
    "DataKeyRecord.seal_attributes": "changes only what it has read: in its condition",
    "DataKeyRecord.seal_photos": "changes only what it has read: in its condition",
    "RenewalRecord.renew": "no other process has the store open",
    "Lease._extend": "one statement, with its condition",
    "Jobs._mine": "progress: the claim is a condition of its one statement",
    "Jobs._end": "end: the claim is a condition of its one statement",
    "AuditRecord._delete": "part of drop",
    "ErasureRecord.complete_again": "one statement, with its condition",
    "NightJobRecord.decide": "one statement, with its condition",
    "GroupCommit._together": "how EventRecord.append writes",
}
"""Writers that are not interleaved, and why."""

LONG = (shoppers,)
"""Those with so many pairs that a release runs them: shorter tests refuse late locks."""


@pytest.fixture
def place(new_store: NewStore) -> Iterator[tuple[str, World, World]]:
    """Return a store and two processes that use it."""
    url = new_store(tables.MIGRATIONS, "ranker.db")
    dbs = [Database(url, migrations=tables.MIGRATIONS) for _ in range(2)]
    yield url, World(dbs[0], "one"), World(dbs[1], "two")
    for db in dbs:
        db.close()


@pytest.mark.full
@only_postgresql
@each_of(RESOURCES, LONG)
async def test_writers_that_interleave_are_as_in_turn(
    resource: Callable[[World], Awaitable[Writers]], place: tuple[str, World, World]
) -> None:
    url, one, other = place
    await check(url, one, other, await resource(one))


def test_every_writer_of_the_record_and_of_the_kit_is_interleaved() -> None:
    kit = Path(servicekit.__file__).parent
    here = Path(inspect.getfile(tables)).parent
    files = [*here.glob("*.py"), *(kit / f"{name}.py" for name in ("jobs/queue", "sql/leases"))]
    files.append(kit / "audit/record.py")
    written = {name for file in files for name in _writers(file)}
    named = {
        name
        for resource in RESOURCES
        for name in re.findall(r'^ +"([\w.]+)[ \w]*": lambda', inspect.getsource(resource), re.M)
    } | {"EventRecord.append"}
    assert written - named - APART.keys() == set()
    assert APART.keys() <= written


def _writers(file: Path) -> Iterator[str]:
    """Yield the methods of a module that write to its database."""
    for kind in ast.parse(file.read_text()).body:
        for method in kind.body if isinstance(kind, ast.ClassDef) else ():
            if isinstance(method, ast.AsyncFunctionDef):
                called = ast.unparse(method)
                if re.search(r"_db\.write\(|write_beside_others\(self", called):
                    yield f"{kind.name}.{method.name}"
