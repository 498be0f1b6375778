"""Options for queries, which several commands share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer

from sightline_client.cli.base import options
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.cli.language import _
from sightline_client.transport.gateway_channel import MAX_MESSAGE_BYTES
from sightline_client.values.controls import Control, ControlKind
from sightline_client.values.filters import Filter
from sightline_client.values.parts import AWAY_WEIGHT, Unlike
from sightline_client.values.photos import Uri
from sightline_client.values.requests import QueryOptions, RecommendOptions
from sightline_client.values.signals import Box

_OF_THE_CALL = {"product": "products", "anchor": "anchors", "top": "page_size"}
"""Options whose parameter of the call has another name."""
_CONVERTED = frozenset({"image", "filter", "candidates"})
"""Options with the name of a parameter but another content."""


def _options(group: OptionGroup) -> dict[str, Any]:
    """Return the given options of a group that are also parameters of the call."""
    named = {_OF_THE_CALL.get(each.name, each.name): each.name for each in fields(group)}
    both = (RecommendOptions.__annotations__.keys() & named.keys()) - _CONVERTED
    given = {name: getattr(group, named[name]) for name in both}
    return {name: value for name, value in given.items() if value is not None}


def _box(text: str) -> Box:
    """Parse a part of a photo."""
    try:
        left, top, right, bottom = (float(number) for number in text.split(","))
    except ValueError:
        problem = _("must be four numbers, such as 0.1,0.2,0.6,0.9: left, top, right, bottom")
        raise typer.BadParameter(problem, param_hint="--box") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        problem = _("must have left < right and top < bottom, each from 0 to 1")
        raise typer.BadParameter(problem, param_hint="--box")
    return Box(left, top, right, bottom)


_PHOTOS = {"exists": True, "dir_okay": False, "readable": True, "metavar": "PATH"}

Part: TypeAlias = Annotated[
    Box | None,
    typer.Option(
        "--box",
        metavar="L,T,R,B",
        help="Region of the photo to search by: left, top, right and bottom as fractions of its"
        " width and height, such as 0.1,0.2,0.6,0.9.",
        parser=_box,
    ),
]
Top: TypeAlias = Annotated[
    int,
    typer.Option("--top", min=1, max=200, metavar="K", help="Maximum number of products."),
]


@dataclass(frozen=True)
class SignalGroup(OptionGroup):
    """Options for positive and negative query signals.

    Args:
        image: Photo to search by. Repeatable.
        image_uri: Address of a photo to search by; the suite fetches it if its settings allow that.
        product: Product to search by. Repeatable.
        text: Text to search by.
        not_image: Photo that results should differ from. Repeatable.
        not_text: Text that results should differ from. Repeatable.
        not_product: Product that results should differ from; it is also left out. Repeatable.
        not_weight: Weight of each --not-…, relative to 1 for what is searched by.
        as_typed: Search the text without correction of typing errors.
    """

    image: Annotated[list[Path] | None, typer.Option(**_PHOTOS)] = None
    image_uri: Annotated[list[str] | None, options.words(metavar="URI")] = None
    product: Annotated[list[str] | None, options.words(metavar="ID")] = None
    text: Annotated[str | None, options.words(metavar="WORDS")] = None
    not_image: Annotated[list[Path] | None, typer.Option(**_PHOTOS)] = None
    not_text: Annotated[list[str] | None, options.words(metavar="WORDS")] = None
    not_product: Annotated[list[str] | None, options.words(metavar="ID")] = None
    not_weight: Annotated[float, typer.Option(min=0.01, max=100, metavar="WEIGHT")] = AWAY_WEIGHT
    box: Part = None
    as_typed: options.Flag = False

    def query(self) -> QueryOptions:
        """Return the options of the call. A photo that can't be read is wrong usage."""
        made = cast("QueryOptions", _options(self))
        made["images"] = self.photos()
        if self.not_image or self.not_text or self.not_product:
            texts, products = self.not_text or (), self.not_product or ()
            made["unlike"] = Unlike(photos(self.not_image), texts, products, self.not_weight)
        return made

    def photos(self) -> list[bytes | Uri]:
        """Return the query photos. Raise BadParameter for an unreadable one."""
        return [*photos(self.image), *map(Uri, self.image_uri or ())]


@dataclass(frozen=True)
class FilterGroup(OptionGroup):
    """Options for the filter and the number of products."""

    filter: options.Filter = ""
    currency: options.Currency = ""
    market: options.Market = ""
    top: Top = 10

    def passing(self) -> QueryOptions:
        """Return the options of the call."""
        return {"filter": self.condition(), "market": self.market, "page_size": self.top}

    def condition(self) -> Filter | None:
        """Return the filter, or None to accept every product."""
        return options.condition(self.filter, self.currency)


@dataclass(frozen=True)
class RequestGroup(FilterGroup, SignalGroup):
    """Options of a recommendation.

    Args:
        user: Customer to recommend to.
        visitor: Visitor (not logged in) to recommend to.
        scene: Plan of the answer; default: the default plan.
        exclude: Product to leave out. Repeatable.
        anchor: Product of the page or cart that the request comes from. Repeatable.
        followed: Value that the shopper follows, such as an author. Repeatable.
        audiences: Group that the visit belongs to, such as vip or device:phone. Repeatable.
        language: Language of the reasons: en (default) or zh.
        pin: Product and its fixed position, 1 to 200. Repeatable.
        boost: Product and the amount to add to its relevance (0 to 1 among the best 100).
            Repeatable.
        bury: Product to show after all others. Repeatable.
        candidates: Products to rank, in place of products of the catalog: an id a line, and after a
            tab its score, if it has one. Up to 2,000.
        not_personal: Answer as for an unknown shopper; --user and --visitor are neither used nor
            recorded.
    """

    user: Annotated[str | None, options.words(metavar="ID")] = None
    visitor: Annotated[str | None, options.words(metavar="ID")] = None
    scene: Annotated[str, options.words(metavar="NAME")] = ""
    exclude: Annotated[list[str] | None, options.words(metavar="ID")] = None
    anchor: Annotated[list[str] | None, options.words(metavar="ID")] = None
    followed: Annotated[list[str] | None, options.words(metavar="VALUE")] = None
    audiences: Annotated[list[str] | None, options.words("--audience", metavar="NAME")] = None
    language: Annotated[str, options.words(metavar="CODE")] = ""
    pin: Annotated[list[str] | None, options.words(metavar="ID=PLACE")] = None
    boost: Annotated[list[str] | None, options.words(metavar="ID=AMOUNT")] = None
    bury: Annotated[list[str] | None, options.words(metavar="ID")] = None

    candidates: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, readable=True, metavar="FILE")
    ] = None
    not_personal: options.Flag = False

    def request(self) -> RecommendOptions:
        """Return the options of the call. A user and a visitor at once are wrong usage."""
        if self.user and self.visitor:
            raise typer.BadParameter(
                _("give --user or --visitor, not both"), param_hint="--visitor"
            )
        made = cast("RecommendOptions", {**self.query(), **self.passing()})
        made["controls"] = [*self._controls()]
        if self.candidates is not None:
            made["candidates"] = _scored(self.candidates)
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
    product, _equals, place = text.rpartition("=")
    if not product or not place.isdecimal():
        raise typer.BadParameter(
            _("must be a product and a position: wine-7=1"), param_hint="--pin"
        )
    return product, int(place)


def _boosted(text: str) -> tuple[str, float]:
    product, _equals, amount = text.rpartition("=")
    try:
        return product or text, float(amount if product else "")
    except ValueError:
        problem = _("must be a product and an amount: wine-7=0.5")
        raise typer.BadParameter(problem, param_hint="--boost") from None


def _scored(path: Path) -> dict[str, float | None]:
    """Read products and their scores. A file that holds something else is wrong usage."""
    found: dict[str, float | None] = {}
    for number, line in enumerate(content(path, "--candidates").splitlines(), 1):
        try:
            product, _tab, score = line.decode().strip().partition("\t")
            value = float(score) if score else None
        except ValueError:
            problem = _(
                "{path}, line {number}: must be an id, or an id, a tab and a number",
                path=path,
                number=number,
            )
            raise typer.BadParameter(problem, param_hint="--candidates") from None
        if product in found:
            problem = _(
                "{path}, line {number}: {product} is a duplicate",
                path=path,
                number=number,
                product=product,
            )
            raise typer.BadParameter(problem, param_hint="--candidates")
        if product:
            found[product] = value
    if not found:
        raise typer.BadParameter(_("{path} has no product", path=path), param_hint="--candidates")
    return found


def photos(paths: Sequence[Path] | None) -> list[bytes]:
    """Read photos. One that can't be read is wrong usage."""
    return [content(path, "--image") for path in paths or ()]


def content(path: Path, option: str) -> bytes:
    """Read a file, at most one byte more than a message can hold: a device may be endless."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{path}: {reason}", param_hint=option) from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise typer.BadParameter(_("{path} is larger than 32 MiB", path=path), param_hint=option)
    return content
