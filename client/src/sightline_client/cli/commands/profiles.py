"""``sightline profiles``"""

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show.tables import counted, plain
from sightline_client.convert import profiles_from_wire, to_wire
from sightline_client.values.profiles import (
    Affinity,
    ProductProfile,
    Segment,
    Segments,
    ShopperProfile,
)

app = Commands(no_args_is_help=True, help="Show what is known of shoppers and products.")

Who: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="USER", help="The customer's id.", callback=options.named),
]
Visitor: TypeAlias = Annotated[
    bool, typer.Option("--visitor", help="USER is the id of a visitor who is not logged in.")
]
Language: TypeAlias = Annotated[
    str, typer.Option(metavar="CODE", help="Language of the sentences: en or zh.")
]


@app.command()
def show(
    *,
    who: Who,
    visitor: Visitor = False,
    language: Language = "",
    suite: Suite,
) -> None:
    """Show what is known of a shopper, and from which products it was inferred.

    [bold]Examples[/bold]

      sightline profiles show 1209683

      sightline profiles show cookie-7 --visitor --language zh
    """
    request = pb.GetShopperProfileRequest(
        catalog_id=suite.catalog, shopper=_shopper(who, visitor=visitor), language_code=language
    )

    message = suite.run(lambda client: client.calls.get_shopper_profile(request, suite.timeout))
    suite.show(message, lambda: _of_shopper(profiles_from_wire.shopper(message)))


@app.command()
def product(
    *,
    product_id: Annotated[
        str, typer.Argument(metavar="ID", help="The product.", callback=options.named)
    ],
    language: Language = "",
    suite: Suite,
) -> None:
    """Show what the serving model knows of a product.

    [bold]Example[/bold]

      sightline profiles product 100062
    """
    request = pb.GetProductProfileRequest(
        catalog_id=suite.catalog, product_id=product_id, language_code=language
    )

    message = suite.run(lambda client: client.calls.get_product_profile(request, suite.timeout))
    suite.show(message, lambda: _of_product(profiles_from_wire.product(message)))


@app.command("set")
def set_(
    *,
    who: Who,
    attributes: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...", help="All that is to be kept.", callback=options.named
        ),
    ],
    consent: Annotated[
        bool,
        typer.Option("--consent", help="The shopper consents to have this kept and used."),
    ] = False,
    visitor: Visitor = False,
    suite: Suite,
) -> None:
    """Keep what a shopper told of themselves, in the place of all that was kept before.

    [bold]Example[/bold]

      sightline profiles set 1209683 age_band=25-34 size=M --consent
    """
    if not consent:
        problem = "only what a shopper consents to may be kept"
        raise typer.BadParameter(problem, param_hint="--consent")
    request = pb.SetShopperAttributesRequest(
        catalog_id=suite.catalog,
        shopper=_shopper(who, visitor=visitor),
        attributes=[_attribute(one) for one in attributes],
        consent=consent,
    )
    _set(request, suite)


@app.command()
def clear(
    *,
    who: Who,
    visitor: Visitor = False,
    suite: Suite,
) -> None:
    """Delete what a shopper told of themselves: the consent is withdrawn.

    [bold]Example[/bold]

      sightline profiles clear 1209683
    """
    request = pb.SetShopperAttributesRequest(
        catalog_id=suite.catalog, shopper=_shopper(who, visitor=visitor)
    )
    _set(request, suite)


@app.command()
def segments(
    *,
    language: Language = "",
    suite: Suite,
) -> None:
    """Show the groups of shoppers with like interests that the serving model knows.

    [bold]Example[/bold]

      sightline profiles segments
    """
    request = pb.ListSegmentsRequest(catalog_id=suite.catalog, language_code=language)

    message = suite.run(lambda client: client.calls.list_segments(request, suite.timeout))
    suite.show(message, lambda: _of_segments(profiles_from_wire.segments(message)))


def _set(request: pb.SetShopperAttributesRequest, suite: Suite) -> None:
    message = suite.run(lambda client: client.calls.set_shopper_attributes(request, suite.timeout))
    kept = counted(message.kept_count, "attribute is", "attributes are")
    before = f"{message.former_count:,} before"
    suite.show(message, lambda: Text(f"{kept} kept now, {before}."))


def _shopper(who: str, *, visitor: bool) -> event_pb2.Shopper | None:
    return to_wire.shopper(None if visitor else who, who if visitor else None)


def _attribute(text: str) -> pb.ShopperAttribute:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{key} has no value: write KEY=VALUE", param_hint="KEY=VALUE")
    return pb.ShopperAttribute(key=key, text=value)


def _of_shopper(value: ShopperProfile) -> RenderableType:
    lines = []
    if value.robot:
        lines.append("Taken for a robot: more was done than people do, and it weighs little.")
    if value.activity is not None:
        events = counted(value.event_count, "event", "events")
        bought = counted(value.activity.purchase_count, "purchase", "purchases")
        lines.append(f"{plain(value.activity.text)}. From {events}, {bought} among them.")
    else:
        lines.append("Never did anything.")
    if value.segment is not None:
        lines.append(_segment(value.segment))
    if value.attributes:
        told = ", ".join(f"{key} {text}" for key, text in value.attributes.items())
        lines.append(f"Told with consent: {plain(told)}.")
    if value.disliked_product_ids:
        lines.append(f"Hidden or rated low: {plain(_some(value.disliked_product_ids))}.")
    if not value.model_version:
        lines.append("No model serves: nothing can be said of tastes.")
    return Group(*map(Text, lines), *_affinities(value.affinities))


def _affinities(values: Sequence[Affinity]) -> Iterable[RenderableType]:
    if not values:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("liking", "strength", "theirs", "usual", "events", "from"):
        table.add_column(name, justify="left" if name in ("liking", "from") else "right")
    for one in values:
        table.add_row(
            plain(one.text),
            f"{one.strength:.2f}",
            f"{one.share:.0%}",
            f"{one.usual_share:.0%}",
            f"{one.event_count:,}",
            plain(_some(one.product_ids)),
        )
    yield table
    yield Text("strength: how much more than others, 0 to 1. theirs, usual: share of interest.")


def _of_product(value: ProductProfile) -> RenderableType:
    trend = "not known" if value.trend is None else f"{2**value.trend:.2f} times as before"
    figures = f"Popularity {value.popularity:.0%} of the most popular one's; lately {trend}."
    return Group(*(Text(plain(text) + ".") for text in value.texts), Text(figures))


def _of_segments(value: Segments) -> RenderableType:
    if not value.segments:
        why = "too few shoppers" if value.model_version else "no model serves"
        return Text(f"No groups are known: {why}.")
    clear = "clear groups" if value.silhouette >= 0.25 else "one crowd, cut into parts"
    judged = Text(f"Silhouette {value.silhouette:.2f}: {clear}.")
    return Group(*(Text(_segment(one)) for one in value.segments), judged)


def _segment(value: Segment) -> str:
    return f"Group {value.segment_id}: {plain(value.text)} ({value.share:.0%} of all)."


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ", ".join(ids[:5]) + more
