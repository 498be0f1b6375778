"""Cuts pages out of an answer's order: the record decides anew what may be shown."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.fallbacks import cause_of, degradations
from gateway.model import (
    Answer,
    AnsweredProduct,
    AnswerMissing,
    AnswerRecord,
    NothingAvailable,
    Peer,
    Result,
)
from gateway.plan import MOST_ASKED
from gateway.titles import titles_of, worded
from gateway.tokens import Attribution, Page, attribution_token, page_token, read_page_token
from gateway.trail import Run
from servicekit.errors import ServiceError, Unavailable
from servicekit.requests import PageTokenInvalid

HYDRATE = "hydrate"
READ_AHEAD = 100
"""Products that are read at once, at least, when some of the first ones are gone."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A page."""

    results: tuple[Result, ...]
    offset: int
    """Products of the order that this and earlier pages went through."""
    served: int
    """Products that this and earlier pages served."""


async def cut(
    run: Run, order: Sequence[AnsweredProduct], *, offset: int = 0, served: int = 0
) -> Cut:
    """A page of products from `offset` on, as the record has them now.

    A product that vanished or no longer passes is skipped and the next one takes its place and
    rank. Raises NothingAvailable when the record can't be read at all; a record lost halfway
    leaves a short page, and that is noted. Titles for the reasons are read side by side with it.
    """
    ahead = order[offset : offset + run.query.results_a_page]
    asking = asyncio.create_task(titles_of(run, ahead))
    try:
        page = await _read(run, order, offset, served)
        named = worded(page.results, await asking, run.query.language_code)
        return replace(page, results=named)
    finally:
        asking.cancel()


async def _read(run: Run, order: Sequence[AnsweredProduct], offset: int, served: int) -> Cut:
    """The page with reasons as the ranker words them."""
    size, results = run.query.results_a_page, list[Result]()
    count = size
    while len(results) < size and offset < len(order):
        batch = order[offset : offset + min(count, MOST_ASKED)]
        try:
            async with run.trail.stage(HYDRATE, run.plan.ends.answer):
                rows = await run.house.peers.retriever.products(
                    run.query.catalog_id, [item.product_id for item in batch], run.plan.scope
                )
        except ServiceError as error:
            run.trail.fail(HYDRATE, Peer.RETRIEVER, error)
            if not results:
                raise NothingAvailable(loss.cause for loss in run.trail.losses) from error
            break
        # One call a vanished product would be many, where a whole catalogue was exchanged.
        count = max(size, READ_AHEAD)
        by_id = {row.product_id: row for row in rows}
        for answered in batch:
            if len(results) == size:
                break
            offset += 1
            if answered.product_id in by_id:
                rank = served + len(results) + 1
                results.append(Result(by_id[answered.product_id], rank, answered))
    return Cut(tuple(results), offset, served + len(results))


async def later_page(run: Run) -> Answer:
    """A page read from the answer's record; what may be shown is checked anew."""
    here = read_page_token(run.query.page_token, run.digests.callers)
    record = await _recorded(run, here)
    page = await cut(run, record.products, offset=here.offset, served=here.served)
    more = page.offset < len(record.products)
    return Answer(
        results=page.results,
        no_good_match=here.no_good_match,
        degradations=(
            # What reading the first page lost is that page's alone.
            *(item for item in record.degradations if item.stage != HYDRATE),
            *degradations(run.trail.losses, (), ()),
        ),
        timings=run.trail.by_start,
        versions=record.versions,
        freshness=None,
        missing_product_ids=(),
        hidden_count=record.hidden_count,
        attribution_token=attribution(run, record),
        next_page_token=(
            next_page(run, record, page, no_good_match=here.no_good_match) if more else ""
        ),
    )


async def _recorded(run: Run, here: Page) -> AnswerRecord:
    """The record that a page token points to, if it is this request's."""
    catalog_id = run.query.catalog_id
    record = run.house.answers.find(catalog_id, here.answer_id)
    if record is None:
        try:
            async with run.trail.stage("record", run.plan.ends.rank):
                record = await run.house.peers.ranker.answer(catalog_id, here.answer_id)
        except Unavailable as error:
            raise NothingAvailable([cause_of(Peer.RANKER, error)]) from error
    if record.request_digest != run.digests.stored:
        raise PageTokenInvalid("belongs to another request: send the same one, or no token")
    if 0 < record.expire_micros < time.time() * 1e6:
        raise AnswerMissing
    return record


def next_page(run: Run, record: AnswerRecord, page: Cut, *, no_good_match: bool) -> str:
    """The token of the page after this one."""
    return page_token(
        Page(
            answer_id=record.answer_id,
            offset=page.offset,
            served=page.served,
            digest=run.digests.callers,
            no_good_match=no_good_match,
        )
    )


def attribution(run: Run, record: AnswerRecord) -> str:
    """The token that joins events to this answer."""
    return attribution_token(
        Attribution(
            answer_id=record.answer_id,
            catalog_id=run.query.catalog_id,
            scene=record.versions.scene,
            scene_version=record.versions.scene_version,
            model_version=record.versions.model_version,
            seed=record.seed,
            expire_micros=record.expire_micros,
        )
    )
