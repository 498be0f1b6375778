from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.errors import ProductUnknown
from ranker.domain.events import EventType, History
from ranker.domain.features import Money
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS, Signals, interests
from ranker.learning.training.describing import described
from ranker.serving.profiles import profiles
from ranker.serving.profiles.texts import ATTRIBUTE, KINDS, TEXTS, ProfileWords
from sightline.ranker.v1.profile_service_pb2 import Affinity, ShopperAttribute, ShopperProfile
from tests.fakes.ranker import HOUR, NOW, FakeReader, did, model, product

PURCHASE, RATING, VIEW = EventType.PURCHASE, EventType.RATING, EventType.VIEW
AXES = {"Wine > Red": (1.0, 0.0), "Wine > White": (0.0, 1.0)}
PRODUCTS = [
    product(
        f"{name}{n}",
        category,
        brand=f"{name}-house{n % 2}",
        tags=("dry",),
        price=Money((10 if n % 2 else 40) * 1_000_000, "EUR"),
        attributes=(("country", "Italy" if n < 4 else "Spain"),),
    )
    for name, category in (("r", "Wine > Red"), ("w", "Wine > White"))
    for n in range(8)
]
EN = ProfileWords("en")


def shop() -> Model:
    """Return a model with styles, of shoppers who like both colours equally."""
    crowd = interests(
        log_of(
            did(f"{color}-fan{n}", f"{color}{(n + k) % 8}", at=-k)
            for color in "rw"
            for n in range(12)
            for k in range(3)
        )
    )
    made = model({one.product_id: AXES[one.category] for one in PRODUCTS})
    styles = np.array([[n % 8, 9 * (n // 8)] for n in range(16)], np.float32)
    styles[15] = np.nan
    return described(
        replace(
            made,
            styles=styles,
            style_space="v1",
            numbers={"trend": np.linspace(-1, 1, 16, dtype=np.float32)},
        ),
        PRODUCTS,
        crowd,
        seed=0,
    )


SHOP = shop()


def history(*events, hidden=frozenset(), **fields) -> History:
    newest_first = tuple(sorted(events, key=lambda one: -one.time_micros))
    return History(newest_first, frozenset(hidden), **fields)


def of(found: History, model: Model | None = SHOP, words: ProfileWords = EN, now: int = NOW):
    return profiles.of_shopper(found, model, DEFAULTS, words, now)


def by_kind(profile: ShopperProfile, kind: Affinity.Kind.ValueType) -> list[Affinity]:
    return [one for one in profile.affinities if one.kind == kind]


def test_an_affinity_says_what_it_was_inferred_from() -> None:
    seen = history(
        did("ann", "r1", VIEW, at=-9),
        did("ann", "r1", PURCHASE, at=-8),
        did("ann", "r3", VIEW, at=-7),
        did("ann", "unknown", VIEW, at=-6),
    )
    profile = of(seen)
    assert profile.event_count == 4
    category, *_ = by_kind(profile, Affinity.KIND_CATEGORY)
    assert (category.value, category.share, category.event_count) == ("Wine > Red", 1.0, 3)
    assert category.product_ids == ["r1", "r3"]
    assert category.usual_share == pytest.approx(0.5)
    assert category.text == "You often choose from Wine > Red"
    # All shoppers like wine, and dry wine: these do not distinguish Ann.
    assert "Wine" not in {one.value for one in by_kind(profile, Affinity.KIND_CATEGORY)}
    assert by_kind(profile, Affinity.KIND_TAG) == []
    (brand,) = by_kind(profile, Affinity.KIND_BRAND)
    assert brand.value == "r-house1"
    (price,) = by_kind(profile, Affinity.KIND_PRICE_BAND)
    assert price.text == "You often choose prices of EUR 8.00 to 11.31"
    (country,) = by_kind(profile, Affinity.KIND_ATTRIBUTE)
    assert (country.key, country.value) == ("country", "Italy")
    style, *_ = by_kind(profile, Affinity.KIND_STYLE)
    assert style.value in SHOP.item_ids
    strengths = [one.strength for one in profile.affinities]
    assert strengths == sorted(strengths, reverse=True)
    assert all(0 < one <= 1 for one in strengths)


def test_more_evidence_makes_an_affinity_stronger() -> None:
    one = of(history(did("ann", "r1")))
    three = of(history(*(did("ann", f"r{n}", PURCHASE) for n in range(3))))
    assert (
        by_kind(three, Affinity.KIND_CATEGORY)[0].strength
        > by_kind(one, Affinity.KIND_CATEGORY)[0].strength
    )


def test_what_is_hidden_or_rated_low_is_disliked_and_makes_no_affinity() -> None:
    seen = history(
        did("ann", "w1", at=-3),
        did("ann", "w2", at=-3),
        did("ann", "w2", RATING, at=-2, value=1.0),
        hidden={"w1"},
    )
    profile = of(seen)
    assert profile.disliked_product_ids == ["w1", "w2"]
    assert not profile.affinities
    assert not profile.HasField("segment")


def test_a_group_is_that_of_the_nearest_interests_also_for_somebody_new() -> None:
    red, white = of(history(did("x", "r1"))).segment, of(history(did("x", "w1"))).segment
    assert red.segment_id != white.segment_id
    assert red.text.startswith("People who like ")
    assert red.affinities[0].value == "Wine > Red"
    assert [one.segment_id for one in profiles.segments_of(SHOP, EN)] == [1, 2]
    assert sum(one.share for one in profiles.segments_of(SHOP, EN)) == pytest.approx(1)


def test_recency_and_frequency_are_shown_by_visits() -> None:
    week = 7 * 24
    events = [did("ann", "r1", at=-at) for at in (2 * week, 2 * week - 0.4, 72, 48)]  # type: ignore[arg-type]
    times = [one._replace(time_micros=int(one.time_micros)) for one in events]
    activity = of(history(*times, times[3]._replace(type=PURCHASE, event_id="p"))).activity
    assert activity.visit_count == 3
    assert activity.visits_a_week == pytest.approx(1.5)
    assert activity.days_since_last_event == pytest.approx(2)
    assert activity.purchase_count == 1
    assert activity.text == "Last here 2 days ago; 3 visits, 1.5 a week"


def test_a_robot_is_reported_as_such() -> None:
    many = [did("bot", f"r{n % 8}", at=0)._replace(event_id=str(n)) for n in range(9)]
    strict = Signals(robot_events_a_day=8)
    assert profiles.of_shopper(history(*many), SHOP, strict, EN, NOW).robot
    assert not of(history(*many)).robot


async def test_enough_events_are_read_to_find_a_robot_but_not_all() -> None:
    reader = FakeReader()
    for most in (5, 4000, 10**9):
        await profiles.read("default", "ann", reader, Signals(robot_events_a_day=most))
    assert reader.limits == [1000, 4001, 10_000]


def test_without_events_or_without_a_model_a_profile_says_less_and_is_no_error() -> None:
    nobody = of(History(attributes=(("age", "30s"),)))
    assert nobody == ShopperProfile(
        attributes=[ShopperAttribute(key="age", text="30s")], model_version=SHOP.version
    )
    bare = of(history(did("ann", "r1")), None)
    assert (len(bare.affinities), bare.HasField("segment")) == (0, False)
    assert bare.HasField("activity")
    old = model({"r1": (1.0, 0.0)})  # made before models described anything
    assert not of(history(did("ann", "r1")), old).affinities


def test_a_product_is_described_in_full() -> None:
    found = profiles.of_product("r1", SHOP, 0.25, EN)
    assert (found.category_path, found.brand, found.tags) == ("Wine > Red", "r-house1", ["dry"])
    assert found.attributes == [ShopperAttribute(key="country", text="Italy")]
    assert found.trend == pytest.approx(-13 / 15)
    assert found.style == [1.0, 0.0]
    assert found.similar_style_product_ids[:2] == ["r0", "r2"]
    assert found.texts == [
        "It belongs to Wine > Red",
        "It is by r-house1",
        "Its price is in the range of EUR 8.00 to 11.31",
        "It is described as dry",
        "country: Italy",
        "25% as popular as the most popular product",
        "It is becoming less popular",
        "It looks like r0, r2, r3, r4, r5",
    ]


def test_a_product_without_photo_has_no_style() -> None:
    found = profiles.of_product("w7", SHOP, 0.0, EN)
    assert (len(found.style), len(found.similar_style_product_ids)) == (0, 0)
    assert found.style_space_version == ""


@pytest.mark.parametrize("serving", [SHOP, None, model({"r1": (1.0, 0.0)})])
def test_a_product_that_no_model_knows_is_unknown(serving: Model | None) -> None:
    with pytest.raises(ProductUnknown):
        profiles.of_product("r1" if serving is not SHOP else "new", serving, 0.0, EN)


def test_both_languages_say_the_same_things() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for what, text in TEXTS["en"].items():
        blanks = {part.split("}")[0] for part in text.split("{")[1:]}
        other = {part.split("}")[0] for part in TEXTS["zh"][what].split("{")[1:]}
        assert blanks == other, what
    assert {ATTRIBUTE, *KINDS.values()} <= TEXTS["en"].keys()
    chinese = of(history(did("ann", "r1")), words=ProfileWords("zh-Hans-CN"))
    assert "您常选Wine > Red类商品" in {one.text for one in chinese.affinities}
    assert ProfileWords("fr").say("TAG", value="x") == ProfileWords("").say("TAG", value="x")


@pytest.mark.parametrize(
    ("days", "text"),
    [(0.2, "today"), (1.5, "yesterday"), (2.0, "2 days ago"), (400, "400 days ago")],
)
def test_how_long_ago_is_said_in_whole_days(days: float, text: str) -> None:
    activity = of(history(did("ann", "r1")), now=NOW + int(days * 24 * HOUR)).activity
    assert activity.text.startswith(f"Last here {text}; 1 visit")
