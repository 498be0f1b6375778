"""``sightline explain``"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sightline_client.cli.base import options, running
from sightline_client.cli.base.query import RequestGroup
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import explained, explanation_page, page
from sightline_client.cli.work import answer_pages
from sightline_client.client import SightlineClient
from sightline_client.values.explanations import Explanation, HeatMap


def explain(
    *,
    shown: Annotated[str, options.argument("PRODUCT", "The product's id.")],
    asked: RequestGroup,
    heat_map: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Also draw which regions of the query image and of the product's photo make them"
            " similar, into this PNG.",
        ),
    ] = None,
    html: options.Html = None,
    suite: Suite,
) -> None:
    """Explain why a product is, or is not, recommended for a request.

    Takes the options of `sightline recommend`. Shows the condition that excluded the product, or
    its position and the parts of its score beside those of the last product shown.

      sightline explain 111478 --image shelf.jpg

      sightline explain 111478 --image shelf.jpg --heat-map out.png --html why.html

      sightline explain 111478 --user 1209683 --filter 'price < 30 EUR' --language zh
    """
    request, photos = asked.request(), asked.photos()
    if heat_map is not None and len(photos) != 1:
        raise typer.BadParameter(
            _("a heat map requires exactly one query image"), param_hint="--heat-map"
        )
    drawn: list[HeatMap] = []

    async def explain(client: SightlineClient) -> Explanation:
        explanation = await client.explain(shown, **request)
        if heat_map is not None:
            drawn.append(await client.heat_map(photos[0], shown, box=asked.box))
            await asyncio.to_thread(heat_map.write_bytes, drawn[0].png)
        if html is not None:
            head = page.Head(
                _("Why is it shown, or not?"),
                answer_pages.request(asked, explanation.versions.scene),
                queries=answer_pages.files(asked, photos),
            )
            await _write(client, html, head, explanation, drawn)
        return explanation

    suite.answer(explain, explained.explanation)
    answer_pages.written(suite, html)
    for each in drawn:
        if not suite.json:
            running.say(explained.heat_map(each, str(heat_map)))


async def _write(
    client: SightlineClient,
    path: Path,
    head: page.Head,
    explanation: Explanation,
    drawn: Sequence[HeatMap],
) -> None:
    """Write the explanation as a page."""
    product = explanation.product
    wanted = [] if product is None else [(product.product_id, answer_pages.first_photo(product))]
    photos = await answer_pages.photos_of(client, wanted)
    photo = next(iter(photos.values()), b"")
    explanation_page.write(path, head, explanation, photo, drawn[0].png if drawn else None)
