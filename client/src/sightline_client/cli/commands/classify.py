"""``sightline classify``"""

from typing import Annotated

import typer

from sightline_client.cli.base import query
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import classified


def classify(
    *,
    photo: query.Photo,
    box: query.Part = None,
    top: Annotated[int, typer.Option(min=1, max=20, metavar="K")] = 5,
    suite: Suite,
) -> None:
    """Say which categories a photo is of, and which filters it proposes.

    Requires a space fitted on the catalog with its categories:
    `sightline spaces fit`.

    sightline classify shelf.jpg
    sightline classify shelf.jpg --json | jq -r '.proposals[0].text'

    Args:
        top: Maximum number of categories.
    """
    (content,) = query.photos([photo])
    suite.answer(
        lambda client: client.classify(content, box=box, top=top), classified.classification
    )
