"""Requests of the comparison: messages for the suite, and HTTP for the monolith."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from bench.datasets import unique
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import requests

SEED = 16
PAGE_SIZE = 10
PRODUCT, USER, PHOTO, SEARCH, TEXT = "product", "user", "photo", "search", "text"
ANCHORED, FIRST = "anchored", "first"
WORDS: Mapping[str, str] = {
    PRODUCT: "recommend by product",
    FIRST: "recommend by product, its first view",
    USER: "recommend for a user",
    PHOTO: "recommend by photo",
    SEARCH: "search by product",
    TEXT: "search by text",
    ANCHORED: "recommend to an anchor",
}
"""Kinds of requests, as in the tables."""
WHOLE, SPARSE = ("also-viewed", "similar"), "bought-together"
"""Scenes that are requested with an anchor, in turn. `bought-together` may return few products, or
none.
"""
_SERVICE = "/sightline.gateway.v1.RecommendationService/"
RECOMMEND, FIND = f"{_SERVICE}Recommend", f"{_SERVICE}Search"


@dataclass(frozen=True, slots=True)
class LoadQuestion:
    """One question in both forms."""

    method: str
    """Method of the gateway."""
    message: bytes
    http: bytes
    """The whole request, head and body."""
    least: int = PAGE_SIZE
    """Number of products in the suite's answer."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Possible requests to a catalog."""

    products: Sequence[str] = ()
    users: Sequence[str] = ()
    photos: Sequence[bytes] = ()
    """JPEG files; each request sends different bytes."""
    texts: Sequence[str] = ()
    catalog: str = "default"
    anchors: Sequence[str] = ()
    """Products whose pages are requested."""

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of question that this catalog allows."""
        asked = {
            PRODUCT: self.products,
            USER: self.users,
            PHOTO: self.photos,
            SEARCH: self.products,
            TEXT: self.texts,
            ANCHORED: self.anchors,
        }
        return tuple(kind for kind, of in asked.items() if of)

    def first_views(self) -> Iterator[LoadQuestion]:
        """Yield each product's page once, in the order in which `endless` has them."""
        return itertools.islice(self.endless(PRODUCT), len(self.products))

    def endless(self, kind: str) -> Iterator[LoadQuestion]:
        """Yield questions of a kind without end, in a fixed random order."""
        draw = random.Random(f"{SEED}/{kind}")
        if kind == PHOTO:
            yield from (by_photo(each, self.catalog) for each in unique.unique(list(self.photos)))
        given = {USER: self.users, TEXT: self.texts, ANCHORED: self.anchors}
        of = given.get(kind, self.products)
        order = itertools.cycle(draw.sample(range(len(of)), len(of)))
        if kind == ANCHORED:
            scenes = itertools.cycle((*WHOLE, SPARSE))
            yield from (beside(of[place], next(scenes), self.catalog) for place in order)
        make = {PRODUCT: by_product, USER: for_user, SEARCH: near, TEXT: by_text}[kind]
        yield from (make(of[place], self.catalog) for place in order)


def by_product(product: str, catalog: str = "default") -> LoadQuestion:
    """Recommend by a product."""
    asked = requests.recommend(products=product, page_size=PAGE_SIZE, catalog=catalog)
    path = f"/recommend/product?product={quote(product, safe='')}&page_size={PAGE_SIZE}"
    return LoadQuestion(RECOMMEND, asked.SerializeToString(), get(path))


def beside(product: str, scene: str, catalog: str = "default") -> LoadQuestion:
    """Recommend to an anchor; the monolith gets the same request as by a product."""
    asked = requests.recommend(anchors=product, scene=scene, page_size=PAGE_SIZE, catalog=catalog)
    least = 0 if scene == SPARSE else PAGE_SIZE
    return replace(by_product(product), message=asked.SerializeToString(), least=least)


def for_user(user: str, catalog: str = "default") -> LoadQuestion:
    """Recommend for a user."""
    asked = requests.recommend(user=user, page_size=PAGE_SIZE, catalog=catalog)
    path = f"/recommend/user?user={quote(user, safe='')}&page_size={PAGE_SIZE}"
    return LoadQuestion(RECOMMEND, asked.SerializeToString(), get(path))


def by_photo(photo: bytes, catalog: str = "default") -> LoadQuestion:
    """Recommend by a photo."""
    asked = requests.recommend(images=[photo], page_size=PAGE_SIZE, catalog=catalog)
    head = (
        f"POST /recommend/photo?page_size={PAGE_SIZE} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: image/jpeg\r\ncontent-length: {len(photo)}\r\n\r\n"
    )
    return LoadQuestion(RECOMMEND, asked.SerializeToString(), head.encode() + photo)


def near(product: str, catalog: str = "default") -> LoadQuestion:
    """Search by a product."""
    asked = _search(rec.QuerySignal(product_id=product), catalog)
    path = f"/search/product?product={quote(product, safe='')}&page_size={PAGE_SIZE}"
    return LoadQuestion(FIND, asked.SerializeToString(), get(path))


def by_text(text: str, catalog: str = "default") -> LoadQuestion:
    """Search by a text."""
    asked = _search(rec.QuerySignal(text=text), catalog)
    path = f"/search/text?text={quote(text, safe='')}&page_size={PAGE_SIZE}"
    return LoadQuestion(FIND, asked.SerializeToString(), get(path))


def _search(near: rec.QuerySignal, catalog: str) -> rec.SearchRequest:
    return rec.SearchRequest(catalog_id=catalog, signals=[near], page_size=PAGE_SIZE)


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
