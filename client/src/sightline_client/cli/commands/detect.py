"""``sightline detect``"""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline_client.cli.base import options, query, running
from sightline_client.cli.base.suite import LONG, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import detected, tables


def detect(
    *,
    photo: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, metavar="PHOTO", help="The photo's file."
        ),
    ],
    filter: options.Filter = "",
    currency: options.Currency = "",
    market: options.Market = "",
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            min=0,
            max=1,
            metavar="P",
            help="Probability that a detection needs for a product.",
        ),
    ] = 0.5,
    top: Annotated[
        int,
        typer.Option("--top", min=1, max=300, metavar="K", help="Maximum number of detections."),
    ] = 100,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", dir_okay=False, metavar="FILE", help="Write a page with the photo and boxes."
        ),
    ] = None,
    suite: Suite = LONG,
) -> None:
    """Find and count the products in a photo, such as one of a shelf.

    [bold]Examples[/bold]

      sightline detect shelf.jpg

      sightline detect shelf.jpg --filter 'category = "Wine > Red"' --html shelf.html

      sightline detect shelf.jpg --json | jq '.counts'
    """
    (content,) = query.photos([photo])
    condition = options.condition(filter, currency)
    found = suite.answer(
        lambda client: client.detect_products(
            content,
            filter=condition,
            market=market,
            min_probability=min_probability,
            max_detections=top,
            timeout=suite.timeout,
        ),
        detected.table,
    )
    if html is not None:
        detected.write(html, photo.name, content, found)
        if not suite.json:
            running.say(Text(_("Written: {html}", html=tables.plain(str(html)))))
