"""``sightline explain``"""

from typing import Annotated

import typer

from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import explained
from sightline_client.convert import explanations_from_wire, requests
from sightline_client.values.signals import AWAY_WEIGHT


def explain(
    *,
    shown: Annotated[
        str,
        typer.Argument(metavar="PRODUCT", help="The product's id.", callback=options.named),
    ],
    image: options.Images = None,
    image_uri: options.ImageUris = None,
    product: options.Products = None,
    text: options.Words = None,
    not_image: options.NotImages = None,
    not_text: options.NotTexts = None,
    not_product: options.NotProducts = None,
    not_weight: options.NotWeight = AWAY_WEIGHT,
    box: options.BoxText = None,
    find_subject: options.FindSubject = False,
    user: options.User = None,
    visitor: options.Visitor = None,
    filter: options.Filter = "",
    currency: options.Currency = "",
    top: options.Top = 10,
    scene: options.Scene = "",
    exclude: options.Excluded = None,
    language: options.Language = "",
    suite: Suite,
) -> None:
    """Say why a product is, or is not, among what a request recommends.

    Takes the options of `sightline recommend`: which condition left the product out, or where it
    stands, what its score is made of and what the last product shown has more.

    [bold]Examples[/bold]

      sightline explain 111478 --image shelf.jpg

      sightline explain 111478 --user 1209683 --filter 'price < 30 EUR' --language zh
    """
    if user and visitor:
        raise typer.BadParameter("give --user or --visitor, not both", param_hint="--visitor")
    request = requests.explain(
        shown,
        requests.recommend(
            catalog=suite.catalog,
            images=[*options.photos(image), *options.uris(image_uri)],
            products=product or (),
            text=text,
            user=user,
            visitor=visitor,
            filter=options.condition(filter, currency),
            page_size=top,
            scene=scene,
            exclude=exclude or (),
            language=language,
            unlike=options.unlike(not_image, not_text, not_product, not_weight),
            box=options.part(box),
            find_subject=find_subject,
        ),
    )

    response = suite.run(lambda client: client.calls.explain_recommendation(request, suite.timeout))
    suite.show(
        response, lambda: explained.explanation(explanations_from_wire.explanation(response))
    )
