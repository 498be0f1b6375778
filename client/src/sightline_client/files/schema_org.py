"""Products of schema.org: the objects of a page that are products, and their properties.

`markup` reads the objects of a page; `pages` reads the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from urllib.parse import unquote, urljoin

from sightline_client.files import numerals, texts
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Cells, Shape, by_row
from sightline_client.files.export_columns import SCHEMA_ORG
from sightline_client.files.mapping import put

Node = Mapping[str, object]

PRODUCTS = frozenset({"Product", "IndividualProduct", "ProductModel", "SomeProducts", "Vehicle"})
GROUP = "ProductGroup"
PAGE, FOLDER, LANGUAGE, TRAIL = "@page", "@folder", "@language", "@trail"
"""Columns of a product's page: its address; its folder among the saved pages; its language; the
names of its breadcrumbs."""
_OWN = frozenset(
    {
        "@id",
        "@type",
        "sku",
        "productid",
        "offers",
        "url",
        "hasvariant",
        "variesby",
        "productgroupid",
    }
)
"""Properties of a group that are none of its variants."""
_STATES = {
    **dict.fromkeys(("instock", "instoreonly", "limitedavailability", "onlineonly"), "in_stock"),
    "madetoorder": "in_stock",
    **dict.fromkeys(("outofstock", "soldout", "discontinued", "reserved"), "out_of_stock"),
    **dict.fromkeys(("preorder", "presale"), "preorder"),
    "backorder": "backorder",
}
_GTINS = ("gtin", "gtin14", "gtin13", "gtin12", "gtin8", "isbn")
_ATTRIBUTES = ("mpn", "color", "size", "material", "pattern", "model")
_REFERRED = (
    *("offers", "pricespecification", "brand", "manufacturer", "image", "aggregaterating"),
    *("category", "audience", "additionalproperty", "inventorylevel"),
)
"""Properties whose values may be references to other objects of the page: {"@id": …}."""
_NO_PRICES = re.compile(
    r"(listprice|msrp|srp|strikethroughprice|invoiceprice|minimumadvertisedprice)$"
)
"""Types of prices that nobody pays."""
_DEEPEST = 3
"""References within references that are followed."""
_MOST = 100_000
"""Maximum number of objects that are looked through for products."""


def products_of(objects: Sequence[object]) -> list[Node]:
    """Return the products that a page describes: one for each variant of a group, with what all
    share. Products of lists count only if the page has no other. Names are in lower case."""
    nodes = [_small(each) for each in _flat(objects)]
    references = _References(nodes)
    nodes = [references.linked(each) for each in nodes]
    by_id = {str(each["@id"]): each for each in nodes if isinstance(each.get("@id"), str)}
    main = [each for each in nodes if _types(each) & {*PRODUCTS, GROUP}]
    listed = [product for each in nodes if "ItemList" in _types(each) for product in _listed(each)]
    found = [variant for each in main or listed for variant in _variants(each, by_id)]
    return list(_merged(found).values())


def trail_of(objects: Sequence[object]) -> list[str]:
    """Return the names of the first breadcrumbs of a page, from the top."""
    for node in map(_small, _flat(objects)):
        if "BreadcrumbList" in _types(node):
            steps = [_small(each) for each in _list(node.get("itemlistelement")) if _is(each)]
            steps.sort(key=lambda step: _number(step.get("position")) or Decimal(0))
            names = [_text(step.get("name")) or _text(step.get("item")) for step in steps]
            return [name for name in names if name]
    return []


def _flat(objects: Sequence[object]) -> Iterator[Node]:
    """Yield the objects of a page, those of graphs, and what pages are about."""
    pending, count = [*reversed(objects)], 0
    while pending and count < _MOST:
        each, count = pending.pop(), count + 1
        if isinstance(each, list):
            pending += reversed(each)
        elif isinstance(each, Mapping):
            yield each
            for inner in (each.get("@graph"), each.get("mainEntity")):
                pending += [inner] if isinstance(inner, list | Mapping) else []


def _listed(node: Node) -> Iterator[Node]:
    for each in _list(node.get("itemlistelement")):
        inner = _small(each) if _is(each) else {}
        item = inner.get("item")
        product = _small(item) if _is(item) else inner
        if _types(product) & {*PRODUCTS, GROUP}:
            yield product


def _variants(node: Node, by_id: Mapping[str, Node]) -> Iterator[Node]:
    """Yield the variants of a group, or the product itself."""
    variants = [_resolved(each, by_id) for each in _list(node.get("hasvariant"))]
    if not variants:
        above = _resolved(node.get("isvariantof"), by_id)
        yield {**_shared(above), **node, **({"isvariantof": above} if above else {})}
        return
    for each in variants:
        yield {**_shared(node), **each, "isvariantof": node}


def _shared(group: Node) -> Cells:
    return {name: value for name, value in group.items() if name not in _OWN}


def _resolved(value: object, by_id: Mapping[str, Node]) -> Node:
    """Return an object, or the one of the page that a reference means."""
    node = _small(value) if _is(value) else {}
    named = by_id.get(str(node.get("@id", "")), {})
    return {**named, **node}


class _References:
    """The objects of a page that others may refer to."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._by_id = {str(each["@id"]): each for each in nodes if isinstance(each.get("@id"), str)}
        self._left = _MOST

    def linked(self, node: Node, depth: int = _DEEPEST) -> Node:
        """Return an object with the ones that it refers to in the place of references."""
        self._left -= 1
        small = _small(node)
        if len(small) == 1 and "@id" in small:
            small = self._by_id.get(str(small["@id"]), small)
        if depth == 0 or self._left < 0:
            return small
        found: dict[str, object] = {}
        for name in _REFERRED:
            value = small.get(name)
            if isinstance(value, Mapping):
                found[name] = self.linked(value, depth - 1)
            elif isinstance(value, list):
                found[name] = [
                    self.linked(one, depth - 1) if isinstance(one, Mapping) else one
                    for one in value[: max(self._left, 0)]
                ]
        return {**small, **found} if found else small


def _merged(found: Sequence[Node]) -> dict[str, Node]:
    """Merge what several objects of a page say of one product: the first counts."""
    merged: dict[str, Node] = {}
    for place, node in enumerate(found):
        key = _id(node) or f" {place}"
        merged[key] = {**node, **merged.get(key, {})}
    return merged


def _read(cells: Node) -> Iterator[Cells]:
    """Convert one product."""
    made = Cells()
    page = _text(cells.get(PAGE))
    offer = _offer(cells.get("offers"))
    uri = _text(cells.get("url")) or _text(offer.get("url"))
    made["uri"] = _absolute(uri, page) if uri else page
    made["id"] = _absolute(_id(cells), page) or made["uri"]
    made["parent_id"] = _group(cells, page, str(made["id"]))
    for ours, value in {
        "title": _text(cells.get("name")),
        "description": _text(cells.get("description")),
        "brand": _text(cells.get("brand")) or _text(cells.get("manufacturer")),
        "language": _text(cells.get("inlanguage")) or _text(cells.get(LANGUAGE)),
        "tags": _texts(cells.get("keywords")),
    }.items():
        if value:
            put(made, ours, value if isinstance(value, str) else "|".join(value))
    made["category"] = _category(cells)
    made["images"] = _images(cells, page)
    _prices(offer, made)
    _ratings(cells.get("aggregaterating"), made)
    made["attributes"] = _attributes(cells, offer)
    yield made


def _id(node: Node) -> str:
    names = ("sku", "productid", *_GTINS, "mpn", "productgroupid", "@id")
    return next((text for name in names if (text := _text(node.get(name)))), "")


def _absolute(name: str, page: str) -> str:
    """Return an address or id of a page, which may be relative: `#product` is one on any page."""
    if not name.startswith(("#", "/", "?", "./", "../")) or not page:
        return "" if name.startswith("#") else name
    with suppress(ValueError):
        return urljoin(page, name)
    return name


def _group(cells: Node, page: str, own: str) -> str:
    """Return the id of the product's group; "" = it is in none."""
    above = cells.get("isvariantof")
    group = _small(above) if _is(above) else {}
    named = _text(group.get("productgroupid")) or _text(cells.get("inproductgroupwithid"))
    found = named or _absolute(_id(group), page)
    return "" if found == own else found


def _offer(value: object) -> Node:
    """Return the offer that counts: the cheapest that can be bought, else the first; of an
    aggregate, its lowest price and whether any of its offers can be bought."""
    offers = [_small(each) for each in _list(value) if _is(each)]
    if len(offers) == 1 and (inner := _list(offers[0].get("offers"))):
        chosen = _offer(inner)
        return {**chosen, **{name: each for name, each in offers[0].items() if name != "offers"}}
    can = [each for each in offers if _state(each) in ("", "in_stock")]
    priced = [each for each in can or offers if _price(each) is not None]
    if priced:
        return min(priced, key=lambda each: _price(each) or 0)
    return offers[0] if offers else {}


def _price(offer: Node) -> Decimal | None:
    amount = _amount(offer)[0]
    found = numerals.amount(str(amount))
    return None if found is None else _number(found[0])


def _amount(offer: Node) -> tuple[object, str]:
    """Return an offer's price and the code of its currency."""
    inner = _paid([_small(each) for each in _list(offer.get("pricespecification")) if _is(each)])
    for source, name in (
        (offer, "price"),
        (inner, "price"),
        (offer, "lowprice"),
        (inner, "minprice"),
    ):
        if source.get(name) not in (None, ""):
            code = _text(source.get("pricecurrency")) or _text(offer.get("pricecurrency"))
            return source[name], code
    return "", ""


def _paid(specifications: Sequence[Node]) -> Node:
    """Return the price that a shopper pays: one for sale, else one of no type; no list price, none
    for members and none per unit of measure, unless there is no other."""

    def rank(each: Node) -> int:
        kind = re.split(r"[/#:]", _text(each.get("pricetype")))[-1].lower()
        if _NO_PRICES.search(kind):
            return 4
        if each.get("validformembertier") or each.get("referencequantity"):
            return 3
        return {"saleprice": 0, "": 1}.get(kind, 2)

    return min(specifications, key=rank, default={})


def _state(offer: Node) -> str:
    """Return an offer's availability as our column has it, or as it was written."""
    written = _text(offer.get("availability"))
    name = re.split(r"[/#:]", written)[-1].lower().replace("_", "").replace(" ", "")
    return _STATES.get(name, written)


def _prices(offer: Node, made: Cells) -> None:
    amount, code = _amount(offer)
    if amount != "":
        if code:
            made["currency"] = code.upper()
        put(made, "price", amount if isinstance(amount, str | int | Decimal) else str(amount))
    if state := _state(offer):
        made["available"] = state
    level = offer.get("inventorylevel")
    stock = _small(level).get("value") if _is(level) else level
    if stock not in (None, ""):
        made["stock"] = stock


def _ratings(value: object, made: Cells) -> None:
    """Set the mean rating, on a scale to 5 with one decimal, and how many there are."""
    rating = _small(value) if _is(value) else {}
    mean, best = _number(rating.get("ratingvalue")), _number(rating.get("bestrating"))
    if mean is not None:
        scaled = mean * 5 / best if best else mean
        made["rating"] = str(round(scaled, 1))
    count = rating.get("ratingcount") or rating.get("reviewcount")
    if count:
        made["rating_count"] = count


def _category(cells: Node) -> object:
    """Return the category's levels, else the breadcrumbs without the shop and the product."""
    for each in _list(cells.get("category")):
        text = _text(each)
        if text and not text.startswith(("https://", "http://")):
            whole = texts.plain(text)
            return [part.strip() for part in re.split(r"\s*>\s*|\s+/\s+", whole) if part.strip()]
    trail = [str(step) for step in _list(cells.get(TRAIL))]
    if trail and trail[-1].casefold() == _text(cells.get("name")).casefold():
        trail = trail[:-1]
    return trail[1:] if trail and trail[0].casefold() in ("home", "start", "shop") else trail


def _images(cells: Node, page: str) -> list[str]:
    """Return the addresses of the photos; a relative one is below the page's address, or, where
    that is unknown, below the saved page's folder."""
    folder = _text(cells.get(FOLDER))
    found = []
    for each in _list(cells.get("image")):
        node = _small(each) if _is(each) else {}
        name = _text(node.get("contenturl")) or _text(node.get("url")) or _text(each)
        if name.startswith("//"):
            name = f"https:{name}"
        if name and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name):
            beside = "/".join(filter(None, (folder, unquote(name))))
            name = _absolute(f"./{name.removeprefix('./')}", page) if page else beside
        if name and not name.startswith("data:"):
            found.append(name)
    return list(dict.fromkeys(found))


def _attributes(cells: Node, offer: Node) -> Cells:
    found: Cells = {}
    if gtin := next((text for name in _GTINS if (text := _text(cells.get(name)))), ""):
        found["gtin"] = gtin
    for name in _ATTRIBUTES:
        if text := _text(cells.get(name)):
            found[name] = text
    audience = cells.get("audience")
    if _is(audience) and (text := _text(_small(audience).get("suggestedgender"))):
        found["gender"] = text.lower()
    condition = _text(offer.get("itemcondition")) or _text(cells.get("itemcondition"))
    if condition:
        found["condition"] = re.split(r"[/#:]", condition)[-1].removesuffix("Condition").lower()
    for each in _list(cells.get("additionalproperty")):
        node = _small(each) if _is(each) else {}
        key = attribute_key(_text(node.get("name")))
        value = node.get("value")
        if key and value not in (None, ""):
            plain = isinstance(value, bool | int | float | Decimal)
            found.setdefault(key, value if plain else _text(value))
    return found


# Values of JSON-LD: each may be one or a list, a text or an object with a name.


def _is(value: object) -> bool:
    return isinstance(value, Mapping)


def _small(node: object) -> Node:
    return (
        {str(name).lower(): each for name, each in node.items()}
        if isinstance(node, Mapping)
        else {}
    )


def _types(node: Node) -> set[str]:
    return {re.split(r"[/#:]", str(each))[-1] for each in _list(node.get("@type"))}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: object) -> str:
    """Return a value's text: the first of a list, the name or value of an object."""
    if isinstance(value, list):
        return next((text for each in value if (text := _text(each))), "")
    if isinstance(value, Mapping):
        node = _small(value)
        return next(
            (text for name in ("@value", "name", "value") if (text := _text(node.get(name)))), ""
        )
    if value is None or isinstance(value, bool):
        return ""
    return str(value).strip()


def _texts(value: object) -> list[str]:
    found = [_text(each) for each in _list(value)]
    parts = found[0].split(",") if len(found) == 1 else found
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _number(value: object) -> Decimal | None:
    """Read a number of JSON-LD, which has a decimal point; some shops write a comma."""
    found = numerals.readings(_text(value))
    return found.get(".", found.get(","))


SHAPE = Shape(
    "schema-org",
    "a page with products of schema.org",
    frozenset({"@type"}),
    by_row(_read),
    SCHEMA_ORG,
    typed=True,
)
