"""One vector for each product, out of those of its photos."""

from itertools import groupby

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats
from retriever.record.parts import held_by, row_source, to_floats


def read_means(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[tuple[str, Floats]]:
    """The first products behind `after` that have a vector, each with the mean of its photos'
    vectors, or its own; at most `limit`, by id."""
    row, vector, rows = row_source(generation)
    product_id = row.c.product_id
    mine = (
        row.c.catalog_id == generation.catalog_id,
        held_by(generation, vector),
        product_id > after,
    )
    page = sa.select(product_id).select_from(rows).where(*mine).distinct()
    chosen = connection.execute(page.order_by(product_id).limit(limit)).scalars().all()
    if not chosen:
        return []
    # In a fixed order, so that the same photos have the same mean, bit for bit.
    order = (product_id,) if generation.of_products else (product_id, row.c.position)
    found = connection.execute(
        sa.select(product_id, vector.c.data)
        .select_from(rows)
        .where(*mine, product_id <= chosen[-1])
        .order_by(*order)
    )
    return [
        (
            product,
            np.mean([to_floats(one.data) for one in of], axis=0, dtype=np.float64).astype("<f4"),
        )
        for product, of in groupby(found, key=lambda one: one.product_id)
    ]
