"""The tools that write events and products, offered only where the operator allows it."""

from datetime import UTC

from sightline_agents.catalog import advice, photos
from sightline_agents.mcp import inputs, outputs
from sightline_client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.values import catalog, events, products
from sightline_client.values.money import Money


class WriteTools:
    """Tools with effects. The caller's token needs the roles for them."""

    def __init__(self, client: SightlineClient) -> None:
        self._client = client

    async def send_events(self, events: inputs.Events) -> outputs.Written:
        """Record what shoppers did, such as a CLICK on a product of an answer.

        Only for actions that really happened. An event_id that was sent before counts once.
        """
        report = await self._client.write_events([_event(each) for each in events])
        return outputs.Written(
            stored_count=report.written_count,
            duplicate_count=report.duplicate_count,
            withheld_count=report.withheld_count,
            failures=[_failure(each.event_id, each.error) for each in report.failures],
        )

    async def upsert_products(self, products: inputs.Products) -> outputs.Written:
        """Create or replace whole products. What is left out is empty afterwards.

        To change a product, read it with get_product first, and give all its values and its etag.
        """
        report = await self._client.upsert_products([_product(each) for each in products])
        return outputs.Written(
            stored_count=report.stored_count,
            failures=[_failure(each.product_id, each.error) for each in report.failures],
        )


def _failure(identity: str, error: SightlineError | None) -> outputs.Failure:
    return outputs.Failure(id=identity, error="" if error is None else advice.of_error(error))


def _event(given: inputs.EventInput) -> events.Event:
    time = given.time
    if time is not None and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return events.Event(
        event_id=given.event_id,
        type=given.type,
        product_id=given.product_id,
        user=given.user,
        visitor=given.visitor,
        time=time,
        value=given.value,
        quantity=given.quantity,
        position=given.position,
        query=given.query,
        attribution_token=given.attribution_token,
    )


def _product(given: inputs.ProductInput) -> products.Product:
    new = [catalog.ProductImage(content=photos.decoded(each)) for each in given.photos]
    kept = [catalog.ProductImage(image_id=each) for each in given.photo_ids]
    price = given.price
    return products.Product(
        product_id=given.product_id,
        title=given.title,
        description=given.description,
        category_path=tuple(given.category_path),
        brand=given.brand,
        price=None if price is None else Money(price.amount, price.currency),
        availability=given.availability,
        tags=tuple(given.tags),
        attributes=tuple(
            catalog.Attribute(key, value)
            for key, each in given.attributes.items()
            for value in (each if isinstance(each, list) else [each])
        ),
        images=(*new, *kept),
        uri=given.uri,
        etag=given.etag,
    )
