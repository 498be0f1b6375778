"""``sightline profiles``"""

from typing import Annotated, TypeAlias

import typer
from rich.text import Text

from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import profiles as shown
from sightline_client.cli.show.tables import counted
from sightline_client.convert import from_wire, to_wire

app = Commands(no_args_is_help=True, help="Show what is known of shoppers and products.")

Who: TypeAlias = Annotated[str, options.argument("USER", "The customer's id.")]
Visitor: TypeAlias = Annotated[
    bool, typer.Option("--visitor", help="USER is the id of a visitor who is not logged in.")
]
Language: TypeAlias = Annotated[
    str, typer.Option(metavar="CODE", help="Language of the sentences: en or zh.")
]


@app.command()
def show(*, who: Who, visitor: Visitor = False, language: Language = "", suite: Suite) -> None:
    """Show what is known of a shopper, and from which products it was inferred.

    [bold]Examples[/bold]

      sightline profiles show 1209683

      sightline profiles show cookie-7 --visitor --language zh
    """
    request = pb.GetShopperProfileRequest(
        catalog_id=suite.catalog, shopper=_shopper(who, visitor=visitor), language_code=language
    )

    suite.answer(
        lambda calls: calls.admin.GetShopperProfile,
        request,
        lambda answer: shown.shopper(from_wire.shopper_profile(answer)),
    )


@app.command()
def product(
    *,
    product_id: Annotated[str, options.argument("ID", "The product.")],
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

    suite.answer(
        lambda calls: calls.admin.GetProductProfile,
        request,
        lambda answer: shown.product(from_wire.product_profile(answer)),
    )


@app.command("set")
def set_(
    *,
    who: Who,
    attributes: Annotated[list[str], options.argument("KEY=VALUE...", "All that is to be kept.")],
    consent: Annotated[
        bool,
        typer.Option("--consent", help="The shopper consents to have this kept and used."),
    ] = False,
    visitor: Visitor = False,
    suite: Suite,
) -> None:
    """Keep what a shopper shares of themselves, in place of all that was kept before.

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
def clear(*, who: Who, visitor: Visitor = False, suite: Suite) -> None:
    """Delete what a shopper shared of themselves: the consent is withdrawn.

    [bold]Example[/bold]

      sightline profiles clear 1209683
    """
    request = pb.SetShopperAttributesRequest(
        catalog_id=suite.catalog, shopper=_shopper(who, visitor=visitor)
    )
    _set(request, suite)


@app.command()
def segments(*, language: Language = "", suite: Suite) -> None:
    """Show the groups of shoppers with like interests that the serving model knows.

    [bold]Example[/bold]

      sightline profiles segments
    """
    request = pb.ListSegmentsRequest(catalog_id=suite.catalog, language_code=language)

    suite.answer(
        lambda calls: calls.admin.ListSegments,
        request,
        lambda answer: shown.segments(from_wire.segments(answer)),
    )


def _set(request: pb.SetShopperAttributesRequest, suite: Suite) -> None:
    message = suite.ask(lambda calls: calls.admin.SetShopperAttributes, request)
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
