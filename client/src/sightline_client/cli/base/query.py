"""Options for queries, which several commands share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer

from sightline_client.cli.base import options
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.transport.gateway_channel import MAX_MESSAGE_BYTES
from sightline_client.values.controls import Control, ControlKind
from sightline_client.values.filters import Filter
from sightline_client.values.photos import Uri
from sightline_client.values.requests import QueryOptions, RecommendOptions
from sightline_client.values.signals import AWAY_WEIGHT, Box, Unlike

_OF_THE_CALL = {"product": "products", "anchor": "anchors", "top": "page_size"}
"""Options of the command line that are called otherwise in a call; others have the same name."""
_CONVERTED = frozenset({"image", "filter"})
"""Options of the same name that hold something else."""


def _options(group: OptionGroup) -> dict[str, Any]:
    """Return those options of a group that are options of the call too, where they are given."""
    named = {_OF_THE_CALL.get(each.name, each.name): each.name for each in fields(group)}
    both = (RecommendOptions.__annotations__.keys() & named.keys()) - _CONVERTED
    given = {name: getattr(group, named[name]) for name in both}
    return {name: value for name, value in given.items() if value is not None}


def _box(text: str) -> Box:
    """Parse a part of a photo."""
    try:
        left, top, right, bottom = (float(number) for number in text.split(","))
    except ValueError:
        problem = "is four numbers, such as 0.1,0.2,0.6,0.9: left, top, right, bottom"
        raise typer.BadParameter(problem, param_hint="--box") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        problem = "has left below right and top below bottom, each from 0 to 1"
        raise typer.BadParameter(problem, param_hint="--box")
    return Box(left, top, right, bottom)


_PHOTOS = {"exists": True, "dir_okay": False, "readable": True, "metavar": "PATH"}

Part: TypeAlias = Annotated[
    Box | None,
    typer.Option(
        "--box",
        metavar="L,T,R,B",
        help="The part of the photo that is meant: left, top, right and bottom as fractions of its"
        " width and height, such as 0.1,0.2,0.6,0.9.",
        parser=_box,
    ),
]
FindSubject: TypeAlias = Annotated[
    bool,
    typer.Option("--find-subject", help="Detect the photo's subject, and show where it is."),
]
Top: TypeAlias = Annotated[
    int,
    typer.Option("--top", min=1, max=200, metavar="K", help="How many products."),
]


@dataclass(frozen=True)
class SignalGroup(OptionGroup):
    """Options for what products shall be near to, and far from."""

    image: Annotated[
        list[Path] | None,
        typer.Option("--image", help="Photo to be near to. May be given several times.", **_PHOTOS),
    ] = None
    image_uri: Annotated[
        list[str] | None,
        options.words(
            "--image-uri",
            metavar="URI",
            help="Address of a photo to be near to, which the suite fetches if its settings"
            " allow that.",
        ),
    ] = None
    product: Annotated[
        list[str] | None,
        options.words(
            "--product", metavar="ID", help="Product to be near to. May be given several times."
        ),
    ] = None
    text: Annotated[
        str | None, options.words("--text", metavar="WORDS", help="Words to be near to.")
    ] = None
    not_image: Annotated[
        list[Path] | None,
        typer.Option(
            "--not-image",
            help="Photo to be far from. May be given several times.",
            **_PHOTOS,
        ),
    ] = None
    not_text: Annotated[
        list[str] | None,
        options.words(
            "--not-text",
            metavar="WORDS",
            help="Words to be far from. May be given several times.",
        ),
    ] = None
    not_product: Annotated[
        list[str] | None,
        options.words(
            "--not-product",
            metavar="ID",
            help="Product to be far from; it is left out too. May be given several times.",
        ),
    ] = None
    not_weight: Annotated[
        float,
        typer.Option(
            "--not-weight",
            min=0.01,
            max=100,
            metavar="WEIGHT",
            help="Weight of each --not-…; what to be near to has weight 1.",
        ),
    ] = AWAY_WEIGHT
    box: Part = None
    find_subject: FindSubject = False

    def query(self) -> QueryOptions:
        """Return the options of the call. A photo that can't be read is wrong usage."""
        made = cast("QueryOptions", _options(self))
        made["images"] = self.photos()
        if self.not_image or self.not_text or self.not_product:
            texts, products = self.not_text or (), self.not_product or ()
            made["unlike"] = Unlike(photos(self.not_image), texts, products, self.not_weight)
        return made

    def photos(self) -> list[bytes | Uri]:
        """Return the photos to be near to. One that can't be read is wrong usage."""
        return [*photos(self.image), *map(Uri, self.image_uri or ())]


@dataclass(frozen=True)
class FilterGroup(OptionGroup):
    """Options for the filter and the number of products."""

    filter: options.Filter = ""
    currency: options.Currency = ""
    top: Top = 10

    def passing(self) -> QueryOptions:
        """Return the options of the call."""
        return {"filter": self.condition(), "page_size": self.top}

    def condition(self) -> Filter | None:
        """Return the filter; None = every product passes."""
        return options.condition(self.filter, self.currency)


@dataclass(frozen=True)
class RequestGroup(FilterGroup, SignalGroup):
    """Options of a recommendation."""

    user: Annotated[
        str | None, options.words(metavar="ID", help="The customer to recommend to.")
    ] = None
    visitor: Annotated[
        str | None,
        options.words(metavar="ID", help="The visitor to recommend to, who is not logged in."),
    ] = None
    scene: Annotated[
        str, options.words(metavar="NAME", help="The plan to answer by; empty = the default one.")
    ] = ""
    exclude: Annotated[
        list[str] | None,
        options.words(metavar="ID", help="A product to leave out. May be given several times."),
    ] = None
    anchor: Annotated[
        list[str] | None,
        options.words(
            metavar="ID",
            help="A product that the request is about: of a product page, or in the cart. May be"
            " given several times.",
        ),
    ] = None
    followed: Annotated[
        list[str] | None,
        options.words(
            metavar="VALUE",
            help="A value that the shopper follows, such as an author. May be given several times.",
        ),
    ] = None
    language: Annotated[
        str, options.words(metavar="CODE", help="Language of the reasons: en, zh. Empty = en.")
    ] = ""
    pin: Annotated[
        list[str] | None,
        options.words(
            metavar="ID=PLACE",
            help="A product to show at this place, 1 to 200. May be given several times.",
        ),
    ] = None
    boost: Annotated[
        list[str] | None,
        options.words(
            metavar="ID=AMOUNT",
            help="A product to move up, and the amount to add to its relevance, which is 0 to 1"
            " among the best 100. May be given several times.",
        ),
    ] = None
    bury: Annotated[
        list[str] | None,
        options.words(
            metavar="ID", help="A product to show behind all others. May be given several times."
        ),
    ] = None

    not_personal: Annotated[
        bool,
        typer.Option(
            "--not-personal",
            help="Answer as for an unknown shopper; --user and --visitor are not used and not"
            " kept.",
        ),
    ] = False

    def request(self) -> RecommendOptions:
        """Return the options of the call. A user and a visitor at once are wrong usage."""
        if self.user and self.visitor:
            raise typer.BadParameter("give --user or --visitor, not both", param_hint="--visitor")
        made = cast("RecommendOptions", {**self.query(), **self.passing()})
        made["controls"] = [*self._controls()]
        return made

    def _controls(self) -> Iterator[Control]:
        """Yield a control for each pin and boost, and one for all burials."""
        for index, (product, place) in enumerate(map(_pinned, self.pin or ())):
            yield Control(f"pin-{index}", ControlKind.PIN, [product], place=place)
        for index, (product, amount) in enumerate(map(_boosted, self.boost or ())):
            yield Control(f"boost-{index}", ControlKind.BOOST, [product], boost=amount)
        if self.bury:
            yield Control("bury", ControlKind.BURY, self.bury)


def _pinned(text: str) -> tuple[str, int]:
    product, _, place = text.rpartition("=")
    if not product or not place.isdecimal():
        raise typer.BadParameter("is a product and a place: wine-7=1", param_hint="--pin")
    return product, int(place)


def _boosted(text: str) -> tuple[str, float]:
    product, _, amount = text.rpartition("=")
    try:
        return product or text, float(amount if product else "")
    except ValueError:
        problem = "is a product and an amount: wine-7=0.5"
        raise typer.BadParameter(problem, param_hint="--boost") from None


def photos(paths: Sequence[Path] | None) -> list[bytes]:
    """Read photos. One that can't be read is wrong usage."""
    return [_photo(path) for path in paths or ()]


def _photo(path: Path) -> bytes:
    """Read a file, at most one byte more than a message can hold: a device may be endless."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{path}: {reason}", param_hint="--image") from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise typer.BadParameter(f"{path} has more than 32 MiB", param_hint="--image")
    return content
