"""Pinned products that matched are cached for a moment, for the same conditions only."""

from gateway.model.filters import of_words
from gateway.model.query import AnswerScope
from gateway.state.pins import FRESH_SECONDS, MOST, Pins
from sightline_core.columns import ProductColumns

RED = AnswerScope(filter=of_words('category = "Red"'))
BOTH = ProductColumns(product_ids=["a", "b"])


def test_what_passed_is_known_for_a_moment_by_its_conditions():
    now = [100.0]
    pins = Pins(lambda: now[0])
    pins.keep("shop", ["a", "b"], RED, BOTH)
    assert pins.of("shop", ["a", "b"], AnswerScope(filter=of_words('category = "Red"'))) is BOTH
    assert pins.of("shop", ["a", "b"], AnswerScope(filter=of_words('category = "Blue"'))) is None
    assert pins.of("other", ["a", "b"], RED) is None
    assert pins.of("shop", ["a"], RED) is None
    now[0] += FRESH_SECONDS
    assert pins.of("shop", ["a", "b"], RED) is None


def test_only_what_passes_whole_is_kept_and_only_so_much():
    pins = Pins(lambda: 100.0)
    pins.keep("shop", ["a", "b", "c"], RED, BOTH)
    assert pins.of("shop", ["a", "b", "c"], RED) is None
    for number in range(MOST + 1):
        pins.keep(f"shop-{number}", ["a", "b"], RED, BOTH)
    assert pins.of("shop-0", ["a", "b"], RED) is None
    assert pins.of("shop-1", ["a", "b"], RED) is BOTH
    pins.forget("b")
    assert pins.of("shop-1", ["a", "b"], RED) is None
