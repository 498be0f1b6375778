"""Options of the calls that ask for products.

Each option is defined here once. The signatures of the clients, the messages
(``convert.requests``), the command line (``cli.base.query``) and the lines of a batch
(``cli.work.asking``) follow from these types. They are ``TypedDict``, because editors complete
their keys in a call, show the type and the text under each, and check a dictionary of options that
is passed with ``**``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from sightline_client.values.answers import AnswerQuality
from sightline_client.values.controls import Control
from sightline_client.values.filters import Filter
from sightline_client.values.parts import FacetQuery, Unlike
from sightline_client.values.products import Sort
from sightline_client.values.signals import Box

if TYPE_CHECKING:
    from sightline_client.values.photos import Photo
else:
    Photo = object


class QueryOptions(TypedDict, total=False):
    """Options of every query: the signals to search by, and the filter.

    Photos, the text and the products are signals, up to 8 in all.
    """

    image: Photo | None
    """A photo to search by."""
    images: Iterable[Photo]
    """Further photos to search by."""
    text: str | None
    """Text to search by."""
    products: str | Iterable[str]
    """Ids of products to search by."""
    filter: Filter | None
    """Filter that products must pass; `None`: all pass."""
    market: str
    """Id of the market: only products that are sold there, with its prices, availability, titles,
    languages and addresses; "": no market."""
    page_size: int
    """Number of products on a page, 1 to 200; 0: 20."""
    min_index_token: str
    """Index token of a catalog write that the answer must include; "": no condition."""
    unlike: Unlike | None
    """Photos, texts and products that results are to be unlike."""
    box: Box | None
    """Part of the photos to search by; `None`: the whole photos."""
    as_typed: bool
    """Search the text as it was typed, without correction of typing errors."""
    timeout: float | None
    """Timeout of the call in seconds; `None`: the client's default."""


class SearchOptions(QueryOptions, total=False):
    """Options of ``search``."""

    facets: Iterable[FacetQuery | str]
    """Fields whose values are counted over all products that pass the filter."""
    sort: Sort
    """Order of the nearest 100 products, or of as many as five pages hold."""
    read_labels: bool
    """Read the labels of up to 3 photos, and search for their words too."""
    language: str
    """BCP 47 language of the text; "": the catalog's, else "en"."""


class RecommendOptions(QueryOptions, total=False):
    """Options of ``recommend``, ``recommend_pages`` and ``explain``.

    With no signal, user or visitor, the answer holds popular products.
    """

    user: str | None
    """Id of a known customer; excludes ``visitor``."""
    visitor: str | None
    """Id of a visitor who is not logged in; excludes ``user``."""
    session: str
    """Id of the visit, up to 128 bytes; "" if unknown."""
    scene: str
    """Name of the scene; "": "default"."""
    language: str
    """BCP 47 language of the reasons and of the text; "": the catalog's, else "en"."""
    exclude: str | Iterable[str]
    """Ids of products to exclude, up to 1,000."""
    min_quality: float
    """Similarity (0 to 1) below which ``no_good_match`` is set; 0: the scene's value."""
    min_answer_quality: AnswerQuality | None
    """Minimum quality: poorer answers are rejected with Unavailable (ANSWER_DEGRADED). `None`: the
    scene's value."""
    explain: bool
    """Split the parts of scores by feature, on the first page."""
    anchors: str | Iterable[str]
    """Ids of the products that the request is about, up to 50, most important first: the product
    of a page, or those of a cart."""
    followed: str | Iterable[str]
    """Values that the shopper follows, such as authors, up to 1,000; for a scene that names
    ``followed_attribute``."""
    audiences: str | Iterable[str]
    """Groups that the visit belongs to, as you name them, such as a segment ("vip") or a device
    ("device:phone"), up to 16: conditions of the scene's controls."""
    controls: Iterable[Control]
    """Pins, boosts, burials and exclusions, up to 50; ``control_outcomes`` reports their effects.
    """
    candidates: Mapping[str, float | None] | Iterable[str]
    """Ids of your own products to rank, up to 2,000, in place of products of the catalog; a mapping
    gives their scores, higher is better. Excludes signals, ``anchors`` and ``followed``."""
    not_personal: bool
    """If true, answer as for an unknown shopper: ``user``, ``visitor`` and ``session`` are neither
    used nor stored."""


class ListOptions(TypedDict, total=False):
    """Options of ``listing``."""

    filter: Filter | None
    """Filter that products must pass; `None`: all pass."""
    market: str
    """Id of the market: only products that are sold there, with its prices, availability, titles,
    languages and addresses; "": no market."""
    text: str
    """Text of a search box: only products that have its words; "": all."""
    sort: Sort
    """Order of all products that pass. The default, and ``Sort.NEAREST``: with ``text`` by
    relevance, the match of its words, else most popular first, and each page in the order of the
    shopper. ``Sort.RELEVANCE`` needs ``text``."""
    page_size: int
    """Number of products on a page, 1 to 200; 0: 20."""
    facets: Iterable[FacetQuery | str]
    """Fields whose values are counted over all products that pass, on the first page."""
    user: str | None
    """Id of a known customer; excludes ``visitor``."""
    visitor: str | None
    """Id of a visitor who is not logged in; excludes ``user``."""
    session: str
    """Id of the visit, up to 128 bytes; "" if unknown."""
    not_personal: bool
    """If true, answer as for an unknown shopper."""
    scene: str
    """Name of the scene; "": "default"."""
    language: str
    """BCP 47 language of the reasons; "": "en"."""
    exclude: str | Iterable[str]
    """Ids of products to exclude, up to 1,000."""
    audiences: str | Iterable[str]
    """Groups that the visit belongs to; see ``RecommendOptions``."""
    controls: Iterable[Control]
    """Pins, burials and exclusions, up to 50."""
    explain: bool
    """Split the parts of a shopper's scores by feature."""
    min_answer_quality: AnswerQuality | None
    """Minimum quality: poorer answers are rejected with Unavailable (ANSWER_DEGRADED). `None`: the
    scene's value."""
    if_none_match: str
    """``etag`` of an earlier page of the same request: an unchanged page is not sent again."""
    timeout: float | None
    """Timeout of the call in seconds; `None`: the client's default."""


class ShelvesOptions(TypedDict, total=False):
    """Options of ``shelves``, for all of them."""

    user: str | None
    """Id of a known customer; excludes ``visitor``."""
    visitor: str | None
    """Id of a visitor who is not logged in; excludes ``user``."""
    session: str
    """Id of the visit, up to 128 bytes; "" if unknown."""
    language: str
    """BCP 47 language of the reasons; "": "en"."""
    not_personal: bool
    """If true, answer as for an unknown shopper."""
    market: str
    """Id of the market, for shelves that name none; "": no market."""
    timeout: float | None
    """Timeout of the call in seconds; `None`: the client's default."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A shelf: a titled row of products. Exactly one query is given, without the options of
    ``ShelvesOptions``."""

    shelf_id: str
    """Id of the shelf, such as that of its title: 1 to 64 characters, unique in the request."""
    recommend: RecommendOptions | None = None
    search: SearchOptions | None = None
    listing: ListOptions | None = None
