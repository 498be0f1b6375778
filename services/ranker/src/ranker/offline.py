"""Training and evaluation on files, without a suite: called by `sightline models evaluate
--events`.

The client finds it by the entry point group ``sightline.evaluate``; needs the extra `train`.
"""

from collections.abc import Callable, Sequence

from ranker.domain.events import EventType, Interaction
from ranker.domain.features import Money, Product
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.domain.report import Protocol
from ranker.learning.evaluation import evaluate as evaluation
from ranker.learning.evaluation.evaluate import EvaluationOptions
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given
from ranker.servicer.messages import message_of
from servicekit.clock import now_micros
from sightline.common.v1 import event_pb2, product_pb2
from sightline.ranker.v1 import evaluation_pb2

NANOS = 1_000


def evaluate(
    events: Sequence[event_pb2.Event],
    products: Sequence[product_pb2.Product],
    *,
    protocols: Sequence[str],
    share: float,
    seed: int,
    progress: Callable[[int, int], None],
) -> evaluation_pb2.Evaluation:
    """Evaluate the default recipe on these events; the first of `protocols` decides. Of events or
    products with the same id the last is used."""
    recipe = Recipe(seed=seed)
    unique = {event.event_id: event for event in events}
    given = Given(
        log_of(interaction(event) for event in unique.values()),
        [product_of(product) for product in {one.product_id: one for one in products}.values()],
    )

    def fit(log: EventColumns) -> Model:
        return fitted(given.at(log), recipe).model

    report = evaluation.evaluate(
        given.log,
        given.products,
        fit,
        None,
        EvaluationOptions(protocols=tuple(map(Protocol, protocols)), share=share, recipe=recipe),
        progress=progress,
        now_micros=now_micros(),
    )
    return message_of(evaluation_pb2.Evaluation, report)


def interaction(event: event_pb2.Event) -> Interaction:
    """Convert an event to an interaction. The shopper's id is kept, because nothing is stored."""
    shopper = event.shopper
    return Interaction(
        actor=f"{shopper.WhichOneof('identity')} {shopper.user_id or shopper.visitor_id}",
        product_id=event.product_id,
        type=EventType(event_pb2.EventType.Name(event.type).removeprefix("EVENT_TYPE_")),
        value=event.value if event.HasField("value") else None,
        time_micros=event.event_time.seconds * 1_000_000 + event.event_time.nanos // NANOS,
        event_id=event.event_id,
        quantity=event.quantity,
        session=event.session_id,
        order_id=event.order_id,
    )


def product_of(product: product_pb2.Product) -> Product:
    price = product.price
    return Product(
        product_id=product.product_id,
        category=" > ".join(product.category_path),
        brand=product.brand,
        price=Money(price.units * 1_000_000 + price.nanos // NANOS, price.currency_code)
        if product.HasField("price")
        else None,
        tags=tuple(product.tags),
        attributes=tuple(
            (attribute.key, attribute.text)
            for attribute in product.attributes
            if attribute.WhichOneof("value") == "text"
        ),
        title=product.title,
    )
