"""Updates of prices and availability alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import field_codecs
from retriever.domain.errors import MarketNotFound, ProductNotFound
from retriever.domain.product import Offer, Stored
from retriever.record.products import read_contents, values_etag
from retriever.record.session import Session
from retriever.record.tables import products
from servicekit.errors import ServiceError
from sightline_rules.fields import MARKETS
from sightline_rules.markets import MarketList

_OFFER = ("price_micros", "currency", "availability", "markets")
_SET_OFFER = (
    sa.update(products)
    .where(
        products.c.catalog_id == sa.bindparam("of_catalog"),
        products.c.product_id == sa.bindparam("of_product"),
    )
    .values({name: sa.bindparam(name) for name in (*_OFFER, "update_time", "etag", "seq")})
)


def _offered(offer: Offer, markets: str | None) -> dict[str, Any] | None:
    """Return the column values that an offer sets; None if the product is not listed in its
    market. `markets`: the cell of the product's markets."""
    if offer.market_id:
        return _offered_there(offer, field_codecs.markets(markets))
    values: dict[str, Any] = {}
    if offer.price is not None:
        values |= {"price_micros": offer.price.micros, "currency": offer.price.currency}
    if offer.availability is not None:
        values["availability"] = str(offer.availability)
    return values


def _offered_there(offer: Offer, markets: MarketList) -> dict[str, Any] | None:
    if not any(each.market_id == offer.market_id for each in markets):
        return None
    changed = [
        replace(
            each,
            price=offer.price or each.price,
            availability=offer.availability or each.availability,
        )
        if each.market_id == offer.market_id
        else each
        for each in markets
    ]
    return field_codecs.cells(MARKETS, changed)


def offer(
    connection: Connection, now: int, catalog_id: str, offers: Sequence[Offer]
) -> tuple[list[Stored | ServiceError], int]:
    """Set prices and availabilities, each product at most once. Return an outcome per offer, and
    the newest commit.

    An offer that changes nothing makes no commit.
    """
    session = Session(connection, catalog_id, now)
    held = read_contents(connection, catalog_id, [offer.product_id for offer in offers])
    outcomes: list[Stored | ServiceError] = []
    changed: list[tuple[dict[str, Any], str]] = []
    for offer in offers:
        known = held.get(offer.product_id)
        if known is None:
            outcomes.append(ProductNotFound())
            continue
        offered = _offered(offer, known.values["markets"])
        if offered is None:
            outcomes.append(MarketNotFound())
            continue
        values = known.values | offered
        etag = values_etag(values, known.image_ids)
        if etag != known.etag:
            changed.append((values, etag))
        outcomes.append(Stored(offer.product_id, etag, known.image_ids))
    if changed:
        _set_offers(session, changed)
    return outcomes, session.head


def _set_offers(session: Session, changed: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Store changed prices and availabilities. `changed`: values and new etag per product."""
    rows = [
        {
            **{name: values[name] for name in _OFFER},
            "of_catalog": session.catalog_id,
            "of_product": values["product_id"],
            "update_time": session.now,
            "etag": etag,
            "seq": seq,
        }
        for (values, etag), seq in zip(changed, session.take(len(changed)), strict=True)
    ]
    session.connection.execute(_SET_OFFER, rows)
    session.note((row["seq"], row["of_product"], row["seq"], ()) for row in rows)
