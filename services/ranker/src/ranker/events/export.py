"""Export of events to Parquet files: a job, because there may be millions.

The job exports the events that existed when it was requested, in the order of receipt, in files of
at most FILE_ROWS rows. A file is renamed once it is complete, and its name contains its last event:
after an interruption the job continues after the last complete file. The manifest with the hashes
of all files is written last: an export without one is incomplete.

Shoppers and visits appear as pseudonyms. Attribution tokens, which give access to answers, are
omitted. Search texts are omitted and order ids hashed unless requested.
"""

import asyncio
import hmac
import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from ranker.adapters.export_store import ExportFolder, ExportStore, Part
from ranker.domain.erasure import ErasedStore, Person
from ranker.domain.errors import ExportUnwritable
from ranker.domain.events import DAY_MICROS
from ranker.domain.personal_data import EXPORTS
from ranker.domain.selection import COLUMNS, Selection, params, selection_of
from ranker.record.events import given_id
from ranker.record.selections import SelectionRecord
from servicekit.clock import now_micros
from servicekit.jobs.queue import Job, Jobs, JobState
from servicekit.jobs.worker import leave_on
from servicekit.tasks.supervision import confined, first_raised
from servicekit.telemetry import get_logger

EXPORT = "export_events"
EXPIRY = "expired exports"
"""Name for servicekit.tasks.supervision."""
FORMAT = 1
GROUP_ROWS = 20_000
"""Rows of a row group, which is held in memory: tens of megabytes."""
FILE_ROWS = 500_000
MANIFEST = "manifest.json"
WAIT_SECONDS = 0.5
_JSON: Mapping[str, Any] = {"indent": 2, "sort_keys": True}
_JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_PART = re.compile(r"events-([0-9]{19})\.parquet")


_ID, _ORDER, _QUERY = (
    [one.name for one in COLUMNS].index(name) for name in ("event_id", "order_id", "query")
)


def params_of(extent: Selection, *, order_ids: bool, queries: bool) -> dict[str, Any]:
    """Return the job's parameters; `order_ids`, `queries`: write these columns as they are."""
    shown = {"order_ids": order_ids, "queries": queries, "order_salt": secrets.token_hex(16)}
    return {**params(extent), **shown}


def _shown(job: Job, row: Sequence[Any]) -> Sequence[Any]:
    """Return a row without the columns that were not requested."""
    given, shown = job.params, list(row)
    if not given.get("order_ids") and row[_ORDER]:
        salt = str(given.get("order_salt", job.id)).encode()
        shown[_ORDER] = hmac.digest(salt, row[_ORDER].encode(), "sha256").hex()[:32]
    shown[_ID] = given_id(row[_ID])
    if not given.get("queries"):
        shown[_QUERY] = ""
    return shown


async def run(
    job: Job, rows: SelectionRecord, files: ExportFolder, jobs: Jobs, stop: asyncio.Event
) -> dict[str, str]:
    """Run the job and return its result. Raise the errors of `jobs.progress`, ExportUnwritable, and
    JobLeft on `stop`."""
    extent = selection_of(job.catalog_id, job.params)
    parts = await _whole(files)
    place = _last(parts[-1].name) if parts else 0
    total = (await rows.count(extent)).event_count
    while True:
        done = sum(part.row_count for part in parts)
        await jobs.progress(job, min(done, total), total)
        name = await _file(job, extent, place, rows, files, stop)
        if not name:
            break
        place = _last(name)
        if (part := await files.describe(name)) is None:
            raise ExportUnwritable(f"{name} is damaged as soon as it is written")
        parts.append(part)
    manifest = _manifest(job, extent, parts)
    await files.put(MANIFEST, json.dumps(manifest, **_JSON).encode())
    await jobs.progress(job, total, total)
    return {"folder": files.url, "event_count": str(manifest["event_count"])}


async def _whole(files: ExportFolder) -> list[Part]:
    """Return the files of an earlier attempt, but for a damaged one and those after it, which are
    written again."""
    found = list[Part]()
    names = sorted(name for name in await files.names() if _PART.fullmatch(name))
    for number, name in enumerate(names):
        if (part := await files.describe(name)) is None:
            for later in names[number + 1 :]:
                await files.remove(later)
            break
        found.append(part)
    return found


async def expire(
    catalogs: Collection[str], exports: ExportStore, days: float, now_micros: Callable[[], int]
) -> int:
    """Delete the exports that were requested more than `days` ago. Return their number."""
    count, before = 0, now_micros() - int(days * DAY_MICROS)
    for catalog_id in catalogs:
        with confined(EXPIRY, catalog=catalog_id):
            for job_id in await exports.jobs(catalog_id):
                if _JOB.fullmatch(job_id) and _requested_micros(job_id) < before:
                    await exports.delete(catalog_id, job_id)
                    count += 1
    return count


def _requested_micros(job_id: str) -> int:
    """Return the time in a UUID of version 7, microseconds since 1970 (RFC 9562)."""
    return (UUID(job_id).int >> 80) * 1_000


async def erase(person: Person, exports: ExportStore, jobs: Jobs) -> ErasedStore:
    """Remove a person's rows from all exports of the catalog; repeatable. Raise ExportUnwritable.

    Exports that run finish first: they hold the hashes of their files in memory.
    """
    while await _is_exporting(person.catalog_id, jobs):  # noqa: ASYNC110 - another process
        await asyncio.sleep(WAIT_SECONDS)
    count = 0
    with first_raised(ExportUnwritable) as item:
        for job_id in await exports.jobs(person.catalog_id):
            with item():
                count += await _erase_from(exports.folder(person.catalog_id, job_id), person.actors)
    return ErasedStore(EXPORTS.name, count)


async def _is_exporting(catalog_id: str, jobs: Jobs) -> bool:
    states = (JobState.RUNNING,)
    running = await jobs.list(catalog_id=catalog_id, kinds=(EXPORT,), states=states)
    return any(one.lease_until > now_micros() for one in running)


async def _erase_from(files: ExportFolder, actors: Sequence[str]) -> int:
    """Rewrite the parts of an export that hold these pseudonyms, and then its manifest, also after
    an attempt that rewrote parts only. A damaged manifest, which has nothing of persons, stays."""
    names = await files.names()
    count = 0
    for name in sorted(name for name in names if _PART.fullmatch(name)):
        count += await files.without(name, actors)
    names = await files.names()
    if MANIFEST in names and (manifest := _parsed(files, await files.get(MANIFEST))) is not None:
        here = [one["name"] for one in manifest["files"] if one["name"] in names]
        parts = [part for name in here if (part := await files.describe(name)) is not None]
        told = [asdict(part) for part in parts]
        if told != manifest["files"]:
            rows = sum(part.row_count for part in parts)
            changed = json.dumps({**manifest, "files": told, "event_count": rows}, **_JSON)
            await files.put(MANIFEST, changed.encode())
    return count


def _parsed(files: ExportFolder, content: bytes) -> dict[str, Any] | None:
    """Return a manifest; None: it is damaged."""
    try:
        manifest = dict[str, Any](json.loads(content))
        [one["name"] for one in manifest["files"]]
    except (ValueError, LookupError, TypeError) as error:
        get_logger().error("manifest of an export damaged", folder=files.url, problem=repr(error))
        return None
    return manifest


async def _file(  # noqa: PLR0917 - a step of `run`
    job: Job,
    extent: Selection,
    place: int,
    rows: SelectionRecord,
    files: ExportFolder,
    stop: asyncio.Event,
) -> str:
    """Write the next file and return its name; empty if no events are left."""
    group = await rows.rows(extent, place, GROUP_ROWS)
    if not group:
        return ""
    writing, count = await files.begin(), 0
    try:
        while group:
            leave_on(stop)
            await writing.add([_shown(job, row) for row in group])
            place, count = group[-1][0], count + len(group)
            if count >= FILE_ROWS or len(group) < GROUP_ROWS:
                break
            group = await rows.rows(extent, place, GROUP_ROWS)
        name = f"events-{place:019d}.parquet"
        await writing.commit(name)
    except BaseException:
        await writing.abort()
        raise
    return name


def _last(name: str) -> int:
    """Return the sequence number of the last event of a file."""
    found = _PART.fullmatch(name)
    assert found is not None  # noqa: S101 - only such names come here
    return int(found[1])


def _manifest(job: Job, extent: Selection, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "catalog_id": job.catalog_id,
        "job_id": job.id,
        "conditions": params(extent),
        "order_ids": bool(job.params.get("order_ids")),
        "queries": bool(job.params.get("queries")),
        "event_count": sum(part.row_count for part in parts),
        "columns": [
            {"name": one.name, "type": one.kind.value, "nullable": one.nullable, "says": one.says}
            for one in COLUMNS
        ],
        "files": [asdict(part) for part in parts],
    }
