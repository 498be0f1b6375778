"""A request for products, as a form and an address hold it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from sightline_client import FilterSyntaxError, parse_filter
from sightline_client.cli.language import _
from sightline_client.errors import SightlineError
from sightline_client.values.products import Sort
from sightline_client.values.requests import ListOptions, RecommendOptions, SearchOptions
from sightline_client.values.signals import Box
from sightline_console.screens.visit import SHOPPER_FORBIDDEN, text_of
from sightline_console.web.addresses import address

SIZES = range(1, 101)
USUAL_SIZE = 12
SORTS = (Sort.PRICE_RISING, Sort.PRICE_FALLING, Sort.NEWEST, Sort.BRAND, Sort.RATING)
"""Orders beside the recommended one."""
_SIDES = ("left", "top", "right", "bottom")
_WHOLE = {"left": "0", "top": "0", "right": "100", "bottom": "100"}
_FIELDS = (
    (re.compile(r"(?:request\.)?signals\[\d+\]\.(?:image|box)"), "photo"),
    (re.compile(r"(?:request\.)?signals\[\d+\]\.text"), "text"),
    (re.compile(r"(?:request\.)?signals\[\d+\]\.product_id"), "product"),
    (re.compile(r"(?:request\.)?filter\.market_id"), "market"),
    (re.compile(r"(?:request\.)?filter"), "filter"),
    (re.compile(r"(?:request\.)?shopper"), "shopper"),
    (re.compile(r"(?:request\.)?scene"), "scene"),
    (re.compile(r"(?:request\.)?page_size"), "size"),
    (re.compile(r"(?:request\.)?text"), "text"),
    (re.compile(r"product_id"), "why"),
)
"""The contract's field → the form's."""
_REASONS = (
    (re.compile(r"IMAGES?_"), "photo"),
    (re.compile(r"FILTER_"), "filter"),
    (re.compile(r"SCENE_"), "scene"),
    (re.compile(r"MARKET_"), "market"),
)
"""Reasons that name no field → the form's field."""


class AskedInvalid(Exception):
    """A request with invalid fields."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        """`problems`: field of the form → what is wrong with it, for the user."""
        super().__init__(", ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a request, as text; empty: not given."""

    photo: str = ""
    """Id of a photo that the session keeps."""
    left: str = ""
    """Edges of the part of the photo that is meant, in percent."""
    top: str = ""
    right: str = ""
    bottom: str = ""
    text: str = ""
    product: str = ""
    kind: str = ""
    """"user" for a known customer, else a visitor."""
    shopper: str = ""
    who: str = ""
    """Reference to a shopper that the session keeps, in place of `kind` and `shopper` in addresses:
    these are logged."""
    filter: str = ""
    scene: str = ""
    market: str = ""
    size: str = ""
    sort: str = ""
    page: str = ""
    """Token of a later page."""

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Self:
        """Return the request of a form or an address."""
        values = {each.name: str(given.get(each.name, "")).strip() for each in fields(cls)}
        for side, whole in _WHOLE.items():
            if values[side] == whole:
                values[side] = ""
        values["kind"] = "user" if values["kind"] == "user" else ""
        return cls(**values)

    def address(self, path: str, **more: str) -> str:
        """Return the address of a page for this request, with further values."""
        return address(path, [*self.values(), *more.items()])

    def values(self) -> list[tuple[str, str]]:
        """Return the fields that are given, without the page, and without a shopper that `who`
        refers to."""
        left_out = ("page", "kind", "shopper") if self.who else ("page",)
        held = [(each.name, str(getattr(self, each.name))) for each in fields(self)]
        return [(name, value) for name, value in held if value and name not in left_out]

    def narrowed(self, condition: str) -> "Asked":
        """Return the request with a further condition in its filter, from its first page."""
        joined = f"{self.filter} AND {condition}" if self.filter else condition
        return replace(self, filter=joined, page="")

    def sorted_by(self, sort: str) -> "Asked":
        """Return the request in another order, from its first page."""
        return replace(self, sort=sort, page="")

    def without(self, *names: str) -> "Asked":
        """Return the request without some of its fields, from its first page."""
        return replace(self, **dict.fromkeys(names, ""), page="")

    @property
    def has_signal(self) -> bool:
        """True if the request names a photo, a text or a product."""
        return bool(self.photo or self.text or self.product)

    def recommending(self, photo: bytes | None, language: str) -> RecommendOptions:
        """Return the options of a call. Raises AskedInvalid."""
        searching = self.searching(photo, language)
        made: RecommendOptions = {
            "image": searching["image"],
            "box": searching["box"],
            "text": searching["text"],
            "products": searching["products"],
            "filter": searching["filter"],
            "market": searching["market"],
            "page_size": searching["page_size"],
            "language": language,
            "scene": self.scene,
        }
        if self.shopper and self.kind == "user":
            made["user"] = self.shopper
        elif self.shopper:
            made["visitor"] = self.shopper
        return made

    def searching(self, photo: bytes | None, language: str) -> SearchOptions:
        """Return the options of a search, which knows no shopper and no scene. Raises
        AskedInvalid."""
        problems: dict[str, str] = {}
        made: SearchOptions = {
            "image": photo,
            "box": self._box(problems) if photo else None,
            "text": self.text or None,
            "products": (self.product,) if self.product else (),
            "market": self.market,
            "page_size": self._size(problems),
            "language": language,
            "sort": Sort(self.sort) if self.sort in SORTS else Sort.NEAREST,
        }
        if self.who and not self.shopper:
            problems["shopper"] = _("This shopper is not kept any more: type the id again.")
        if self.photo and photo is None:
            problems["photo"] = _("This photo is not kept any more: choose it again.")
        try:
            made["filter"] = parse_filter(self.filter) if self.filter else None
        except FilterSyntaxError as error:
            problems["filter"] = f"{error.message}\n{error.pointer}"
        if problems:
            raise AskedInvalid(problems)
        return made

    def listing(self, language: str) -> ListOptions:
        """Return the options of a list of all products that pass. Raises AskedInvalid."""
        made = self.searching(None, language)
        return {
            "filter": made["filter"],
            "market": made["market"],
            "page_size": made["page_size"],
            "sort": made["sort"],
            "language": language,
            "scene": self.scene,
        }

    def box(self) -> Box | None:
        """Return the part of the photo that is meant; None: the whole. Raises ValueError for what
        is no part."""
        texts = [getattr(self, side) or _WHOLE[side] for side in _SIDES]
        left, top, right, bottom = (float(each) / 100 for each in texts)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError("no part")
        part = Box(left, top, right, bottom)
        return None if part == Box(0, 0, 1, 1) else part

    def _box(self, problems: dict[str, str]) -> Box | None:
        try:
            return self.box()
        except ValueError:
            problems["box"] = _(
                "Left must be less than right, and top less than bottom, each from 0 to 100."
            )
            return None

    def _size(self, problems: dict[str, str]) -> int:
        size = int(self.size or USUAL_SIZE) if re.fullmatch(r"[0-9]{0,4}", self.size) else 0
        if size not in SIZES:
            problems["size"] = _("Write a number from 1 to {most}.", most=SIZES[-1])
        return size


def placed(error: SightlineError) -> dict[str, str]:
    """Return what is wrong with which field of the form; empty: the error concerns none."""
    if error.reason == SHOPPER_FORBIDDEN:
        return {"shopper": text_of(error)}
    found: dict[str, str] = {}
    for each in error.violations:
        if name := _of(_FIELDS, each.field):
            found.setdefault(name, each.description)
    if not found and (name := _of(_REASONS, error.reason)):
        found[name] = error.message
    return found


def _of(table: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str:
    return next((name for pattern, name in table if pattern.match(text)), "")
