"""Erasures in SQL, with the hashes by which late data of an erased shopper is recognised."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.erasure import ErasedStore, Erasure, Person, person_hash
from ranker.record.consents import untrained_since
from ranker.record.merged_owners import gate
from ranker.record.rows import RowsStatement, TableRecord, upsert
from ranker.record.tables import ERASURES, JOBS


class ErasureRecord(TableRecord):
    async def begin(self, person: Person, job_id: str) -> None:
        """Store the hashes of an erasure that is under way; repeatable."""
        erased = dict.fromkeys(_hashes(person), person.requested_micros)

        def write(connection: Connection) -> None:
            gate(connection, person.catalog_id, alone=True)
            _put(connection, person.catalog_id, erased, job_id)

        await self._db.write(write)

    async def complete(
        self, person: Person, job_id: str, stores: Iterable[ErasedStore], now_micros: int
    ) -> None:
        """Store the receipt."""
        receipt = json.dumps([asdict(one) for one in stores])
        t = ERASURES.c
        whose = (t.catalog_id == person.catalog_id, t.person.in_(_hashes(person)))
        statement = sa.update(ERASURES).where(*whose, t.job_id == job_id)
        done = statement.values(completed_micros=now_micros, receipt=receipt)
        await self._db.write(lambda connection: connection.execute(done))

    async def complete_again(self, catalog_id: str, job_id: str, now_micros: int) -> None:
        """Store that an erasure was repeated after a restore, unless its own job still runs."""
        t, j = ERASURES.c, JOBS.c
        runs = sa.exists().where(j.id == job_id, j.finished_time == 0)
        lacking = (t.catalog_id == catalog_id, t.job_id == job_id, t.completed_micros == 0)
        done = sa.update(ERASURES).where(*lacking, sa.not_(runs))
        done = done.values(completed_micros=now_micros, receipt="[]")
        await self._db.write(lambda connection: connection.execute(done))

    async def get(self, catalog_id: str, actor: str) -> Erasure | None:
        """Return the newest erasure of a shopper; None if there was none."""
        t = ERASURES.c
        statement = sa.select(ERASURES).where(
            t.catalog_id == catalog_id, t.person == person_hash(actor)
        )
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        if row is None:
            return None
        stores = tuple(ErasedStore(**one) for one in json.loads(row.receipt or "[]"))
        return Erasure(
            row.catalog_id,
            row.person,
            row.requested_micros,
            row.completed_micros,
            row.job_id,
            stores,
        )

    async def erased_count(self, job_id: str) -> int | None:
        """Return the number of records that a job has erased; None if it is not complete."""
        t = ERASURES.c
        statement = sa.select(t.receipt).where(t.job_id == job_id, t.completed_micros > 0).limit(1)
        receipt = await self._db.read(lambda connection: connection.execute(statement).scalar())
        if receipt is None:
            return None
        return sum(int(one["erased_count"]) for one in json.loads(receipt))

    async def last_requested(self, catalog_id: str) -> int:
        """Return when the newest erasure was requested, microseconds since 1970; 0: never."""
        t = ERASURES.c
        newest = sa.select(sa.func.max(t.requested_micros)).where(t.catalog_id == catalog_id)
        found = await self._db.read(lambda connection: connection.execute(newest).scalar())
        return int(found or 0)

    async def since(self, catalog_id: str, micros: int) -> Mapping[str, int]:
        """Return the request times of erasures requested since then, by hash."""
        return await self._db.read(lambda connection: erased_since(connection, catalog_id, micros))

    async def forgotten_since(self, catalog_id: str, micros: int) -> Mapping[str, int]:
        """Return when shoppers were erased or refused trainings since then, by hash."""

        def read(connection: Connection) -> Mapping[str, int]:
            refused = untrained_since(connection, catalog_id, micros)
            return {**refused, **erased_since(connection, catalog_id, micros)}

        return await self._db.read(read)

    async def restore(self, catalog_id: str, erased: Mapping[str, int], job_id: str) -> None:
        """Store hashes that a backup's record lacks; newer ones stay."""

        def write(connection: Connection) -> None:
            gate(connection, catalog_id, alone=True)
            known = erased_since(connection, catalog_id, 0)
            lost = {name: time for name, time in erased.items() if time > known.get(name, -1)}
            _put(connection, catalog_id, lost, job_id)

        await self._db.write(write)


def erased_since(connection: Connection, catalog_id: str, micros: int) -> Mapping[str, int]:
    """Return the request times of erasures requested since then, by hash."""
    return _ERASED.pairs(connection, {"catalog_id": catalog_id, "since": micros})


def _hashes(person: Person) -> list[str]:
    return [person_hash(actor) for actor in person.actors]


def _put(connection: Connection, catalog_id: str, erased: Mapping[str, int], job_id: str) -> None:
    rows = [
        {
            "catalog_id": catalog_id,
            "person": name,
            "requested_micros": time,
            "completed_micros": 0,
            "job_id": job_id,
            "receipt": "",
        }
        for name, time in sorted(erased.items())
    ]
    if rows:
        upsert(connection, ERASURES, rows)


_ERASED = RowsStatement(
    sa.select(ERASURES.c.person, ERASURES.c.requested_micros).where(
        ERASURES.c.catalog_id == sa.bindparam("catalog_id"),
        ERASURES.c.requested_micros >= sa.bindparam("since"),
    )
)
