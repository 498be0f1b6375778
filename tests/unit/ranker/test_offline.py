"""The conversion of the client's files, and the whole path on a small shop."""

from importlib.metadata import entry_points

from ranker import offline
from ranker.domain.events import EventType
from ranker.domain.features import Money
from sightline.common.v1 import event_pb2, product_pb2
from sightline.ranker.v1 import evaluation_pb2 as pb


def view(person: int, product: str, at: int) -> event_pb2.Event:
    made = event_pb2.Event(
        event_id=f"{person}-{product}", type=event_pb2.EVENT_TYPE_VIEW, product_id=product
    )
    made.shopper.user_id = f"u{person}"
    made.event_time.seconds = at
    return made


def test_the_client_finds_it_by_its_entry_point() -> None:
    (point,) = entry_points(group="sightline.evaluate")
    assert point.load() is offline.evaluate


def test_events_and_products_are_read_as_a_training_reads_them() -> None:
    event = view(7, "p1", 5)
    event.type = event_pb2.EVENT_TYPE_RATING
    event.event_time.nanos, event.value, event.quantity = 7000, 4.5, 2
    made = offline.interaction(event)
    assert (made.product_id, made.type, made.value) == ("p1", EventType.RATING, 4.5)
    assert (made.time_micros, made.quantity) == (5_000_007, 2)
    visitor = view(7, "p1", 5)
    visitor.shopper.visitor_id = "u7"
    assert offline.interaction(visitor).actor != made.actor

    product = product_pb2.Product(
        product_id="p1", category_path=["Wine", "Red"], brand="B", tags=["x"]
    )
    product.price.units, product.price.nanos, product.price.currency_code = 9, 500_000_000, "EUR"
    product.attributes.add(key="country", text="Spain")
    product.attributes.add(key="abv", number=13.5)
    found = offline.product_of(product)
    assert (found.category, found.price) == ("Wine > Red", Money(9_500_000, "EUR"))
    assert found.attributes == (("country", "Spain"),)
    assert offline.product_of(product_pb2.Product(product_id="p2")).price is None


def test_a_small_shop_is_measured_by_the_split_that_is_asked_for() -> None:
    products = [
        product_pb2.Product(product_id=f"{kind}{n}", category_path=[kind])
        for kind in "rw"
        for n in range(6)
    ]
    events = [
        view(person, f"{'rw'[person % 2]}{(person // 2 + step) % 6}", 1000 * step + person)
        for person in range(40)
        for step in range(5)
    ]
    reported: list[tuple[int, int]] = []
    found = offline.evaluate(
        [*events, events[0]],
        [*products, products[0]],
        protocols=["per-user-tail"],
        share=0.2,
        seed=1,
        progress=lambda done, total: reported.append((done, total)),
    )
    (trial,) = found.trials
    assert trial.protocol == pb.EvaluationTrial.PROTOCOL_PER_USER_TAIL
    assert (trial.event_count_before, trial.event_count_after, trial.product_count) == (160, 40, 12)
    assert found.verdict == pb.Evaluation.VERDICT_INCONCLUSIVE  # counts know it as well
    assert reported[-1] == (8, 8)
