"""Expensive requests as recipes: few numbers that say how large each part is.

A recipe is valid by its bounds, so mutations of it are too. Each build has other texts and photos,
so that no cache answers for a service.
"""

from __future__ import annotations

import io
import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from PIL import Image

from sightline.common.v1 import event_pb2, facet_pb2, filter_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import user_event_service_pb2 as events_pb
from sightline.vision.v1 import detection_service_pb2 as detection_pb
from sightline.vision.v1 import inspection_service_pb2 as inspection_pb
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as watch_pb
from tests.fuzz.surface import METHODS, Method, named

CATALOG: Final = "cost"
WORDS: Final = 2_000
"""Different words in the products' texts."""
ROLES: Final[Mapping[str, str]] = {
    "Recommend": "read",
    "Search": "read",
    "ExplainRecommendation": "read",
    "ListProducts": "read",
    "Classify": "read",
    "WriteEvents": "events",
    "UpsertProducts": "catalog",
    "DetectProducts": "detect",
    "Inspect": "inspect",
    "SendFrames": "watch",
}
"""The role that a call needs. Each has seeds."""
_SIGNALS: Final = ("texts", "characters", "photos", "side", "format", "anchors")
_FILTER: Final = ("conditions", "field", "operator", "members", "letters", "known", "negated")
_RECOMMENDED: Final = (
    *(*_SIGNALS, *_FILTER, "controls", "control_conditions", "excludes", "excluded"),
    *("page_size", "explain"),
)
USED: Final[Mapping[str, tuple[str, ...]]] = {
    "Recommend": _RECOMMENDED,
    "Search": (*_SIGNALS, *_FILTER, "facets", "page_size"),
    "ExplainRecommendation": _RECOMMENDED,
    "ListProducts": (*_FILTER, "page_size"),
    "Classify": ("side", "format"),
    "WriteEvents": ("items",),
    "UpsertProducts": ("items", "attributes", "letters"),
    "DetectProducts": ("side", "format", "objects", "detections", "heat_maps"),
    "Inspect": ("side", "format", "explain"),
    "SendFrames": ("side", "format", "objects", "frames", "watch"),
}
"""The parts that each call has."""
FIELDS: Final = ("attributes.colour", "attributes.none", "title", "tags", "brand", "price")
OPERATORS: Final = ("contains", "equal", "among")
TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("contains",),
    "tags": ("equal", "among"),
    "brand": ("equal", "among"),
    "price": ("equal",),
}
"""Operators of fields that do not take all."""
FACETS: Final = (
    *("category", "brand", "price", "tags", "availability", "attributes.colour"),
    *("attributes.a", "attributes.b", "attributes.c", "attributes.d"),
)
WATCHES: Final[Mapping[str, int]] = {"regions": 64, "objects": 0, "both": 64}
"""Watches of the catalog, with the parts of a frame that their rules compare. All but the first
count objects that look like a photo."""
REFERENCE: Final = "cost"
"""Reference of the catalog that photos are compared with."""
WINES: Final = Path(__file__).parents[3] / "examples" / "wines" / "images"
FORMATS: Final = ("AVIF", "JPEG", "PNG", "WEBP")
_PREFIX: Final = "w"
"""Prefix of the ids of products that requests write."""
_WRITTEN: Final = 10_000
"""Distance between the numbers of products that two requests write, so that their texts differ."""
_EVERY: Final = 20
"""Products of which one is named as an anchor."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A request by the size of its parts. Parts that its call has no field for are ignored."""

    call: str
    texts: int = 0
    characters: int = 100
    """Length of each text."""
    photos: int = 0
    side: int = 500
    """Pixels of a photo's side."""
    format: str = "JPEG"
    anchors: int = 0
    """Products that are signals; texts, photos and these are 8 at most."""
    conditions: int = 0
    """Number of conditions of the filter."""
    field: str = "attributes.colour"
    operator: str = "contains"
    members: int = 1
    """Values of each condition that takes several."""
    letters: int = 6
    """Length of each value."""
    known: bool = False
    """True if values occur in products."""
    negated: bool = False
    facets: int = 0
    controls: int = 0
    control_conditions: int = 0
    """Number of conditions of each control's filter."""
    excludes: bool = False
    """True if controls exclude products; otherwise they boost them."""
    excluded: int = 0
    """Ids of products to leave out."""
    page_size: int = 10
    explain: bool = False
    items: int = 1
    """Events or products that are written."""
    attributes: int = 0
    """Number of attributes of each written product."""
    objects: int = 0
    """Bottles that a photo or frame shows."""
    detections: int = 100
    """Maximum number of detections."""
    heat_maps: int = 0
    frames: int = 1
    watch: str = "regions"
    """Watch that gets the frames."""

    @property
    def role(self) -> str:
        """The role that may send it."""
        return ROLES[self.call]

    @property
    def method(self) -> Method:
        """Its method in the contract."""
        return named(self.call)

    def written(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, for a file."""
        usual, parts = asdict(Recipe(self.call)), asdict(self)
        found = {name: parts[name] for name in USED[self.call] if parts[name] != usual[name]}
        return {"call": self.call, **found}

    def names(self, number: int) -> Sequence[str]:
        """Return the ids of the products that the request writes."""
        written = range(self.items if self.call == "UpsertProducts" else 0)
        return [f"{_PREFIX}{number * _WRITTEN + place}" for place in written]

    def build(self, number: int) -> bytes:
        """Return the request. `number`: another one for each request of a run."""
        return _BUILDERS[self.call](self, number).SerializeToString()


NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "texts": (0, 8),
    "characters": (1, 4_000),
    "photos": (0, 8),
    "side": (64, 7_000),
    "anchors": (0, 8),
    "conditions": (0, 64),
    "members": (1, 1_000),
    "letters": (1, 1_000),
    "facets": (0, len(FACETS)),
    "controls": (0, 50),
    "control_conditions": (0, 64),
    "excluded": (0, 1_000),
    "page_size": (1, 200),
    "items": (1, 1_000),
    "attributes": (0, 100),
    "objects": (0, 300),
    "detections": (1, 300),
    "heat_maps": (0, 20),
    "frames": (1, 8),
}
"""Least and most of each number, as the contract has them. Sums are bounded in `bounded`."""
_MOST_SIGNALS, _MOST_VALUES, _MOST_LOOKS, _LOOKS = 8, 4_000, 32, 256
_MOST_LISTED, _MOST_UPSERTED, _BYTES = 1_000, 100, 600_000


def bounded(recipe: Recipe) -> Recipe:
    """Return the recipe within the contract's limits: those of sums are not in NUMBERS."""
    numbers = {
        name: max(low, min(most, getattr(recipe, name))) for name, (low, most) in NUMBERS.items()
    }
    if recipe.call == "ListProducts":
        numbers["page_size"] = max(1, min(_MOST_LISTED, recipe.page_size))
    if recipe.call == "UpsertProducts":
        numbers["items"] = min(numbers["items"], _MOST_UPSERTED)
    numbers["photos"] = min(numbers["photos"], _MOST_SIGNALS - numbers["texts"])
    left = _MOST_SIGNALS - numbers["texts"] - numbers["photos"]
    numbers["anchors"] = min(numbers["anchors"], left)
    if recipe.call in ("Search", "Classify"):
        numbers["photos"] = min(numbers["photos"], 1 if recipe.call == "Classify" else 8)
    return _bounded_filters(replace(recipe, **numbers))


def _bounded_filters(recipe: Recipe) -> Recipe:
    taken = TAKEN.get(recipe.field, OPERATORS)
    operator = recipe.operator if recipe.operator in taken else taken[0]
    looks = recipe.field.startswith("attributes") and operator == "contains"
    conditions = min(recipe.conditions, _MOST_LOOKS - 1 if looks else NUMBERS["conditions"][1])
    members = min(recipe.members, _MOST_VALUES // max(1, conditions))
    return replace(
        recipe,
        operator=operator,
        conditions=conditions,
        members=members,
        controls=min(recipe.controls, _BYTES // (1 + recipe.control_conditions) // recipe.letters),
        control_conditions=min(recipe.control_conditions, _MOST_LOOKS - 1),
        letters=min(
            recipe.letters,
            _BYTES // max(1, conditions) // (members if operator == "among" else 1),
        ),
    )


def mutated(recipe: Recipe, other: Recipe, chance: random.Random) -> Recipe:
    """Return a recipe with some parts changed, or taken from another one."""
    changed: dict[str, Any] = {}
    names = USED[recipe.call]
    for name in chance.sample(names, min(len(names), chance.choice((1, 1, 2, 3, 5)))):
        changed[name] = (
            getattr(other, name) if chance.random() < 0.3 else _drawn(recipe, name, chance)
        )
    return bounded(replace(recipe, **changed))


def _drawn(recipe: Recipe, name: str, chance: random.Random) -> Any:
    value = getattr(recipe, name)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        words = {"field": FIELDS, "operator": OPERATORS, "format": FORMATS, "watch": [*WATCHES]}
        return chance.choice(words[name])
    low, most = NUMBERS[name]
    if recipe.call == "ListProducts" and name == "page_size":
        most = _MOST_LISTED
    return chance.choice((most, low, value * 2, (value + most) // 2, chance.randint(low, most)))


def _unique(number: int, place: int, letters: int, *, known: bool = False) -> str:
    """Return a value of that many letters, another one for each number and place."""
    text = f"word{(number * 7 + place * 131) % WORDS}" if known else f"zq{number}x{place}"
    return (text + "q" * letters)[: max(letters, len(text) if known else 1)]


def filter_of(recipe: Recipe, number: int, conditions: int) -> filter_pb2.Filter:
    """Return a filter: a product passes if it meets any of the conditions, or, negated, none."""
    parts = [
        _condition(recipe, number * 1_000 + place, recipe.members) for place in range(conditions)
    ]
    found = filter_pb2.Filter(any=filter_pb2.FilterList(filters=parts))
    if not recipe.negated:
        return found
    negation = filter_pb2.Filter()
    getattr(negation, "not").CopyFrom(found)
    return negation


def _condition(recipe: Recipe, number: int, members: int) -> filter_pb2.Filter:
    def value(place: int) -> filter_pb2.FilterValue:
        made = filter_pb2.FilterValue()
        if recipe.field == "price":
            made.money.currency_code, made.money.units = "EUR", number + place
        else:
            made.text = _unique(number, place, recipe.letters, known=recipe.known)
        return made

    if recipe.operator == "among":
        among = filter_pb2.Membership(
            field=recipe.field, values=[value(place) for place in range(members)]
        )
        return filter_pb2.Filter(membership=among)
    operator = filter_pb2.Comparison.Operator.Value(f"OPERATOR_{recipe.operator.upper()}")
    compared = filter_pb2.Comparison(field=recipe.field, operator=operator, value=value(0))
    return filter_pb2.Filter(comparison=compared)


def text_of(number: int, characters: int) -> str:
    """Return a text of words of the catalog; the first one is the number."""
    words = [str(number), *(f"word{(i * 7 + number * 131) % WORDS}" for i in range(characters))]
    return " ".join(words)[:characters]


@lru_cache(maxsize=64)
def _flat(format_: str, side: int) -> bytes:
    out = io.BytesIO()
    options = {"speed": 10} if format_ == "AVIF" else {}
    Image.new("RGB", (side, side), (90, 120, 200)).save(out, format_, **options)
    return out.getvalue()


def photo_of(recipe: Recipe, number: int) -> bytes:
    """Return a flat photo. What follows its end makes it another one for caches."""
    return _flat(recipe.format, recipe.side) + b"%016d" % number


@cache
def _bottles() -> Sequence[Image.Image]:
    """Return pictures of bottles, small enough to draw hundreds."""
    found = []
    for path in sorted(WINES.glob("*.jpg")):
        with Image.open(path) as opened:
            bottle = opened.convert("RGB")
        bottle.thumbnail((300, 300))
        found.append(bottle)
    return found


@lru_cache(maxsize=16)
def _shelf(format_: str, side: int, objects: int) -> bytes:
    columns = math.ceil(math.sqrt(2.5 * objects))
    rows = math.ceil(objects / columns)
    made = Image.new("RGB", (side, side), (196, 188, 176))
    wide, high = side / columns, side / rows
    for place, bottle in zip(range(objects), itertools.cycle(_bottles()), strict=False):
        row, column = divmod(place, columns)
        scale = min(0.8 * wide / bottle.width, 0.8 * high / bottle.height)
        size = [max(1, round(length * scale)) for length in bottle.size]
        at = (round((column + 0.1) * wide), round((row + 0.1) * high))
        made.paste(bottle.resize((size[0], size[1])), at)
    out = io.BytesIO()
    made.save(out, format_, **({"speed": 10} if format_ == "AVIF" else {}))
    return out.getvalue()


def shelf_of(recipe: Recipe, number: int) -> bytes:
    """Return a photo of bottles. What follows its end makes it another one for caches."""
    if not recipe.objects:
        return photo_of(recipe, number)
    return _shelf(recipe.format, recipe.side, recipe.objects) + b"%016d" % number


def signals(recipe: Recipe, number: int) -> list[pb.QuerySignal]:
    """Return texts, photos and anchors."""
    base = number * 8
    return [
        *(
            pb.QuerySignal(text=text_of(base + place, recipe.characters))
            for place in range(recipe.texts)
        ),
        *(pb.QuerySignal(image=photo_of(recipe, base + place)) for place in range(recipe.photos)),
        *(
            pb.QuerySignal(product_id=f"p{(base + place) * _EVERY % 1_000}")
            for place in range(recipe.anchors)
        ),
    ]


def _recommend(recipe: Recipe, number: int) -> pb.RecommendRequest:
    kind = control_pb2.Control.KIND_EXCLUDE if recipe.excludes else control_pb2.Control.KIND_BOOST
    parts = replace(recipe, field="attributes.colour", operator="contains", negated=True)
    controls = [
        control_pb2.Control(
            name=f"c{place}",
            kind=kind,
            boost=0.0 if recipe.excludes else 1.0,
            filter=filter_of(parts, number * 50 + place, recipe.control_conditions),
        )
        for place in range(recipe.controls if recipe.control_conditions else 0)
    ]
    return pb.RecommendRequest(
        catalog_id=CATALOG,
        signals=signals(recipe, number),
        filter=filter_of(recipe, number, recipe.conditions) if recipe.conditions else None,
        controls=controls,
        exclude_product_ids=[f"x{each}" for each in range(recipe.excluded)],
        page_size=recipe.page_size,
        explain=recipe.explain,
    )


def _explain(recipe: Recipe, number: int) -> pb.ExplainRecommendationRequest:
    asked = _recommend(recipe, number)
    return pb.ExplainRecommendationRequest(request=asked, product_id=f"p{number % 1_000}")


def _search(recipe: Recipe, number: int) -> pb.SearchRequest:
    return pb.SearchRequest(
        catalog_id=CATALOG,
        signals=signals(recipe, number) or [pb.QuerySignal(text=text_of(number, 20))],
        filter=filter_of(recipe, number, recipe.conditions) if recipe.conditions else None,
        facets=[facet_pb2.FacetRequest(field=name) for name in FACETS[: recipe.facets]],
        page_size=recipe.page_size,
    )


def _list(recipe: Recipe, number: int) -> catalog_pb.ListProductsRequest:
    return catalog_pb.ListProductsRequest(
        catalog_id=CATALOG,
        filter=filter_of(recipe, number, recipe.conditions) if recipe.conditions else None,
        page_size=recipe.page_size,
    )


def _classify(recipe: Recipe, number: int) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(catalog_id=CATALOG, image=photo_of(recipe, number), top_k=10)


def _detect(recipe: Recipe, number: int) -> detection_pb.DetectProductsRequest:
    asked = detection_pb.DetectProductsRequest(
        catalog_id=CATALOG, image=shelf_of(recipe, number), max_detections=recipe.detections
    )
    if recipe.heat_maps:
        asked.heat_maps.max_heat_maps = recipe.heat_maps
        asked.min_probability = 0.0  # each detection is a product, and gets one
    return asked


def _inspect(recipe: Recipe, number: int) -> inspection_pb.InspectRequest:
    return inspection_pb.InspectRequest(
        catalog_id=CATALOG,
        image=photo_of(recipe, number),
        reference_id=REFERENCE,
        include_heat_map=recipe.explain,
    )


def _frames(recipe: Recipe, number: int) -> watch_pb.SendFramesRequest:
    made = [
        watch_pb2.WatchFrame(image=shelf_of(recipe, number * NUMBERS["frames"][1] + place))
        for place in range(recipe.frames)
    ]
    return watch_pb.SendFramesRequest(catalog_id=CATALOG, watch_id=recipe.watch, frames=made)


def _events(recipe: Recipe, number: int) -> events_pb.WriteEventsRequest:
    made = [
        event_pb2.Event(
            event_id=f"e{number}-{place}",
            type=event_pb2.EVENT_TYPE_VIEW,
            product_id=f"p{place}",
            shopper=event_pb2.Shopper(visitor_id=f"v{number}-{place}"),
        )
        for place in range(recipe.items)
    ]
    for event in made:
        event.event_time.GetCurrentTime()
    return events_pb.WriteEventsRequest(catalog_id=CATALOG, events=made)


def _upsert(recipe: Recipe, number: int) -> catalog_pb.UpsertProductsRequest:
    made = [
        product(number * _WRITTEN + place, recipe.attributes, recipe.letters, _PREFIX)
        for place in range(recipe.items)
    ]
    return catalog_pb.UpsertProductsRequest(catalog_id=CATALOG, products=made)


def product(
    number: int, attributes: int, letters: int = 50, prefix: str = "p"
) -> product_pb2.Product:
    """Return a product of the catalog, with attributes of a text of its own each."""
    chance = random.Random(number)

    def words(count: int) -> str:
        return " ".join(f"word{chance.randrange(WORDS)}" for _ in range(count))

    made = product_pb2.Product(
        product_id=f"{prefix}{number}",
        title=words(12),
        category_path=["A", f"B{number % 40}"],
        brand=f"brand{number % 300}",
        tags=[f"t{each}" for each in chance.sample(range(500), 10)],
    )
    made.price.currency_code, made.price.units = "EUR", number % 100 + 1
    for place in range(attributes):
        text = f"{words(max(1, letters // 9))} {number}-{place}"
        made.attributes.add(key="colour", text=text)
    return made


_BUILDERS: Final[Mapping[str, Callable[[Recipe, int], Message]]] = {
    "Recommend": _recommend,
    "Search": _search,
    "ExplainRecommendation": _explain,
    "ListProducts": _list,
    "Classify": _classify,
    "WriteEvents": _events,
    "UpsertProducts": _upsert,
    "DetectProducts": _detect,
    "Inspect": _inspect,
    "SendFrames": _frames,
}
assert set(_BUILDERS) == set(ROLES) <= {each.name for each in METHODS.values()}

_HEAVY = {"conditions": 31, "negated": True}
_TEXTS = {"texts": 8, "characters": 4_000}
_AVIF = {"photos": 8, "format": "AVIF"}
SEEDS: Final = tuple(
    bounded(each)
    for each in (
        Recipe("Recommend", page_size=200, **_TEXTS),
        Recipe("Recommend", page_size=200, explain=True, excluded=1_000, **_TEXTS, **_HEAVY),
        Recipe("Recommend", page_size=200, controls=8, control_conditions=31),
        Recipe("Recommend", page_size=200, controls=3, control_conditions=31, excludes=True),
        Recipe("Recommend", anchors=8, page_size=200, **_HEAVY),
        Recipe("Recommend", side=2_200, **_AVIF),
        Recipe("Recommend", side=7_000, **_AVIF),
        Recipe("Recommend", photos=8, side=2_200),
        Recipe("Search", facets=10, page_size=200, **_TEXTS, **_HEAVY),
        Recipe("Search", facets=10, texts=1, page_size=200),
        Recipe("Search", texts=1, conditions=4, field="brand", operator="among", members=1_000),
        Recipe("ExplainRecommendation", page_size=200, **_TEXTS, **_HEAVY),
        Recipe("ExplainRecommendation", texts=2, characters=4_000, page_size=200),
        Recipe("ListProducts", conditions=31, page_size=1_000),
        Recipe("ListProducts", page_size=1_000),
        Recipe("Classify", side=7_000, format="AVIF"),
        Recipe("Classify", side=5_000, format="JPEG"),
        Recipe("WriteEvents", items=1_000),
        Recipe("UpsertProducts", items=100, attributes=30, letters=50),
        Recipe("UpsertProducts", items=100, attributes=100, letters=900),
        Recipe("DetectProducts", objects=300, side=3_000, detections=300),
        Recipe("DetectProducts", objects=60, side=5_000, heat_maps=20),
        Recipe("DetectProducts", side=5_000, format="AVIF"),
        Recipe("Inspect", side=5_000, format="AVIF", explain=True),
        Recipe("SendFrames", objects=64, side=1_000, frames=8, watch="both"),
        Recipe("SendFrames", objects=64, side=2_000, frames=8, watch="objects"),
        Recipe("SendFrames", side=3_000, format="AVIF", frames=8, watch="regions"),
    )
)
"""Start of a search."""
