"""``sightline explain``"""

from typing import Annotated

from sightline_client.cli.base import options
from sightline_client.cli.base.query import RecommendationOptions
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import explained


def explain(
    *,
    shown: Annotated[str, options.argument("PRODUCT", "The product's id.")],
    asked: RecommendationOptions,
    suite: Suite,
) -> None:
    """Say why a product is, or is not, among what a request recommends.

    Takes the options of `sightline recommend`: which condition left the product out, or where it
    stands, what its score is made of and what the last product shown has more.

    [bold]Examples[/bold]

      sightline explain 111478 --image shelf.jpg

      sightline explain 111478 --user 1209683 --filter 'price < 30 EUR' --language zh
    """
    request = asked.request()
    suite.answer(lambda client: client.explain(shown, **request), explained.explanation)
