"""``sightline classify``"""

from pathlib import Path
from typing import Annotated

import typer

from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import classified
from sightline_client.convert import classifications_from_wire, requests


def classify(
    *,
    photo: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, metavar="PHOTO", help="The photo's file."
        ),
    ],
    box: options.BoxText = None,
    find_subject: options.FindSubject = False,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=1, max=20, metavar="K", help="How many categories.", show_default=True
        ),
    ] = 5,
    suite: Suite,
) -> None:
    """Say which categories a photo is of, and which filters it proposes.

    It takes a space that was fitted on the catalogue and has learned its categories:
    `sightline spaces fit`.

    [bold]Examples[/bold]

      sightline classify shelf.jpg

      sightline classify shelf.jpg --find-subject --json | jq -r '.proposals[0].text'
    """
    (content,) = options.photos([photo])
    request = requests.classify(
        content, catalog=suite.catalog, box=options.part(box), find_subject=find_subject, top=top
    )

    response = suite.run(lambda client: client.calls.classify(request, suite.timeout))
    if suite.json:
        running.show_json(response)
    else:
        told = classifications_from_wire.classification(response)
        running.show(classified.classification(told))
