"""Records of answers in SQL, stored after the answer was given.

Their content is opaque here.
"""

import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import sqlalchemy as sa
from prometheus_client import Counter, Gauge
from sqlalchemy import Connection

from ranker.domain.consent import Purpose
from ranker.domain.erasure import is_erased
from ranker.domain.events import DAY_MICROS
from ranker.record import consents
from ranker.record.erasures import erased_since
from ranker.record.merged_owners import gate, owners
from ranker.record.rows import Among, RowsStatement, TableRecord, write_beside_others
from ranker.record.tables import ANSWERS, EXPOSURES
from servicekit.sql.locks import inserting
from servicekit.tasks.batch_queue import BatchQueue, BatchRules, QueueMetrics
from servicekit.telemetry import get_logger

SWEEP = 500
"""Number of expired records deleted with each write: more than a write adds, so that they do not
accumulate."""

EXPOSURE_DAYS = 7
"""Number of days for which exposures of controls are stored."""

GATHER_SECONDS = 0.1
"""Seconds for which answers are gathered: a transaction costs as much as the rest of an answer."""
MOST_BYTES = 64 * 1024 * 1024
"""Maximum number of bytes waiting: records of about 6,000 answers with 100 products."""
MOST_UNENCODED = 200
"""Number of waiting records above which new ones are encoded at once, while the store is slow: what
they refer to takes ten times their bytes."""

WITHOUT_PHOTO: Mapping[str, Any] = {"photo": None, "photo_space": ""}
"""Values of a record without the vector of a photo, which releases before 0.40 stored."""

COUNTS = QueueMetrics(
    Counter("sightline_ranker_answers_kept_total", "Answer records that were stored."),
    Counter(
        "sightline_ranker_answers_dropped_total",
        "Answer records that were dropped: the queue was full, or the store was down or rejected"
        " them.",
        ("cause",),
    ),
    Gauge("sightline_ranker_answers_waiting", "Answer records that wait to be stored."),
    lost="store_unavailable",
)


class AnswerContent(Protocol):
    """Content of a record that is encoded when it is needed."""

    size: int
    """About the number of its bytes."""

    def encoded(self) -> bytes:
        """Return the bytes. May be called by several threads."""


@dataclass(slots=True)  # not frozen: each answer creates one
class StoredAnswer:
    """One recorded answer."""

    catalog_id: str
    answer_id: str
    actor: str
    """Pseudonym of the shopper; empty if anonymous."""
    key_id: str
    content: bytes | AnswerContent
    """Content of the record, without ids of persons."""
    expires_micros: int
    """When it may be deleted, microseconds since 1970 (UTC)."""
    answer_micros: int = 0
    """When it was served, microseconds since 1970 (UTC); 0 if unknown: it is not counted."""
    model_version: str = ""
    scene: str = ""
    arms: str = ""
    """Names of arms, sorted, one a line."""
    controls: tuple[str, ...] = ()
    """Names of the controls that had an effect."""
    product_count: int | None = None
    """None: unknown."""
    degraded_by: int | None = None
    """Causes of its degradations, as `cause_bits` returns them. None: unknown."""


AnswerKey: TypeAlias = tuple[str, str]
"""Catalog and id of an answer."""


class AnswerLog(TableRecord):
    async def write(
        self, answers: Sequence[StoredAnswer], now_micros: int, *, newest: bool = False
    ) -> frozenset[AnswerKey]:
        """Store answers and return the keys of those that were. Those that can't be encoded, which
        must not hold up the others, are dropped.

        An existing id keeps its first content; with `newest` it gets the given one. The effects of
        controls are counted once an id, so those of its first content stay.

        Contents are encoded in the thread of the write, as a hop costs as much as the encoding, and
        before its transaction, which holds locks. No loop waits for answers, and these commits
        would wake all loops ten times a second.
        """
        encoded = list[StoredAnswer]()

        def encode() -> None:
            given = {_key(each): each for each in answers}.values() if newest else answers
            encoded[:] = _encoded(given)

        work = partial(_write, now_micros=now_micros, newest=newest)
        return await write_beside_others(self._db, work, encoded, announce=False, before=encode)

    async def read(self, catalog_id: str, answer_id: str, now_micros: int) -> bytes | None:
        """Return the content; None if there is none or it has expired."""
        given = {"catalog_id": catalog_id, "answer_id": answer_id, "now": now_micros}
        found = await self._db.read(lambda connection: _CONTENT.of(connection, given))
        content: bytes | None = found[0][0] if found else None
        return content

    async def owner(self, catalog_id: str, answer_id: str) -> str:
        """Return the pseudonym of the answer's shopper; empty: no shopper, or no answer."""
        t = ANSWERS.c
        statement = sa.select(t.actor).where(t.catalog_id == catalog_id, t.answer_id == answer_id)
        return await self._db.read(lambda connection: connection.execute(statement).scalar()) or ""

    async def newest(
        self, catalog_id: str, scene: str, *, since_micros: int, now_micros: int, limit: int
    ) -> Sequence[str]:
        """Return the ids of the newest stored answers of a scene that have not expired."""
        t = ANSWERS.c
        statement = (
            sa.select(t.answer_id)
            .where(t.catalog_id == catalog_id, t.answer_micros >= since_micros)
            .where(t.scene == scene, t.expires_micros > now_micros)
            .order_by(t.answer_micros.desc(), t.answer_id)
            .limit(limit)
        )
        return await self._db.read(lambda connection: connection.execute(statement).scalars().all())

    async def exposures(self, catalog_id: str, day: int, names: Sequence[str]) -> Mapping[str, int]:
        """Return the number of answers of a day (since 1970, UTC) in which each control acted."""
        t = EXPOSURES.c
        statement = sa.select(t.name, t.exposures).where(
            t.catalog_id == catalog_id, t.day == day, t.name.in_(names)
        )
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return {row.name: row.exposures for row in rows}

    async def sweep(self, now_micros: int, limit: int) -> int:
        """Delete at most `limit` expired records and return their number."""
        return await self._db.write(lambda connection: _sweep(connection, now_micros, limit))


_T = ANSWERS.c
_KEYS = sa.tuple_(_T.catalog_id, _T.answer_id)
_CONTENT = RowsStatement(
    sa.select(_T.content).where(
        _T.catalog_id == sa.bindparam("catalog_id"),
        _T.answer_id == sa.bindparam("answer_id"),
        _T.expires_micros > sa.bindparam("now"),
    )
)
_KNOWN = RowsStatement(
    sa.select(_T.answer_id).where(
        _T.catalog_id == sa.bindparam("catalog_id"), Among(_T.answer_id, "ids")
    )
)
_DELETE = RowsStatement(
    sa.delete(ANSWERS)
    .where(_T.catalog_id == sa.bindparam("catalog_id"), Among(_T.answer_id, "ids"))
    .returning(_T.answer_id)
)
_EXPIRED = RowsStatement(
    sa.delete(ANSWERS)
    .where(
        _KEYS.in_(
            sa.select(_T.catalog_id, _T.answer_id)
            .where(_T.expires_micros <= sa.bindparam("now"))
            .limit(sa.bindparam("most", type_=sa.Integer))
        )
    )
    .returning(_T.answer_id)
)
_GIVEN = [name for name in ANSWERS.c.keys() if name not in WITHOUT_PHOTO]  # noqa: SIM118
_INSERT = RowsStatement(sa.insert(ANSWERS))


def _sweep(connection: Connection, now_micros: int, limit: int) -> int:
    return len(_EXPIRED.of(connection, {"now": now_micros, "most": limit}))


def _write(
    connection: Connection,
    answers: Sequence[StoredAnswer],
    now_micros: int,
    *,
    newest: bool = False,
) -> frozenset[AnswerKey]:
    if not answers:
        return frozenset()
    ids = defaultdict[str, list[str]](list)
    for answer in answers:
        ids[answer.catalog_id].append(answer.answer_id)
    for catalog_id in sorted(ids):
        gate(connection, catalog_id, alone=False)
    _sweep(connection, now_micros, SWEEP)
    known = set[AnswerKey]()
    for catalog_id, asked in ids.items():
        statement = _DELETE if newest else _KNOWN
        found = statement.of(connection, {"catalog_id": catalog_id, "ids": asked})
        known.update((catalog_id, answer_id) for (answer_id,) in found)
    rows, exposures = [], Tally[tuple[str, int, str]]()
    for answer in answers:
        key = (answer.catalog_id, answer.answer_id)
        is_new = key not in known
        if is_new:
            known.add(key)
            day = (answer.answer_micros or now_micros) // DAY_MICROS
            exposures.update((answer.catalog_id, day, name) for name in set(answer.controls))
        if is_new or newest:
            rows.append({**WITHOUT_PHOTO, **{name: getattr(answer, name) for name in _GIVEN}})
    rows = _permitted(connection, rows)
    if rows:
        _INSERT.each(connection, rows)
    if exposures:
        _expose(connection, exposures, now_micros)
    return frozenset((row["catalog_id"], row["answer_id"]) for row in rows)


def _expose(
    connection: Connection, exposures: Mapping[tuple[str, int, str], int], now_micros: int
) -> None:
    """Count the answers in which controls acted, and delete old counts. Rows are written in the
    order of their keys, so that concurrent writers cannot deadlock."""
    names = [column.name for column in EXPOSURES.primary_key]
    old = EXPOSURES.c.day <= now_micros // DAY_MICROS - EXPOSURE_DAYS
    connection.execute(sa.delete(EXPOSURES).where(old))
    statement = inserting(connection.dialect.name, EXPOSURES)
    added = EXPOSURES.c.exposures + statement.excluded.exposures
    connection.execute(
        statement.on_conflict_do_update(index_elements=names, set_={"exposures": added}),
        [
            dict(zip((*names, "exposures"), (*key, count), strict=True))
            for key, count in sorted(exposures.items())
        ],
    )


def _permitted(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that may be stored, with what may be stored of them."""
    kept = [row for row in rows if not row["actor"]]
    for catalog_id in sorted({row["catalog_id"] for row in rows if row["actor"]}):
        theirs = [row for row in rows if row["actor"] and row["catalog_id"] == catalog_id]
        theirs = _without_erased(connection, catalog_id, theirs)
        if theirs:
            _to_owners(connection, catalog_id, theirs)
            _as_permitted(connection, catalog_id, theirs)
            kept += theirs
    return kept


def _without_erased(
    connection: Connection, catalog_id: str, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows without answers that waited here while their shopper was erased."""
    erased = erased_since(connection, catalog_id, min(row["answer_micros"] for row in rows))
    return [row for row in rows if not is_erased(row["actor"], row["answer_micros"], erased)]


def _to_owners(connection: Connection, catalog_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Assign the answers of merged visitors to their users."""
    users = owners(connection, catalog_id, (row["actor"] for row in rows))
    for row in rows:
        row["actor"] = users.get(row["actor"], row["actor"])


def _as_permitted(connection: Connection, catalog_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Remove the shopper from answers of those who refuse personal answers, and the arms from those
    of shoppers who refuse experiments."""
    actors = sorted({row["actor"] for row in rows})
    consents.recall(connection, catalog_id, actors, rows[0]["key_id"])
    refused = consents.refused(connection, catalog_id, actors)
    for row in rows:
        refuses = refused[row["actor"]]
        row["arms"] = "" if Purpose.EXPERIMENT in refuses else row["arms"]
        row["actor"] = "" if Purpose.PERSONALISE in refuses else row["actor"]


def _key(answer: StoredAnswer) -> AnswerKey:
    return answer.catalog_id, answer.answer_id


def _load(answer: StoredAnswer) -> int:
    content = answer.content
    return len(content) if isinstance(content, bytes) else content.size


def content_of(answer: StoredAnswer) -> bytes:
    """Return the content as bytes."""
    content = answer.content
    return content if isinstance(content, bytes) else content.encoded()


def _encoded(answers: Iterable[StoredAnswer]) -> list[StoredAnswer]:
    """Encode the contents of answers, for readers of the queue too. Return those that could be."""
    found = list[StoredAnswer]()
    for answer in answers:
        try:
            answer.content = content_of(answer)
            found.append(answer)
        except Exception as error:
            COUNTS.dropped.labels("refused").inc()
            get_logger().error("record not encoded", exc_info=error)
    return found


class AnswerQueue:
    """Queue of answers for the store, oldest first, and reads of stored answers."""

    def __init__(
        self,
        log: AnswerLog,
        now_micros: Callable[[], int],
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._now = log, now_micros
        self._queued = BatchQueue(
            self._store,
            BatchRules[StoredAnswer](key=_key, newest=True, load=_load),
            COUNTS,
            most_bytes,
            gather=GATHER_SECONDS,
            clock=clock,
        )
        self.close = self._queued.close
        self.exposures = log.exposures

    def offer(self, answer: StoredAnswer) -> bool:
        """Queue an answer, which takes the place of a queued or stored one of its id: that one was
        formed anew. Return False if the queue is full: it is dropped."""
        if self._queued.count >= MOST_UNENCODED:
            _encoded([answer])
        return self._queued.offer(answer)

    async def write(self, answers: Sequence[StoredAnswer]) -> int:
        """Store answers and return the number of new ones; an existing id keeps its first
        content."""
        given = {_key(one): one for one in reversed(answers)}
        new = [one for key, one in given.items() if self._queued.find(key) is None]
        return len(await self._log.write(new, self._now()))

    async def _store(self, answers: Sequence[StoredAnswer]) -> None:
        await self._log.write(answers, self._now(), newest=True)

    async def read(self, catalog_id: str, answer_id: str) -> bytes | None:
        """Return the content, stored or queued; None if there is none or it has expired."""
        waiting = self._queued.find((catalog_id, answer_id))
        if waiting is not None:
            return content_of(waiting) if waiting.expires_micros > self._now() else None
        return await self._log.read(catalog_id, answer_id, self._now())

    async def owner(self, catalog_id: str, answer_id: str) -> str:
        """Return the pseudonym of the answer's shopper; empty: no shopper, or no answer."""
        waiting = self._queued.find((catalog_id, answer_id))
        return await self._log.owner(catalog_id, answer_id) if waiting is None else waiting.actor

    async def newest(
        self, catalog_id: str, scene: str, since_micros: int, limit: int
    ) -> Sequence[str]:
        """Return the ids of the newest stored answers of a scene."""
        now = self._now()
        return await self._log.newest(
            catalog_id, scene, since_micros=since_micros, now_micros=now, limit=limit
        )
