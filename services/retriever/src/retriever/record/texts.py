"""Products whose text lacks a vector in a live version of the space of texts.

The pending row names the product, not the text: the old vector is used until the new one is stored,
and the worker reads the current text when it embeds.
"""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.product import ProductContent
from retriever.domain.texts import digest_of, text_of
from retriever.domain.vectors import Floats
from retriever.record import statements
from retriever.record.freshness import holds_up
from retriever.record.products import read_products
from retriever.record.session import Session
from retriever.record.tables import pending, product_vectors
from servicekit.sql import conditions

_HELD = sa.select(
    product_vectors.c.product_id,
    product_vectors.c.row_id,
    product_vectors.c.digest,
    product_vectors.c.data,
).where(
    conditions.among(product_vectors, "product_id"),
    conditions.on(product_vectors, **statements.BOUND_VERSION),
)
_DIGESTS = _HELD.with_only_columns(product_vectors.c.product_id, product_vectors.c.digest)
_NO_TEXT = digest_of("")


def want_texts(
    session: Session,
    live: Iterable[Generation],
    written: Mapping[str, tuple[int, ProductContent]],
) -> None:
    """Make written products pending if their text has no vector yet.

    `live`: every live generation. `written`: commit and content by product id. Products that failed
    or were given up are retried.
    """
    targets = {(each.space, each.space_version): each for each in live if each.of_texts}
    if not targets:
        return
    digests = {name: digest_of(text_of(content)) for name, (_, content) in written.items()}
    for target in targets.values():
        known = session.look_up(_DIGESTS, written, **statements.version_of(target))
        held = {row.product_id: row.digest for row in known}
        changed = [name for name in written if held.get(name, _NO_TEXT) != digests[name]]
        for chunk in conditions.chunks(changed):
            mine = (
                statements.held_by(target, product_vectors),
                product_vectors.c.product_id.in_(chunk),
            )
            former = statements.pending_of(target, chunk), sa.or_(pending.c.failed, ~holds_up())
            session.connection.execute(sa.update(product_vectors).where(*mine).values(digest=""))
            # The failure may be due to the old text; these rows delay no caller.
            session.connection.execute(sa.delete(pending).where(*former))
        rows = [
            statements.pending_row(target, name, written[name][0], session.now) for name in changed
        ]
        statements.want(session.connection, rows)


def drop_blank(
    connection: Connection, now: int, generation: Generation, product_ids: Sequence[str]
) -> None:
    """Delete pending rows and vectors of products without a text."""
    session = Session(connection, generation.catalog_id, now)
    texts = read_texts(connection, generation, product_ids)
    blank = [name for name in product_ids if not texts.get(name)]
    found = session.look_up(_HELD, blank, **statements.version_of(generation))
    rows = {row.product_id: row.row_id for row in found}
    mine = statements.held_by(generation, product_vectors)
    for chunk in conditions.chunks(blank):
        connection.execute(sa.delete(pending).where(statements.pending_of(generation, chunk)))
        held = sa.delete(product_vectors).where(mine, product_vectors.c.product_id.in_(chunk))
        connection.execute(held)
    taken = zip(session.take(len(rows)), rows.items(), strict=True)
    session.note((seq, name, seq, [row_id]) for seq, (name, row_id) in taken)


def read_texts(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> dict[str, str]:
    """Return the texts of existing products; empty: the product has no text."""
    products = read_products(connection, generation.catalog_id, product_ids)
    return {product_id: text_of(product.content) for product_id, product in products.items()}


def read_embedded(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> dict[str, tuple[str, Floats]]:
    """Return by product the embedded text and its vector; not of pending texts."""
    texts = read_texts(connection, generation, product_ids)
    rows = conditions.look_up(connection, _HELD, texts, statements.version_of(generation))
    return {
        row.product_id: (texts[row.product_id], statements.to_floats(row.data))
        for row in rows
        if row.digest == digest_of(texts[row.product_id])
    }
