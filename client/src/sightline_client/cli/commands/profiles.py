"""``sightline profiles``"""

from typing import Annotated, TypeAlias

import typer
from rich.text import Text

from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import profiles as shown
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.show.tables import counted
from sightline_client.cli.work.plain_commands import Given, PlainCommands, argument
from sightline_client.client import SightlineClient
from sightline_client.convert import to_wire

app = PlainCommands(help="Show profiles of shoppers and products.")

Who: TypeAlias = Annotated[str, options.argument("USER", "The customer's id.")]
Visitor: TypeAlias = Annotated[
    bool, typer.Option("--visitor", help="USER is the id of a visitor, not of a customer.")
]
Language: TypeAlias = Annotated[
    str, typer.Option(metavar="CODE", help="Language of the sentences: en or zh.")
]
_LANGUAGE = Given("language", Language, "")


@app.command()
def show(*, who: Who, visitor: Visitor = False, language: Language = "", suite: Suite) -> None:
    """Show a shopper's profile, and the products it was inferred from.

    sightline profiles show 1209683
    sightline profiles show cookie-7 --visitor --language zh
    """
    user, other = ids(who, visitor=visitor)
    suite.answer(
        lambda client: client.shopper_profile(user=user, visitor=other, language=language),
        shown.shopper,
    )


app.call(
    "product",
    "Show the serving model's profile of a product.",
    "profiles product 100062",
    SightlineClient.product_profile,
    argument("product_id", "ID", "The product."),
    _LANGUAGE,
    shows=shown.product,
)


@app.command("set")
def set_(
    *,
    who: Who,
    attributes: Annotated[list[str], options.argument("KEY=VALUE...")],
    consent: options.Flag = False,
    visitor: Visitor = False,
    suite: Suite,
) -> None:
    """Replace the attributes that a shopper shared.

    sightline profiles set 1209683 age_band=25-34 size=M --consent

    Args:
        attributes: All attributes to be stored.
        consent: The shopper consents to storage and use.
    """
    if not consent:
        problem = _("attributes may be stored only with the shopper's consent")
        raise typer.BadParameter(problem, param_hint="--consent")
    kept = [_attribute(one) for one in attributes]
    shopper = to_wire.shopper(*ids(who, visitor=visitor))
    request = pb.SetShopperAttributesRequest(shopper=shopper, attributes=kept, consent=consent)
    _set(request, suite)


@app.command()
def clear(*, who: Who, visitor: Visitor = False, suite: Suite) -> None:
    """Delete a shopper's attributes and withdraw the consent.

    sightline profiles clear 1209683
    """
    shopper = to_wire.shopper(*ids(who, visitor=visitor))
    _set(pb.SetShopperAttributesRequest(shopper=shopper), suite)


app.call(
    "segments",
    "Show the groups of shoppers with similar interests that the serving model knows.",
    "profiles segments",
    SightlineClient.list_segments,
    _LANGUAGE,
    shows=shown.segments,
)


def _set(request: pb.SetShopperAttributesRequest, suite: Suite) -> None:
    request.catalog_id = suite.catalog
    suite.call(lambda calls: calls.admin.SetShopperAttributes, request, _kept)


def _kept(answer: pb.SetShopperAttributesResponse) -> Text:
    kept = counted(answer.kept_count, "attribute is", "attributes are")
    return phrase("{kept} stored, {former_count:,} before.", answer, kept=kept)


def ids(who: str, *, visitor: bool) -> tuple[str | None, str | None]:
    """Return (user id, visitor id), one of which is None."""
    return (None, who) if visitor else (who, None)


def _attribute(text: str) -> pb.ShopperAttribute:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(
            _("{key} has no value: write KEY=VALUE", key=key), param_hint="KEY=VALUE"
        )
    return pb.ShopperAttribute(key=key, text=value)
