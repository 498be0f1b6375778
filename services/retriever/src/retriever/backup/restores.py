"""Restore of a backup into the record: it is checked completely, then written batch by batch.

After a kill it is repeated from the start: photos are named by their hash, and a product that was
written whole after the restore was requested, by a caller or by an earlier attempt, is not changed.
The index is updated through the outbox, as after any write.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby, islice
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from retriever.backup.archive.reading import ArchiveReader, PhotoReader
from retriever.backup.archive.writing import Spool
from retriever.backup.backups import BackupTools, RestorePlan, affordable, check_catalog
from retriever.catalog.deletions import sweep
from retriever.domain import scenes
from retriever.domain.archive import Row, generations_of, table_file
from retriever.domain.collection_names import new_collection
from retriever.domain.distinct_pairs import MOST_PAIRS
from retriever.domain.errors import ImageTakenDown, IndexParametersInvalid, SynonymsInvalid
from retriever.domain.generation import (
    MAX_DIMENSION,
    MOST_LIVE,
    Generation,
    GenerationState,
    IndexParameters,
    check_parameters,
)
from retriever.domain.product import MAX_PHOTOS
from retriever.domain.scenes import SceneText
from retriever.domain.synonyms import check_text, checked, loaded
from retriever.domain.words import MOST_LABEL
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.backups import Backups
from servicekit.artefacts.manifest import MANIFEST
from servicekit.jobs.queue import Job
from servicekit.jobs.reporting import Progress, reporting
from servicekit.telemetry import get_logger
from sightline_rules.filters import All

log = get_logger()

Products: TypeAlias = list[tuple[Row, tuple[str, ...]]]
"""Products with the ids of their photos."""
Names: TypeAlias = npt.NDArray[np.bytes_]
"""Ids of photos, in order."""

T = TypeVar("T")


class TableRows(Protocol):
    """The tables of an archive."""

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table, in batches."""


_SPACE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_IMAGE = re.compile(r"[0-9a-f]{64}")


async def restore(job: Job, deps: BackupTools, prefix: str) -> Mapping[str, Any]:
    """Do a job of kind RESTORE. Return its results. Raise JobCancelled, JobClaimLost.

    `prefix`: what the names of collections begin with.
    """
    return await reporting(partial(_restore, job, deps, prefix), job, deps.jobs)


async def _restore(
    job: Job, deps: BackupTools, prefix: str, progress: Progress
) -> Mapping[str, Any]:
    store, record, plan = deps.store, deps.record, job.given(RestorePlan)
    opened = partial(store.open, plan.source, plan.backup_id, unsigned=plan.unsigned)
    backup = await store.run(opened)
    with Spool(store.spool_folder()) as spool:
        reader, manifest = ArchiveReader(backup, spool, record.archived()), backup.manifest
        check_catalog(manifest, plan.source)
        generations = _checked(generations_of(manifest))
        rows = {table.name: manifest.rows(table.member) for table in record.archived()}
        progress.total = sum(rows.values()) + rows["images"]
        await store.run(lambda: reader.take_tables(progress))
        await store.run(lambda: check_tables(reader, record, progress))
        photos = await _take_photos(job, reader, deps, progress)
        # The backup is valid. From here on the record changes.
        left_out = await register(job, generations, prefix, record)
        await _write(job, reader, deps, progress)
        deleted = await _sweep(job, record, progress) if plan.force else 0
        await record.reach(job.catalog_id, reader.content.commit)
    return {
        "product_count": rows["products"],
        "image_count": photos.found,
        "lost_image_count": photos.lost,
        "vector_count": rows["vectors"],
        "deleted_count": deleted,
        "left_out_generation_count": left_out,
    }


# Checks


def check_tables(reader: ArchiveReader, record: Record, progress: Progress) -> None:
    """Check that the record accepts all rows, and that their references exist.

    Raises BackupDamaged.
    """
    names = _checked_images(reader.rows("images"))
    for products in joined(reader):
        progress.add(0)
        for row, image_ids in products:
            record.check_archived(row, image_ids)
        _check_known("product_images", names, [i for _, image_ids in products for i in image_ids])
    for batch in reader.rows("vectors"):
        progress.add(0)
        _check_vectors(batch)
        _check_known("vectors", names, [row["image_id"] for row in batch])
    for batch in reader.rows("pending"):
        progress.add(0)
        _check_known("pending", names, [row["image_id"] for row in batch])
    for count, batch in enumerate(reader.rows("synonyms")):
        progress.add(0)
        _check_synonyms(batch, count)
    for texts in ("scene_texts", "synonym_texts"):
        for batch in reader.rows(texts):
            progress.add(0)
            _check_scenes(texts, batch)
    count = 0
    for batch in reader.rows("distinct_pairs"):
        progress.add(0)
        count += len(batch)
        _check_pairs(batch, count)


def _check_pairs(batch: Sequence[Row], count: int) -> None:
    ordered = all(row["product_id"] < row["other_product_id"] for row in batch)
    timed = all(0 <= row["create_time"] < 2**62 for row in batch)
    if not ordered or not timed or count > MOST_PAIRS:
        raise _damaged("distinct_pairs", "holds an invalid pair, or too many")


def _check_scenes(table: str, batch: Sequence[Row]) -> None:
    for row in batch:
        made = SceneText.of(row["scene"], row["toml"], row["author"], row["comment"])
        wrong = [*scenes.problems(made.scene, made.comment, made.toml)]
        if (
            wrong
            or made.is_synonyms != (table == "synonym_texts")
            or made.version != row["version"]
            or not all(0 <= row[name] < 2**62 for name in ("number", "create_time"))
        ):
            raise _damaged(table, "holds an invalid scene")
        if made.is_synonyms:
            _check_rules(table, made.toml, check_text)


def _check_rules(table: str, text: str, check: Callable[[str], object]) -> None:
    try:
        check(text)
    except (SynonymsInvalid, ValueError, TypeError, RecursionError) as error:
        raise _damaged(table, "holds invalid rules") from error


def _check_synonyms(batch: Sequence[Row], before: int) -> None:
    for row in batch:
        _check_rules("synonyms", row["rules"], lambda text: checked(loaded(text)))
    if before + len(batch) > 1 or not all(0 <= row["update_time"] < 2**62 for row in batch):
        raise _damaged("synonyms", "holds the rules of several catalogs, or a wrong time")


def _checked_images(batches: Iterator[list[Row]]) -> Names:
    parts = [np.array([], "S64")]
    for batch in batches:
        for row in batch:
            numbers = (row["size"], row["width"], row["height"], row["create_time"] + 1)
            right = len(row.get("label") or "") <= MOST_LABEL and all(
                0 < n < 2**62 for n in numbers
            )
            if not right or not _IMAGE.fullmatch(row["image_id"]):
                raise _damaged("images", "holds an invalid photo")
        parts.append(np.array([row["image_id"] for row in batch], "S64"))
    names: Names = np.concatenate(parts)
    if (names[1:] == names[:-1]).any() or (np.sort(names) != names).any():
        raise _damaged("images", "is not in order")
    return names


def _check_known(table: str, names: Names, image_ids: Sequence[str]) -> None:
    try:
        wanted = np.array(image_ids, "S64")
    except UnicodeError as error:
        raise _damaged(table, "names a missing photo") from error
    places = np.minimum(np.searchsorted(names, wanted), max(0, len(names) - 1))
    if len(wanted) and (not len(names) or (names[places] != wanted).any()):
        raise _damaged(table, "names a missing photo")


def _check_vectors(batch: Sequence[Row]) -> None:
    for row in batch:
        named = _SPACE.fullmatch(row["space"]) and 0 < len(row["space_version"]) <= 256
        data = row["data"]
        if not named or not 0 < row["dimension"] <= MAX_DIMENSION:
            raise _damaged("vectors", "holds a vector without a space")
        if len(data) != 4 * row["dimension"]:
            raise _damaged("vectors", "holds a vector whose size differs from its dimension")
        values = np.frombuffer(data, "<f4")
        if not np.isfinite(values).all() or not values.any():
            raise _damaged("vectors", "holds a vector that is not finite, or all zero")


def _checked(generations: list[Generation]) -> list[Generation]:
    for made in generations:
        named = _SPACE.fullmatch(made.space) and 0 < len(made.space_version) <= 256
        sized = 0 < len(made.name) <= 128 and 0 < made.dimension <= MAX_DIMENSION
        times = all(0 <= time < 2**62 for time in (made.created, made.activated))
        if not named or not sized or not times or made.state is GenerationState.DROPPED:
            raise BackupDamaged(MANIFEST, "describes no index generations")
        try:
            check_parameters(made.parameters)
        except IndexParametersInvalid as error:
            raise BackupDamaged(MANIFEST, "describes no index generations") from error
    return generations


def joined(reader: TableRows) -> Iterator[Products]:
    """Yield products with their photos, in batches. Both tables are sorted by product id."""
    groups = groupby(
        chain.from_iterable(reader.rows("product_images")), lambda row: row["product_id"]
    )
    ahead = next(groups, None)
    last = ""
    for batch in reader.rows("products"):
        made: Products = []
        for row in batch:
            if row["product_id"] <= last:
                raise _damaged("products", "is not in order")
            last = row["product_id"]
            image_ids: tuple[str, ...] = ()
            if ahead is not None and ahead[0] == last:
                image_ids = _placed(list(islice(ahead[1], MAX_PHOTOS + 1)))
                ahead = next(groups, None)
            made.append((row, image_ids))
        yield made
    if ahead is not None:
        raise _damaged("product_images", "names a missing product, or is not sorted")


def _placed(links: Sequence[Row]) -> tuple[str, ...]:
    image_ids = tuple(link["image_id"] for link in links)
    places = [link["position"] for link in links]
    if places != list(range(len(links))) or len(set(image_ids)) != len(links):
        raise _damaged("product_images", "holds unsorted photos")
    return image_ids


def _damaged(table: str, description: str) -> BackupDamaged:
    return BackupDamaged(table_file(table), description)


# Writes


async def _take_photos(
    job: Job, reader: ArchiveReader, deps: BackupTools, progress: Progress
) -> PhotoReader:
    """Check and store the photos. No product refers to them yet."""
    photos = await deps.store.run(reader.photos)
    await _put_photos(job, photos, reader.rows("images"), deps, progress)
    await deps.store.run(lambda: reader.check_end(photos))
    return photos


async def _put_photos(
    job: Job,
    reader: PhotoReader,
    batches: Iterator[list[Row]],
    deps: BackupTools,
    progress: Progress,
) -> None:
    while batch := await deps.store.run(lambda: next(batches, None)):
        for group in affordable(batch):
            photos = await deps.store.run(partial(reader.photos, group))
            await asyncio.gather(*(_put(job.catalog_id, *photo, deps.photos) for photo in photos))
            progress.add(len(group))


async def _put(catalog_id: str, image_id: str, data: bytes, photos: Photos) -> None:
    with contextlib.suppress(ImageTakenDown):  # the record stores no such photo either
        await photos.put(catalog_id, image_id, data)


async def register(job: Job, generations: Sequence[Generation], prefix: str, record: Record) -> int:
    """Create a generation with a new collection for each that the catalog has no equal of. Return
    how many exceeded the limit; active ones are created first.

    The worker fills it from the record. It is active if its space has no other.
    """
    # Vectors of products are not in the archive: callers supply theirs again, and the worker
    # recomputes those of texts.
    ordered = sorted((g for g in generations if not g.given), key=lambda g: not g.active)
    left_out = 0
    for held in ordered:
        registered = False
        while not registered:  # the worker may create a space's first generation meanwhile
            known = await record.history(job.catalog_id)
            names = {each.name: _name_here(each, known, job) for each in ordered}
            if _alike(held, known) is not None:
                break
            if _is_full(held.space, known):
                log.warning("generation not restored", generation=held.name, most=MOST_LIVE)
                left_out += 1
                break
            made = _made(held, names, job, prefix)
            found = await record.create_generation(made)
            registered = found.collection == made.collection
    return left_out


def _is_full(space: str, known: Sequence[Generation]) -> bool:
    live = [g for g in known if g.space == space and g.state is not GenerationState.DROPPED]
    return len(live) >= MOST_LIVE


def _alike(held: Generation, known: Sequence[Generation]) -> Generation | None:
    """Return a live generation with the same vectors and search parameters."""

    def of(each: Generation) -> tuple[str, str, IndexParameters]:
        return each.space, each.space_version, each.parameters

    live = (each for each in known if each.state is not GenerationState.DROPPED)
    return next((each for each in live if of(each) == of(held)), None)


def _name_here(held: Generation, known: Sequence[Generation], job: Job) -> str:
    """Return the name that a generation of the archive has, or will have, in the catalog."""
    alike = _alike(held, known)
    if alike is not None:
        return alike.name
    taken = any(each.name == held.name for each in known)
    return f"{held.name}-{job.id[-8:]}" if taken else held.name


def _made(held: Generation, names: Mapping[str, str], job: Job, prefix: str) -> Generation:
    name, before = names[held.name], names.get(held.predecessor, "")
    return replace(
        held,
        catalog_id=job.catalog_id,
        name=name,
        collection=new_collection(prefix, held.space),
        predecessor=before if before != name else "",
        applied_seq=0,
        applied_time=0,
        check_wanted=True,
        # Only verifications of this installation count.
        verification=None,
        forced=False,
    )


async def _write(
    job: Job,
    reader: ArchiveReader,
    deps: BackupTools,
    progress: Progress,
) -> None:
    """Write photos and vectors first: the products that follow can be indexed at once."""
    record, catalog, before = deps.record, job.catalog_id, job.given(RestorePlan).before
    each = partial(in_turn, deps.store, progress)
    await each(reader.rows("images"), partial(record.restore_images, catalog))
    await each(reader.rows("vectors"), partial(record.restore_vectors, catalog))
    await each(joined(reader), partial(record.restore_products, catalog, before))
    await write_others(each, reader, record, catalog, before)
    progress.add(reader.manifest.rows(table_file("product_images")))


WriteEach: TypeAlias = Callable[
    [Iterator[list[Any]], Callable[[list[Any]], Awaitable[object]]], Awaitable[None]
]
"""Writes batches, each in a transaction; see `in_turn`."""


async def write_others(
    each: WriteEach, tables: TableRows, record: Record, catalog: str, before: int
) -> None:
    """Write the tables that follow the products."""
    await each(tables.rows("pending"), partial(record.restore_pending, catalog))
    await each(tables.rows("synonyms"), partial(record.restore_synonyms, catalog, before))
    for texts in ("scene_texts", "synonym_texts"):
        await each(_by_scene(tables.rows(texts)), partial(record.restore_scene, catalog))
    await each(tables.rows("distinct_pairs"), partial(record.restore_pairs, catalog))


def _by_scene(batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """Yield the texts of each scene, which are in order."""
    for _, texts in groupby(chain.from_iterable(batches), lambda row: row["scene"]):
        yield list(texts)


async def in_turn(
    store: Backups,
    progress: Progress,
    batches: Iterator[list[T]],
    write: Callable[[list[T]], Awaitable[object]],
) -> None:
    """Write batches, each in a transaction, with a pause as long as each write."""
    while batch := await store.run(lambda: next(batches, None)):
        began = time.monotonic()
        await write(batch)
        progress.add(len(batch))
        # SQLite does not queue the writers of several processes: the others would starve.
        await asyncio.sleep(time.monotonic() - began)


async def _sweep(job: Job, record: Record, progress: Progress) -> int:
    """Delete products that the backup does not contain. Return their number."""
    deleted = 0
    async for count in sweep(job.catalog_id, All(), job.given(RestorePlan).before, record):
        deleted += count
        progress.add(0)
    return deleted
