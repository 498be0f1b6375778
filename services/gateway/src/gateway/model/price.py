"""The price of a request: the processor seconds that it may cost, known before it runs.

Arithmetic on sizes at hand: signals, conditions × products, facets × products, results; of writes,
products, attributes, bytes, texts and photos. The figures are processor time of all services at
5,000 products with 30 attributes of 50 characters, measured on one core of a server of 2024
(2026-11); what a request did cost corrects its price afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from gateway.model.filters import CallersFilter, FilterWork, work_of
from gateway.model.photo_header import decoding_seconds
from gateway.model.query import MOST_IN_PHOTO, PHOTO_KINDS, RequestQuery, Signal, SignalKind
from sightline_core.opaque_messages import FacetRequest
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import ATTRIBUTES

REFERENCE_PRODUCTS = 5_000
"""Products of a catalog for which MOST_SECONDS is meant: a request that a catalog of this size
takes is taken by a larger one too, but is charged for all of its products."""
MOST_SECONDS = 1.0
"""Processor seconds, at most, of a request on REFERENCE_PRODUCTS."""
EXPENSIVE_SECONDS = 0.1
"""Price above which a request is expensive, in processor seconds: it waits in a queue."""
LISTED = 5_000
"""Products that a page of a list looks at, at most."""

BASE = 0.02
RESULT = 0.0002
SIGNAL = {
    SignalKind.TEXT: 0.01,
    SignalKind.PRODUCT: 0.01,
    SignalKind.IMAGE: 0.1,
    SignalKind.IMAGE_URI: 0.1,
}
CHARACTER = 7e-6
MODEL = {SignalKind.TEXT: 0.005, SignalKind.IMAGE: 0.1, SignalKind.IMAGE_URI: 0.1}
"""Of a model, whose time the services do not measure."""
MODEL_CHARACTER = 8e-6
LABEL = 0.35
"""Reading the label of a photo, with the models' time: ten lines (`python -m lab labels`)."""
FINDING_OBJECTS = 0.06
"""Finding the objects in a photo, without its decoding (`python -m lab detect`)."""
VIEWS_A_DETECTION = 2
"""Views of one of them that are embedded, at most: those that look alike share them."""
DETECTION_VIEW, DETECTION = 0.011, 0.005
"""Embedding a view, and searching for one of them."""
PHOTOS_A_PRODUCT = 4
"""Photos of a product whose photos are searched for, as many as a shop's products have."""
ONE_PHOTO = SIGNAL[SignalKind.IMAGE] + MODEL[SignalKind.IMAGE]
FIELD: Mapping[str, float] = {"attributes": 15e-6, "tags": 3e-6, "title": 1e-6}
"""Reading a field of one product for conditions; other fields: SHARED_FIELD."""
SHARED_FIELD = 0.2e-6
ATTRIBUTE_PART = 1.7e-6
"""Finding a part of a text in all attributes of one product."""
CONDITION = 0.6e-6
"""Any other condition on one product."""
FILTER_BYTE = 0.4e-6
"""Reading a byte of a filter in one search."""
FACET: Mapping[str, float] = {"attributes": 10e-6, "tags": 5e-6}
SHARED_FACET = 0.4e-6
FACET_VALUES = 30e-6
"""Counting the values of all attributes of one product."""
SORTED_PRODUCT = 0.1e-6
"""Comparing a product with others in the order of a listing."""
SUGGESTION = 0.004
"""Suggestions for a text, whose index is in memory."""
CANDIDATE = 40e-6
"""Reading and ranking a candidate of the request: estimated, not measured."""
GROUPED_CANDIDATE = 30e-6
"""Finding and ranking a candidate (estimated), and grouping it by its value of a field (2 µs; an
attribute: 15 µs)."""
LISTED_PRODUCT = 100e-6
"""Reading a product that a list looks at."""
FLAW = 1e-6
"""Looking at a product for a list of those with a flaw, which may be none."""

REPLAYED_ANSWER = 0.045
"""Reading a recorded answer of 600 candidates, and ranking them again by a changed scene."""

WRITTEN_PRODUCT = 0.001
"""Checking and storing a product (.1 ms), and then updating its columns and words."""
WRITTEN_ATTRIBUTE = 30e-6
WRITTEN_BYTE = 0.15e-6
"""Storing a byte of a product's fields, without photos."""
OFFER = DELETED_PRODUCT = 70e-6
TEXT_MODEL = 0.005
"""Embedding a product's text."""
TEXT_MODEL_CHARACTER = 30e-6
MOST_EMBEDDED = 1_000
"""Characters of a product that are embedded, at most."""
PHOTO, PHOTO_MODEL = SIGNAL[SignalKind.IMAGE], MODEL[SignalKind.IMAGE]
"""Decoding and embedding a product's photo."""


@fast_dataclass(frozen=True, slots=True)
class RequestPrice:
    """Processor seconds that a request may cost."""

    parts: Mapping[str, float]
    """By the request's fields; "": what any request costs."""
    models: float = 0.0
    """Of these, the seconds of models, which the services do not measure."""
    seconds: float = field(init=False)
    """Sum of the parts."""
    exempt: float = 0.0
    """Seconds, included in the price, that the queue of expensive requests ignores. For a query:
    those of one photo, which waits for decoders and models anyway. For a write: those of photos and
    models, which also run after its answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", sum(self.parts.values()))

    @property
    def queue_seconds(self) -> float:
        """Return the seconds that count for the queue of expensive requests."""
        return self.seconds - self.exempt

    @property
    def is_expensive(self) -> bool:
        """Return whether the request waits in the queue of expensive requests."""
        return self.queue_seconds > EXPENSIVE_SECONDS


_NOTHING = RequestPrice({})


@fast_dataclass(frozen=True, slots=True)
class PricedSizes:
    """Numbers of products that a request works on."""

    products: int
    """Of the catalog."""
    candidates: int
    """That the request fuses and ranks, at most."""


@fast_dataclass(frozen=True, slots=True)
class WriteSizes:
    """Sizes of products that a request writes."""

    products: int
    attributes: int
    bytes: int
    """Bytes of the products' fields, without photos."""
    texts: int
    """Number of products whose text is embedded."""
    characters: int
    """Upper bound of the characters of these texts."""
    photos: int


def price_of(
    query: RequestQuery,
    excluded: Sequence[CallersFilter],
    moved: Sequence[CallersFilter],
    sizes: PricedSizes,
    *,
    searches: int = 1,
    labelled: int = 0,
    detects: bool = False,
    last_products: int = 0,
) -> RequestPrice:
    """Return the price of Recommend, Search or List.

    `excluded`, `moved`: filters of controls that exclude, and of those that move candidates.
    `searches`: how often the signals are searched by: twice for an explanation. `labelled`:
    number of photos whose labels are read, once. `detects`: the anchors are products that are found
    in a photo. `last_products`: number of searches by the shopper's last products.
    """
    if query.page_token and not query.listed:  # its order was recorded
        return RequestPrice({"": BASE, "page_size": query.results_a_page * RESULT})
    grouping = query.grouping
    found = detection_price(MOST_IN_PHOTO) if detects else _NOTHING
    # A photo is searched as a whole only if nothing is found in it.
    in_photo = query.pictured if detects else None
    models, signals, photo = labelled * LABEL, 0.0, 0.0
    for each in query.signals:
        if each.kind in PHOTO_KINDS:
            photo = ONE_PHOTO
        if each is in_photo:
            continue
        signal, model = _signal(each), _model(each)
        models += searches * model
        signals += signal + (signal + model if query.corrects(each) else 0.0)
    return RequestPrice(
        {
            "": BASE,
            "page_size": query.results_a_page
            * RESULT
            * (1 if grouping is None else grouping.products_a_value),
            "signals": searches * signals + models,
            "filter": 0.0
            if query.filter is None
            else sizes.products * _of_filters([query.filter])
            + searches * _searches(query.signals) * FILTER_BYTE * len(query.filter.content),
            "controls": sizes.products * _of_filters(excluded)
            + sizes.candidates * _of_filters(moved)
            if excluded or moved
            else 0.0,
            "facets": sizes.products * _of_facets(query.facets) if query.facets else 0.0,
            "candidates": len(query.candidates) * CANDIDATE,
            "field": sizes.candidates * (0.0 if grouping is None else GROUPED_CANDIDATE),
            "sort": sizes.products * (SORTED_PRODUCT if query.listed else 0.0),
            "anchors": found.seconds + searches * last_products * SIGNAL[SignalKind.PRODUCT],
        },
        models + found.models,
        exempt=photo + labelled * LABEL + found.exempt,
    )


def together(prices: Mapping[str, RequestPrice]) -> RequestPrice:
    """Return the price of requests that run together, by their paths in the message.

    The queue of expensive requests counts those that are expensive by themselves.
    """
    if len(prices) == 1:
        ((path, price),) = prices.items()
        if not path:
            return price
    parts = {
        f"{path}.{name}".rstrip("."): seconds
        for path, price in prices.items()
        for name, seconds in price.parts.items()
    }
    queued = sum(price.queue_seconds for price in prices.values() if price.is_expensive)
    return RequestPrice(
        parts,
        sum(price.models for price in prices.values()),
        exempt=sum(parts.values()) - queued,
    )


def suggestion_price() -> RequestPrice:
    """Return the price of suggestions for a text."""
    return RequestPrice({"": SUGGESTION})


def decoding_beyond(photo: bytes) -> float:
    """Return the seconds of decoding a photo beyond those of a usual one."""
    return max(0.0, decoding_seconds(photo) - PHOTO)


def photo_price(shown: bytes = b"") -> RequestPrice:
    """Return the price of a question about one photo. Empty: a photo of another host."""
    seconds = ONE_PHOTO + decoding_beyond(shown)
    return RequestPrice({"": BASE + seconds}, MODEL[SignalKind.IMAGE], seconds)


def detection_price(detections: int) -> RequestPrice:
    """Return the price of finding up to this many products in a photo: each is embedded and
    searched."""
    photo = BASE + ONE_PHOTO + FINDING_OBJECTS
    embedding = detections * VIEWS_A_DETECTION * DETECTION_VIEW
    parts = {"": photo, "max_detections": embedding + detections * DETECTION}
    models = MODEL[SignalKind.IMAGE] + FINDING_OBJECTS + embedding
    return RequestPrice(parts, models, exempt=photo + embedding)


def unused_detection_seconds(detections: int, views: int) -> float:
    """Return the part of `detection_price` that is given back after `views` were embedded."""
    return max(0, detections * VIEWS_A_DETECTION - views) * DETECTION_VIEW


def misfits_price(products: int) -> RequestPrice:
    """Return the price of looking for photos that do not fit these products."""
    return RequestPrice({"": BASE, "page_size": products * PHOTOS_A_PRODUCT * DETECTION})


def list_price(
    condition: CallersFilter | None, page_size: int, products: int, flaw: str = ""
) -> RequestPrice:
    """Return the price of a page of a list of products. `flaw`: field of the request by which only
    products with a flaw are listed; empty: all are."""
    looked = {flaw: products * FLAW} if flaw else {}
    if condition is None:
        return RequestPrice({"": BASE, "page_size": page_size * LISTED_PRODUCT, **looked})
    passing = _passing_price(condition, min(products, LISTED))
    return RequestPrice({**passing.parts, **looked})


def write_price(sizes: WriteSizes) -> RequestPrice:
    """Return the price of writing products, with their texts and photos."""
    models = (
        sizes.texts * TEXT_MODEL
        + sizes.characters * TEXT_MODEL_CHARACTER
        + sizes.photos * PHOTO_MODEL
    )
    decoding = sizes.photos * PHOTO
    products = (
        sizes.products * WRITTEN_PRODUCT
        + sizes.attributes * WRITTEN_ATTRIBUTE
        + sizes.bytes * WRITTEN_BYTE
    )
    parts = {"": BASE, "products": products, "images": decoding, "models": models}
    return RequestPrice(parts, models, exempt=decoding + models)


def offers_price(offers: int) -> RequestPrice:
    """Return the price of setting offers."""
    return RequestPrice({"": BASE, "offers": offers * OFFER})


def deletion_price(products: int) -> RequestPrice:
    """Return the price of deleting products."""
    return RequestPrice({"": BASE, "product_ids": products * DELETED_PRODUCT})


def purge_price(condition: CallersFilter, products: int) -> RequestPrice:
    """Return the price of counting, and deleting, the products of a catalog that pass a filter."""
    return _passing_price(condition, products)


def _passing_price(condition: CallersFilter, products: int) -> RequestPrice:
    """Return the price of finding the products that pass a filter among some."""
    seconds = products * (LISTED_PRODUCT + _of_filters([condition]))
    return RequestPrice({"": BASE, "filter": seconds})


def diff_price(answers: int, anew: Sequence[RequestPrice] = ()) -> RequestPrice:
    """Return the price of comparing recorded answers with those of a changed scene.

    `anew`: prices of the answers that are given anew.
    """
    seconds = answers * REPLAYED_ANSWER + sum(each.seconds for each in anew)
    models = sum(each.models for each in anew)
    return RequestPrice({"": BASE, "answer_count": seconds}, models)


def goals_price(filters: Sequence[CallersFilter], products: int) -> RequestPrice:
    """Return the price of counting the products of a catalog that pass each of some filters."""
    seconds = sum(products * (CONDITION + _of_filters([each])) for each in filters)
    return RequestPrice({"": BASE, "toml": seconds})


def step_price() -> RequestPrice:
    """Return the price of a call whose work is small or is measured as it is done: opening an
    import, reading watches and alerts, most calls of operators."""
    return RequestPrice({"": BASE})


def _signal(signal: Signal) -> float:
    return SIGNAL.get(signal.kind, 0.0) + len(signal.text) * CHARACTER


def _model(signal: Signal) -> float:
    return MODEL.get(signal.kind, 0.0) + len(signal.text) * MODEL_CHARACTER


def _searches(signals: Sequence[Signal]) -> int:
    """Return the number of searches, each of which reads the filter: a text is searched for as a
    vector and by its words."""
    return sum(2 if signal.kind is SignalKind.TEXT else 1 for signal in signals)


def _of_filters(filters: Iterable[CallersFilter]) -> float:
    """Return the seconds of evaluating filters together on one product."""
    work = FilterWork()
    for each in filters:
        work = work.beside(work_of(each.message))
    fields = sum(FIELD.get(name, SHARED_FIELD) for name in work.fields)
    return fields + work.attribute_parts * ATTRIBUTE_PART + work.conditions * CONDITION


def _of_facets(facets: Sequence[FacetRequest]) -> float:
    """Return the seconds of counting facets on one product."""
    names = ["attributes" if each.field.startswith(ATTRIBUTES) else each.field for each in facets]
    each = sum(FACET.get(name, SHARED_FACET) for name in names)
    return each + (FACET_VALUES if "attributes" in names else 0.0)
