"""Columns of products and of answers as messages, and back."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from servicekit.errors import Internal
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline_core.answer import AnswerOrder
from sightline_core.branch import Branch
from sightline_core.columns import ProductColumns, Stamp
from sightline_core.opaque_messages import ProductRow
from sightline_core.reasons import Move
from sightline_rules import categories, kinds
from sightline_rules.duplicates import NO_HASH
from sightline_rules.fields import CANDIDATE, Field
from sightline_rules.kinds import FieldKind

Message = candidate_pb2.CandidateColumns


def _unknown(kind: FieldKind) -> tuple[Any, ...]:
    """Return the cells of a product that lacks a field of this kind."""
    match kind:
        case kinds.MoneyKind():
            return -1, ""
        case kinds.StepsKind():
            return (-1,)
        case kinds.TimeKind():
            return (0,)
        case kinds.ChoiceKind():
            return (product_pb2.AVAILABILITY_UNSPECIFIED,)
        case kinds.TextsKind():
            return (candidate_pb2.TextList(),)
        case kinds.AttributesKind():
            return (candidate_pb2.AttributeList(),)
        case _:
            return ("",)


BRANCHES = [str(branch) for branch in Branch]
"""Names of the bits of an order's branches, as messages have them."""
_UNKNOWN: Mapping[str, Any] = {"product_ids": "", "image_hashes": NO_HASH} | {
    name: cell
    for field in CANDIDATE
    for name, cell in zip(field.candidate, _unknown(field.kind), strict=True)
}
"""The columns, each with the value that stands for "unknown"."""
_column = itemgetter(1)


def columns(message: candidate_pb2.CandidateColumns, stamp: Stamp | None = None) -> ProductColumns:
    """Return the columns of a message, which are of a stamp. Raises Internal where they differ in
    length."""
    count = len(message.product_ids)
    if {*map(len, map(_column, message.ListFields()))} - {count}:
        raise Internal("the retriever's columns differ in length", reason="INTERNAL")
    return ProductColumns(
        product_ids=list(message.product_ids),
        # Rarely read, so not copied.
        parent_ids=message.parent_ids,
        image_hashes=message.image_hashes,
        create_time_micros=message.create_time_micros,
        blocks=((message, range(count)),),
        stamp=stamp,
    )


def columns_message(value: ProductColumns) -> candidate_pb2.CandidateColumns:
    """Return the message of columns. Columns of a single message are returned unchanged."""
    kept = [_kept(_message(source), rows) for source, rows in value.blocks]
    if len(kept) == 1:
        return kept[0]
    message, count = Message(), 0
    names = [name for name in _UNKNOWN if any(len(getattr(block, name)) for block in kept)]
    for block in kept:
        message.MergeFrom(block)
        count += len(block.product_ids)
        for name in names:
            column = getattr(message, name)
            if len(column) < count:
                column.extend([_UNKNOWN[name]] * (count - len(column)))
    return message


def _message(source: object) -> Message:
    """Return the columns of a block: a message, or columns that a retriever of this process reads
    when they are needed."""
    if isinstance(source, Message):
        return source
    message = Message()
    for name in _UNKNOWN:
        getattr(message, name).extend(getattr(source, name))
    return message


def _kept(message: Message, rows: Sequence[int]) -> Message:
    """Return only these rows (ascending) of columns."""
    if len(rows) == len(message.product_ids):
        return message
    kept, wanted = Message(), frozenset(rows)
    kept.CopyFrom(message)
    gone = [row for row in range(len(message.product_ids)) if row not in wanted]
    gone.reverse()
    for _, column in kept.ListFields():
        for row in gone:
            del column[row]
    return kept


def columns_of(products: Sequence[ProductRow]) -> candidate_pb2.CandidateColumns:
    """Return the columns of whole products in the retriever's form, without hashes."""
    message = Message(product_ids=[item.product_id for item in products])
    for field in CANDIDATE:
        cells = [_cells(field, item) for item in products]
        for name, column in zip(field.candidate, zip(*cells, strict=True), strict=False):
            getattr(message, name).extend(column)
    return message


def _cells(field: Field, product: Any) -> tuple[Any, ...]:
    """Return the cells of one field of a product."""
    value: Any = getattr(product, field.wire)
    match field.kind:
        case kinds.CategoryKind():
            return (categories.join(value),)
        case kinds.MoneyKind() if product.HasField(field.wire):
            return value.units * 1_000_000 + value.nanos // 1_000, value.currency_code
        case kinds.StepsKind() as kind if product.HasField(field.wire):
            return (round(kind.place(kind.plain(value))),)
        case kinds.MoneyKind() | kinds.StepsKind():
            return _unknown(field.kind)
        case kinds.TimeKind():
            return (value.ToMicroseconds(),)
        case kinds.TextsKind():
            return (candidate_pb2.TextList(values=value),)
        case kinds.AttributesKind():
            return (candidate_pb2.AttributeList(values=value),)
        case _:
            return (value,)


def columns_of_rows(products: Sequence[ProductRow]) -> ProductColumns:
    """Return the columns of whole products."""
    return columns(columns_of(products))


def order_message(order: AnswerOrder) -> pb.AnsweredColumns:
    """Return the message of an order that was not made by the ranker: no moves, no calibrated
    scores."""
    return pb.AnsweredColumns(
        product_ids=order.product_ids,
        raw_scores=_packed(order.raw_scores),
        parts=[pb.PackedPart(name=name, values=_packed(values)) for name, values in order.parts],
        matched_image_ids=order.image_ids,
        branch_names=BRANCHES,
        branches=order.branches,
        collapsed_counts=[len(ids) for ids in order.collapsed],
        collapsed_product_ids=[product_id for ids in order.collapsed for product_id in ids],
        score_ranks=order.score_ranks,
    )


def order_of(message: pb.AnsweredColumns, offset: int, total: int) -> AnswerOrder:
    """Return the part of an order that begins at `offset`."""
    ids, collapsed = list(message.product_ids), iter(message.collapsed_product_ids)
    moves = [(column.cause, column.places) for column in message.moves]
    return AnswerOrder(
        product_ids=ids,
        raw_scores=_unpacked(message.raw_scores),
        parts=[(part.name, _unpacked(part.values)) for part in message.parts],
        image_ids=list(message.matched_image_ids),
        branches=_bits(message),
        collapsed=[[next(collapsed) for _ in range(n)] for n in message.collapsed_counts],
        score_ranks=list(message.score_ranks),
        moves=[
            [Move(cause=cause, places=places[row]) for cause, places in moves if places[row]]
            for row in range(len(ids) if moves else 0)
        ],
        chances=_unpacked(message.scores),
        event=message.score_event,
        offset=offset,
        total=total,
    )


def _bits(message: pb.AnsweredColumns) -> list[int]:
    """Return the bit set of branches of each product; unknown branches are omitted."""
    names = list(message.branch_names)
    if names == BRANCHES[: len(names)]:
        return list(message.branches)
    own = {name: 1 << bit for bit, name in enumerate(BRANCHES)}
    ours = [own.get(name, 0) for name in names]
    return [
        sum(each for bit, each in enumerate(ours) if bits >> bit & 1) for bits in message.branches
    ]


def _packed(values: Sequence[float]) -> bytes:
    return np.asarray(values, "<f8").tobytes()


def _unpacked(data: bytes) -> list[float]:
    values: list[float] = np.frombuffer(data, "<f8").tolist()
    return values
