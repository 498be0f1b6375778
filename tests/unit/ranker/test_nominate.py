from ranker import fold_in
from ranker.model import History
from ranker.nominate import Basis, nominate
from tests.fakes.ranker import FakeReader, model

NONE = History()
MODEL = model(
    {"a": [1.0, 0.0], "b": [0.9, 0.0], "c": [0.0, 1.0], "d": [0.9, 0.0]},
    actors={"ann": [0.0, 1.0]},
    score_scale=2.0,
)


async def named(profile_, model_=MODEL, history=NONE, reader=None, top_k=10, exclude=()):
    return await nominate(
        "default", profile_, model_, history, reader or FakeReader(), top_k=top_k, exclude=exclude
    )


async def test_a_newcomer_gets_what_is_closest_to_the_last_views_with_ties_by_id() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]))
    assert found.product_ids == ("a", "b", "d", "c")
    assert found.basis is Basis.SESSION
    assert found.scores[0] == 0.5


async def test_a_trained_shopper_gets_the_long_term_taste() -> None:
    found = await named(fold_in.of(MODEL, "ann", []), top_k=1)
    assert found.product_ids == ("c",)
    assert found.basis is Basis.LONG_TERM


async def test_ties_at_the_cut_are_settled_by_id() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]), top_k=2)
    assert found.product_ids == ("a", "b")


async def test_excluded_and_hidden_products_are_never_named() -> None:
    history = History(hidden=frozenset({"b", "not in the model"}))
    found = await named(fold_in.of(MODEL, "x", ["a"]), history=history, exclude={"a"})
    assert found.product_ids == ("d", "c")


async def test_when_all_are_excluded_none_is_named() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]), exclude=set("abcd"))
    assert found.product_ids == ()


async def test_without_history_the_popular_are_named_less_the_hidden() -> None:
    reader = FakeReader(popular={"a": 0.5, "b": 1.0, "c": 0.1})
    history = History(hidden=frozenset({"b"}))
    found = await named(fold_in.of(MODEL, "x", []), history=history, reader=reader, top_k=2)
    assert found.product_ids == ("a", "c")
    assert found.basis is Basis.POPULARITY


async def test_without_a_model_the_popular_are_named() -> None:
    reader = FakeReader(popular={"a": 1.0})
    found = await named(fold_in.of(MODEL, "ann", ["a"]), model_=None, reader=reader)
    assert (found.product_ids, found.basis) == (("a",), Basis.POPULARITY)


async def test_before_any_event_nothing_is_named_and_nothing_fails() -> None:
    found = await named(fold_in.of(MODEL, None, []))
    assert (found.product_ids, found.basis) == ((), Basis.NOTHING)
