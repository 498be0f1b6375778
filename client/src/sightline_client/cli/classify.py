"""``sightline classify``"""

from pathlib import Path
from typing import Annotated

import typer

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import classifications_from_wire, requests
from sightline_client.cli import classified, options, running
from sightline_client.client import SightlineClient


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
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
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
        content, catalog=catalog, box=options.part(box), find_subject=find_subject, top=top
    )

    async def ask(client: SightlineClient) -> rec.ClassifyResponse:
        return await client.calls.classify(request, timeout)

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        told = classifications_from_wire.classification(response)
        running.show(classified.classification(told))
