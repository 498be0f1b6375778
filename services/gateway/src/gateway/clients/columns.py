"""Columns of products and of answers as messages, and back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gateway.model.answer import AnswerOrder
from gateway.model.branch import Branch
from gateway.model.carried import ProductRow
from gateway.model.columns import ProductColumns
from gateway.model.reasons import Move
from servicekit.errors import Internal
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline_rules import categories
from sightline_rules.duplicates import NO_HASH

Message = candidate_pb2.CandidateColumns

_UNKNOWN: Mapping[str, Any] = {
    "product_ids": "",
    "parent_ids": "",
    "category_paths": "",
    "brands": "",
    "price_micros": -1,
    "currencies": "",
    "availabilities": product_pb2.AVAILABILITY_UNSPECIFIED,
    "tags": candidate_pb2.TextList(),
    "attributes": candidate_pb2.AttributeList(),
    "create_time_micros": 0,
    "image_hashes": NO_HASH,
}
"""The columns, with the value of a product of which nothing is known."""


def columns(message: candidate_pb2.CandidateColumns) -> ProductColumns:
    """What is said of products; raises Internal where columns differ in length."""
    count = len(message.product_ids)
    if any(len(getattr(message, name)) not in (0, count) for name in _UNKNOWN):
        raise Internal("the retriever's columns differ in length", reason="INTERNAL")
    return ProductColumns(
        product_ids=list(message.product_ids),
        # Read seldom, so not copied.
        parent_ids=message.parent_ids,
        image_hashes=message.image_hashes,
        create_time_micros=message.create_time_micros,
        blocks=((message, range(count)),),
    )


def columns_message(value: ProductColumns) -> candidate_pb2.CandidateColumns:
    """The message of what is said of products: as it came, where they all came together."""
    kept = [_kept(cast(Message, source), rows) for source, rows in value.blocks]
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


def _kept(message: Message, rows: Sequence[int]) -> Message:
    """Only these rows, rising, of columns."""
    if len(rows) == len(message.product_ids):
        return message
    kept, wanted = Message(), frozenset(rows)
    kept.CopyFrom(message)
    gone = [row for row in range(len(message.product_ids)) if row not in wanted]
    for name in _UNKNOWN:
        column = getattr(kept, name)
        for row in reversed(gone) if len(column) else ():
            del column[row]
    return kept


def columns_of(products: Sequence[ProductRow]) -> candidate_pb2.CandidateColumns:
    """The columns of whole products, as the retriever makes them; they have no hashes."""
    products = cast(Sequence[product_pb2.Product], products)
    return candidate_pb2.CandidateColumns(
        product_ids=[item.product_id for item in products],
        parent_ids=[item.parent_id for item in products],
        category_paths=[categories.join(item.category_path) for item in products],
        brands=[item.brand for item in products],
        price_micros=[
            item.price.units * 1_000_000 + item.price.nanos // 1_000
            if item.HasField("price")
            else -1
            for item in products
        ],
        currencies=[item.price.currency_code for item in products],
        availabilities=[item.availability for item in products],
        tags=[candidate_pb2.TextList(values=item.tags) for item in products],
        attributes=[candidate_pb2.AttributeList(values=item.attributes) for item in products],
        create_time_micros=[item.create_time.ToMicroseconds() for item in products],
    )


def columns_of_rows(products: Sequence[ProductRow]) -> ProductColumns:
    """The columns of whole products."""
    return columns(columns_of(products))


def order_message(order: AnswerOrder) -> pb.AnsweredColumns:
    """A whole order that the ranker did not make, packed: nothing in it was moved or calibrated."""
    return pb.AnsweredColumns(
        product_ids=order.product_ids,
        raw_scores=_packed(order.raw_scores),
        parts=[pb.PackedPart(name=name, values=_packed(values)) for name, values in order.parts],
        matched_image_ids=order.image_ids,
        branch_names=list(Branch),
        branches=order.branches,
        collapsed_counts=[len(ids) for ids in order.collapsed],
        collapsed_product_ids=[product_id for ids in order.collapsed for product_id in ids],
        score_ranks=order.score_ranks,
    )


def order_of(message: pb.AnsweredColumns, offset: int, total: int) -> AnswerOrder:
    """A part of an order that begins at `offset`."""
    ids, collapsed = list(message.product_ids), iter(message.collapsed_product_ids)
    moves = [(column.cause, column.places) for column in message.moves]
    return AnswerOrder(
        product_ids=ids,
        raw_scores=_unpacked(message.raw_scores),
        parts=[(part.name, _unpacked(part.values)) for part in message.parts],
        image_ids=list(message.matched_image_ids),
        branches=list(_bits(message)),
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


def _bits(message: pb.AnsweredColumns) -> Iterator[int]:
    """The branches of each product, by our own bits; one that is not known any more is none."""
    own = {name: 1 << bit for bit, name in enumerate(Branch)}
    ours = [own.get(cast(Branch, name), 0) for name in message.branch_names]
    for bits in message.branches:
        yield sum(each for bit, each in enumerate(ours) if bits >> bit & 1)


def _packed(values: Sequence[float]) -> bytes:
    return np.asarray(values, "<f8").tobytes()


def _unpacked(data: bytes) -> list[float]:
    values: list[float] = np.frombuffer(data, "<f8").tolist()
    return values
