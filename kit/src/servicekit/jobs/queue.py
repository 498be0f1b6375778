"""Long work as rows that a worker claims. Needs the extra `sql`.

A claim expires at a time in the store, so that another process continues the work of a killed one.
The clocks of processes that share a store must differ by much less than `lease_seconds`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection, MetaData, Table

from servicekit.admission import access
from servicekit.clock import Clock, new_id, now_micros
from servicekit.errors import Aborted, NotFound, ServiceError
from servicekit.jobs.job_limits import check_room
from servicekit.sql.database import Database
from servicekit.sql.locks import lock
from servicekit.sql.schema import flags, given, keys, numbers, texts
from servicekit.tasks.supervision import Backoff, supervised, tell

P = TypeVar("P")


class JobState(StrEnum):
    """PENDING → RUNNING → SUCCEEDED, FAILED or CANCELLED; PENDING → CANCELLED."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobNotFound(NotFound, reason="JOB_NOT_FOUND"):
    """There is no job of this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__("no such job", metadata={"job_id": job_id})


class JobCancelled(Aborted, reason="JOB_CANCELLED"):
    """A cancellation was requested: stop, clean up, and pass this to `Jobs.fail`."""

    def __init__(self, job_id: str) -> None:
        super().__init__("the job was cancelled", metadata={"job_id": job_id})


class JobClaimLost(Aborted, reason="JOB_CLAIM_LOST"):
    """The claim expired and another worker has the job: stop at once, and write nothing more."""

    def __init__(self, job_id: str) -> None:
        super().__init__("the job belongs to another worker now", metadata={"job_id": job_id})


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as in its row. Times are microseconds since 1970 (UTC); 0: not reached yet."""

    id: str
    """UUID version 7: sorts by creation."""
    kind: str
    """Kind of the work, e.g. `train`."""
    catalog_id: str
    request_id: str
    """The caller's id of the request; one job per kind, catalog and request."""
    caller: str
    """The caller that created it; empty if unauthenticated."""
    params: Mapping[str, Any]
    """What the work needs; JSON values."""
    state: JobState
    done: int
    total: int
    """Units of work; 0 while unknown."""
    error_reason: str
    error_message: str
    result: Mapping[str, Any]
    """Result of the work; JSON values."""
    cancel_requested: bool
    owner: str
    """The worker of the newest claim."""
    attempts: int
    """Number of claims."""
    lease_until: int
    created_time: int
    started_time: int
    finished_time: int

    def given(self, kind: type[P]) -> P:
        """Return the parameters as a dataclass that declares those of the job's kind; others, of
        another release, are left out. Raises ValueError."""
        reader: TypeAdapter[P] = _reader(kind)
        return reader.validate_python(dict(self.params))


_reader: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def jobs_table(metadata: MetaData) -> Table:
    """Return the table `jobs` in `metadata`."""
    return Table(
        "jobs",
        metadata,
        *keys("id"),
        *texts("kind", "catalog_id", "request_id", "params", "state"),
        *numbers("done", "total"),
        *texts("error_reason", "error_message", "result"),
        *flags("cancel_requested"),
        *texts("owner"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("lease_until", "created_time", "started_time", "finished_time"),
        given("caller", sa.Text, ""),
        sa.UniqueConstraint("kind", "catalog_id", "request_id", name="jobs_request"),
        sa.Index("jobs_open", "state", "kind"),
    )


Beside: TypeAlias = Callable[[Connection, Job], None]
"""Writes what belongs to a new job, in the transaction that creates it."""
Decide: TypeAlias = Callable[[Sequence[Job]], Job | None]
"""Chooses one of the open jobs instead of a new one; None: a new one."""
_Kinds: TypeAlias = Sequence[str] | sa.BindParameter[Sequence[str]]
_Time: TypeAlias = int | sa.BindParameter[int]


def claimable(table: Table, kinds: _Kinds, now: _Time) -> sa.ColumnElement[bool]:
    """Return the condition of jobs of `kinds` that are pending or whose claim expired."""
    t = table.c
    waiting = sa.and_(t.state == JobState.PENDING, t.kind.in_(kinds))
    return sa.or_(waiting, _dropped(table, kinds, now))


def _dropped(table: Table, kinds: _Kinds, now: _Time) -> sa.ColumnElement[bool]:
    t = table.c
    return sa.and_(t.state == JobState.RUNNING, t.lease_until < now, t.kind.in_(kinds))


class Jobs:
    """The jobs of one store; one object a process."""

    def __init__(
        self,
        db: Database,
        table: Table,
        *,
        clock: Clock = now_micros,
        max_attempts: int = 20,
        urgent: Sequence[str] = (),
    ) -> None:
        """`table` comes from `jobs_table`.

        A job that was claimed `max_attempts` times and did not end fails with
        JOB_ATTEMPTS_EXHAUSTED: it probably kills its workers. Jobs of the `urgent` kinds are
        claimed before all others.
        """
        self._db = db
        self._t = table
        self._clock = clock
        self._max_attempts = max_attempts
        self._order = [*([table.c.kind.not_in(urgent)] if urgent else []), table.c.id]
        # Seconds of each claim, by job and attempt: this process may have claimed a job again.
        self._claims: dict[tuple[str, int], float] = {}
        # Built once, because idle workers repeat it; it takes no lock.
        kinds: _Kinds = sa.bindparam("kinds", expanding=True)
        some = sa.exists().where(claimable(table, kinds, sa.bindparam("now")))
        self._claimable = sa.select(some)

    async def create(
        self,
        kind: str,
        catalog_id: str,
        params: object,
        request_id: str = "",
        *,
        beside: Beside | None = None,
        decide: Decide | None = None,
    ) -> Job:
        """Create a PENDING job of the current caller, or return the one that this `request_id`
        already created, with its `params` (a dataclass or a mapping, of JSON values). Raises
        JobsFull, and the errors of `beside`, which is called for a new job only; the job is then
        not created.

        A request is remembered as long as its job: what has to happen once for each job belongs
        into `beside`, not into a record with a key and a term of its own.

        `decide` gets the open jobs of the kind in the catalog, newest first, while no other one can
        be created: a job that it returns is returned instead, and what it raises is raised.
        """
        row = self._new(kind, catalog_id, params, request_id)
        same = self._made_by(kind, catalog_id, row["request_id"])

        def insert(connection: Connection) -> Job:
            lock(connection, f"jobs {kind} of {catalog_id}")
            known = self._one(connection, same)
            if known is None and decide is not None:
                known = decide(self._open(connection, kind, catalog_id))
            if known is None:
                check_room(connection, self._t, kind, catalog_id, row["caller"])
                connection.execute(sa.insert(self._t).values(row))
                known = self._one(connection, same)
                assert known is not None  # noqa: S101 - inserted in this transaction
                if beside is not None:
                    beside(connection, known)
            return known

        return await self._db.write(insert)

    async def find(self, kind: str, catalog_id: str, request_id: str) -> Job | None:
        """Return the job that this request created, or None."""
        same = self._made_by(kind, catalog_id, request_id)
        return await self._db.read(lambda c: self._one(c, same))

    async def get(self, job_id: str) -> Job:
        """Return the job. Raises JobNotFound."""
        job = await self._db.read(lambda c: self._one(c, self._t.c.id == job_id))
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def list(
        self,
        *,
        catalog_id: str | None = None,
        kinds: Sequence[str] = (),
        states: Sequence[JobState] = (),
        before: str = "",
        limit: int = 50,
        params: bool = True,
    ) -> tuple[Job, ...]:
        """Return at most `limit` jobs, newest first, older than job id `before` if given.

        Without `params`, which may be large, they are empty. A job that can't be read is told, and
        shown as `claim` ends it.
        """
        t = self._t
        shown = (column for column in t.c if params or column.name != "params")
        query = sa.select(*shown).order_by(t.c.id.desc()).limit(limit)
        if catalog_id is not None:
            query = query.where(t.c.catalog_id == catalog_id)
        if kinds:
            query = query.where(t.c.kind.in_(kinds))
        if states:
            query = query.where(t.c.state.in_(states))
        if before:
            query = query.where(t.c.id < before)
        return await self._db.read(lambda c: tuple(self._shown(row) for row in c.execute(query)))

    async def claim(self, kinds: Sequence[str], worker_id: str, lease_seconds: float) -> Job | None:
        """Claim and return the oldest job of `kinds` that is pending or whose claim expired; None
        if there is none.

        `worker_id` must be unique to this process (see `leases.worker_id`).
        """
        values = {"kinds": list(kinds), "now": self._clock()}
        if not await self._db.read(lambda c: c.execute(self._claimable, values).scalar_one()):
            return None
        job = await self._db.write(lambda c: self._claim(c, kinds, worker_id, lease_seconds))
        if job is not None:
            self._claims[job.id, job.attempts] = lease_seconds
        return job

    async def progress(self, job: Job, done: int, total: int) -> None:
        """Store the progress of a job, given as it was claimed, and renew its claim. Raises
        JobCancelled when it must stop, JobClaimLost when it was claimed again, by any worker.
        """
        await self._mine(job, {"done": done, "total": total})

    @contextlib.asynccontextmanager
    async def renewing(self, job: Job) -> AsyncIterator[None]:
        """Keep the claim alive while the body runs, for steps longer than the lease.

        If the job is cancelled or the claim lost meanwhile, the next `progress` raises.
        """
        seconds = self._seconds_of(job)

        async def renew() -> None:
            await asyncio.sleep(seconds / 3)
            with contextlib.suppress(ServiceError):
                await self._mine(job, {})

        task = asyncio.create_task(supervised("claims of jobs", renew, Backoff(0.0, 0.0)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})  # its own cancellation and the caller's are not mixed up

    async def finish(self, job: Job, result: Mapping[str, Any] | None = None) -> None:
        """End a claimed job as SUCCEEDED with `result` (JSON values). Raises JobClaimLost.

        A late cancellation is ignored.
        """
        await self._end(job, JobState.SUCCEEDED, {"result": json.dumps(dict(result or {}))})

    async def fail(self, job: Job, error: Exception) -> None:
        """End a claimed job as FAILED with the reason of `error`, or CANCELLED for JobCancelled.
        Raises JobClaimLost.

        The text of other exceptions is not stored: it may quote data.
        """
        state = JobState.CANCELLED if isinstance(error, JobCancelled) else JobState.FAILED
        reason, message = "INTERNAL", f"internal error ({type(error).__name__}); see the log"
        if isinstance(error, ServiceError):
            reason, message = error.reason, error.message
        await self._end(job, state, {"error_reason": reason, "error_message": message})

    async def cancel(self, job_id: str) -> Job:
        """Request that the job stops: at once when it is pending, else at its next `progress`.

        Returns its new state; an ended job is unchanged. Raises JobNotFound.
        """
        t = self._t

        def ask(connection: Connection) -> Job | None:
            waits = sa.and_(t.c.id == job_id, t.c.state == JobState.PENDING)
            self._set(connection, waits, self._cancelled())
            runs = sa.and_(t.c.id == job_id, t.c.state == JobState.RUNNING)
            self._set(connection, runs, {"cancel_requested": True})
            return self._one(connection, t.c.id == job_id)

        job = await self._db.write(ask)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def _open(self, connection: Connection, kind: str, catalog_id: str) -> Sequence[Job]:
        t = self._t.c
        mine = t.kind == kind, t.catalog_id == catalog_id, t.finished_time == 0
        rows = connection.execute(sa.select(self._t).where(*mine).order_by(t.id.desc()))
        shown = map(self._shown, rows)
        return [job for job in shown if not job.finished_time]

    def _new(self, kind: str, catalog_id: str, params: Any, request_id: str) -> dict[str, Any]:
        now = self._clock()
        empty = ("error_reason", "error_message", "owner")
        zero = ("done", "total", "attempts", "lease_until", "started_time", "finished_time")
        job_id = new_id(now)
        return {
            **dict.fromkeys(empty, ""),
            **dict.fromkeys(zero, 0),
            "id": job_id,
            "kind": kind,
            "catalog_id": catalog_id,
            "request_id": request_id or job_id,
            "caller": access.known(),
            "params": json.dumps(dict(params) if isinstance(params, Mapping) else asdict(params)),
            "result": "{}",
            "state": JobState.PENDING,
            "cancel_requested": False,
            "created_time": now,
        }

    def _claim(
        self, connection: Connection, kinds: Sequence[str], worker: str, seconds: float
    ) -> Job | None:
        t, now = self._t, self._clock()
        dropped = _dropped(t, kinds, now)
        self._set(connection, sa.and_(dropped, t.c.cancel_requested), self._cancelled())
        self._set(
            connection,
            sa.and_(dropped, t.c.attempts >= self._max_attempts),
            {
                **self._ended(JobState.FAILED),
                "error_reason": "JOB_ATTEMPTS_EXHAUSTED",
                "error_message": f"no worker finished it in {self._max_attempts} attempts",
            },
        )
        found = connection.execute(
            sa.select(t)
            .where(claimable(t, kinds, now))
            .order_by(*self._order)
            .limit(1)
            .with_for_update(skip_locked=True)  # SQLite: none, since its writers are serialized
        ).first()
        if found is None:
            return None
        try:
            _job(found._mapping)
        except Exception as error:  # damaged: the others would wait for it for ever
            tell("jobs", error, job=found.id)
            self._set(connection, t.c.id == found.id, self._unreadable())
            return self._claim(connection, kinds, worker, seconds)
        values = {
            "state": JobState.RUNNING,
            "owner": worker,
            "attempts": found.attempts + 1,
            "lease_until": now + int(seconds * 1e6),
            "started_time": found.started_time or now,
        }
        self._set(connection, t.c.id == found.id, values)
        return self._one(connection, t.c.id == found.id)

    def _shown(self, row: sa.Row[Any]) -> Job:
        try:
            return _job(row._mapping)
        except Exception as error:
            tell("jobs", error, job=row.id)
            return _job({**row._mapping, **self._unreadable()})

    def _unreadable(self) -> dict[str, Any]:
        return {
            **self._ended(JobState.FAILED),
            "params": "{}",
            "result": "{}",
            "error_reason": "INTERNAL",
            "error_message": "internal error (the job can't be read); see the log",
        }

    async def _mine(self, job: Job, values: Mapping[str, Any]) -> None:
        seconds = self._seconds_of(job)

        def update(connection: Connection) -> Job | None:
            lease = {"lease_until": self._clock() + int(seconds * 1e6)}
            held = self._set(connection, self._held(job), {**values, **lease})
            return self._one(connection, self._t.c.id == job.id) if held else None

        found = await self._db.write(update, announce=False)  # no loop waits for progress
        if found is None:
            self._claims.pop((job.id, job.attempts), None)
            raise JobClaimLost(job.id)
        if found.cancel_requested:
            raise JobCancelled(job.id)

    async def _end(self, job: Job, state: JobState, values: Mapping[str, Any]) -> None:
        self._seconds_of(job)
        changed = {**self._ended(state), **values}
        held = await self._db.write(lambda c: self._set(c, self._held(job), changed))
        self._claims.pop((job.id, job.attempts), None)
        if not held:
            raise JobClaimLost(job.id)

    def _seconds_of(self, job: Job) -> float:
        if (seconds := self._claims.get((job.id, job.attempts))) is None:
            raise JobClaimLost(job.id)
        return seconds

    def _made_by(self, kind: str, catalog_id: str, request_id: str) -> sa.ColumnElement[bool]:
        t = self._t.c
        return sa.and_(t.kind == kind, t.catalog_id == catalog_id, t.request_id == request_id)

    def _held(self, job: Job) -> sa.ColumnElement[bool]:
        """Return the condition that nobody, not even this process, claimed the job again."""
        t = self._t.c
        mine = (t.owner == job.owner, t.attempts == job.attempts)
        return sa.and_(t.id == job.id, *mine, t.state == JobState.RUNNING)

    def _ended(self, state: JobState) -> dict[str, Any]:
        return {"state": state, "finished_time": self._clock(), "lease_until": 0}

    def _cancelled(self) -> dict[str, Any]:
        return {**self._ended(JobState.CANCELLED), "error_reason": "JOB_CANCELLED"}

    def _set(
        self, connection: Connection, which: sa.ColumnElement[bool], values: Mapping[str, Any]
    ) -> bool:
        result = connection.execute(sa.update(self._t).where(which).values(dict(values)))
        return bool(result.rowcount)

    def _one(self, connection: Connection, which: sa.ColumnElement[bool]) -> Job | None:
        row = connection.execute(sa.select(self._t).where(which)).first()
        return None if row is None else _job(row._mapping)


def _job(row: Mapping[Any, Any]) -> Job:
    values = {"params": "{}", **row}
    values["state"] = JobState(values["state"])
    for name in ("params", "result"):
        values[name] = MappingProxyType(json.loads(values[name]))
    return Job(**values)
