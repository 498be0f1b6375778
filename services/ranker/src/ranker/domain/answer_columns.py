"""Products of a recorded answer: as packed columns, which are stored, and one by one."""

from collections.abc import Iterable
from itertools import accumulate

import numpy as np

from ranker.domain.answer_arrays import read_record
from ranker.domain.arrays import numbers
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb

UNKNOWN = event_pb2.EVENT_TYPE_UNSPECIFIED

MOST_PRODUCTS = 2000
MOST_BRANCHES = 32
"""As many as a set of branches has bits."""
MARGIN = "margin"
"""Part of scores that is computed from prices and costs."""


def page(record: pb.AnswerRecord, offset: int, limit: int, *, as_columns: bool) -> None:
    """Reduce the record to at most `limit` products (0: all) from `offset` on, in the requested
    form, and set their total number."""
    total = len(record.columns.product_ids)
    start = min(offset, total)
    part = cut(record.columns, start, min(start + limit if limit else total, total))
    if as_columns:
        if part is not record.columns:
            record.columns.CopyFrom(part)
    else:
        record.products.extend(to_products(part))
        record.ClearField("columns")
    record.total_count = total


def cut(whole: pb.AnsweredColumns, start: int, end: int) -> pb.AnsweredColumns:
    """Return the columns of the products from `start` to before `end`."""
    count = len(whole.product_ids)
    if start <= 0 and end >= count:
        return whole
    piece, wide = slice(start, end), slice(8 * start, 8 * end)
    bounds = [0, *accumulate(whole.collapsed_counts)]
    first, last = (bounds[min(place, len(bounds) - 1)] for place in (start, end))
    return pb.AnsweredColumns(
        product_ids=whole.product_ids[piece],
        raw_scores=whole.raw_scores[wide],
        parts=[
            pb.PackedPart(name=one.name, values=one.values[wide], share=one.share)
            for one in whole.parts
        ],
        matched_image_ids=whole.matched_image_ids[piece],
        branch_names=whole.branch_names,
        branches=whole.branches[piece],
        collapsed_counts=whole.collapsed_counts[piece],
        collapsed_product_ids=whole.collapsed_product_ids[first:last],
        score_ranks=whole.score_ranks[piece] or range(start + 1, min(end, count) + 1),
        moves=[pb.MoveColumn(cause=one.cause, places=one.places[piece]) for one in whole.moves],
        propensities=whole.propensities[wide],
        scores=whole.scores[wide],
        score_event=whole.score_event,
    )


def to_products(given: pb.AnsweredColumns) -> Iterable[pb.AnsweredProduct]:
    """Yield the products of unpaged columns; reasons are not stored."""
    parts = [(part.name, numbers(part.values).tolist()) for part in given.parts]
    moves = [(column.cause, column.places) for column in given.moves]
    bounds = [0, *accumulate(given.collapsed_counts)]
    raw_scores, chances = (numbers(one).tolist() for one in (given.raw_scores, given.scores))
    propensities = numbers(given.propensities).tolist()
    for place, item in enumerate(given.product_ids):
        mask = given.branches[place] if given.branches else 0
        counted = bounds[place : place + 2] if given.collapsed_counts else (0, 0)
        made = pb.AnsweredProduct(
            product_id=item,
            raw_score=raw_scores[place] if raw_scores else 0.0,
            parts=[answer_pb2.ScorePart(name=name, value=values[place]) for name, values in parts],
            matched_image_id=given.matched_image_ids[place] if given.matched_image_ids else "",
            branches=[name for bit, name in enumerate(given.branch_names) if mask >> bit & 1],
            collapsed_product_ids=given.collapsed_product_ids[slice(*counted)],
            score_rank=given.score_ranks[place] if given.score_ranks else place + 1,
            moves=[
                answer_pb2.Move(cause=cause, places=to[place]) for cause, to in moves if to[place]
            ],
            propensity=propensities[place] if propensities else 1.0,
        )
        if chances and not np.isnan(chances[place]):
            made.score, made.score_event = chances[place], given.score_event
        yield made


def problems(given: pb.AnsweredColumns) -> Iterable[tuple[str, str]]:
    """Yield problems of columns from a caller, as (field, problem)."""
    count = len(given.product_ids)
    if count > MOST_PRODUCTS:
        yield "product_ids", f"has more than {MOST_PRODUCTS} entries"
    if len(given.branch_names) > MOST_BRANCHES:
        yield "branch_names", f"has more than {MOST_BRANCHES} entries"
    lengths = [
        ("raw_scores", len(given.raw_scores) / 8),
        ("propensities", len(given.propensities) / 8),
        ("scores", len(given.scores) / 8),
        *((f"parts[{place}].values", len(one.values) / 8) for place, one in enumerate(given.parts)),
        *((f"moves[{place}].places", len(one.places)) for place, one in enumerate(given.moves)),
        *(
            (name, len(getattr(given, name)))
            for name in ("matched_image_ids", "branches", "collapsed_counts", "score_ranks")
        ),
    ]
    whole = ("parts", "moves")
    for name, length in lengths:
        if length != count and (length or name.startswith(whole)):
            yield name, f"has {length:g} entries for {count} products"
    counts = given.collapsed_counts
    if min(counts, default=0) < 0 or sum(counts) != len(given.collapsed_product_ids):
        yield "collapsed_counts", "do not add up to the number of near-duplicates"


def without_costs(content: bytes) -> bytes:
    """Return the content of a record without costs and without numbers that are computed from them.
    The order stays: its shopper saw it."""
    record = read_record(content)
    if record.HasField("inputs"):
        asked = record.inputs.request
        for name in ("cost_micros", "cost_currencies"):
            asked.candidates.ClearField(name)
        kept = [each for each in asked.branches if each.branch != MARGIN]
        del asked.branches[:]
        asked.branches.extend(kept)
    if any(each.name == MARGIN for each in record.columns.parts):
        record.columns.ClearField("parts")
        record.columns.ClearField("raw_scores")
        record.columns.ClearField("scores")
    return record.SerializeToString()
