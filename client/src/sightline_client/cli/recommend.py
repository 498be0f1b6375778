"""``sightline recommend``"""

from pathlib import Path
from typing import Annotated

import typer

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import from_wire, requests
from sightline_client.channel import MAX_MESSAGE_BYTES
from sightline_client.cli import options, running, tables
from sightline_client.client import SightlineClient


def recommend(  # noqa: PLR0917 (typer reads the options from the signature)
    image: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            metavar="PATH",
            help="A photo (JPEG, PNG or WebP) to be near to. May be given several times.",
        ),
    ] = None,
    product: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A product to be near to. May be given several times.",
            callback=options.text,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Words to be near to.", callback=options.text),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The customer to recommend to.", callback=options.text),
    ] = None,
    visitor: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A visitor who is not logged in.", callback=options.text),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=200, metavar="K", help="How many products.", show_default=True)
    ] = 10,
    scene: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The plan to answer by; empty = the default one.",
            callback=options.text,
        ),
    ] = "",
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Recommend products for a photo, products, words, a customer, or any mix of them.

    With none of these it recommends what is popular.

    [bold]Examples[/bold]

      sightline recommend --image shelf.jpg --top 5

      sightline recommend --product 111478 --user 1209683

      sightline recommend --visitor cookie-7 --json | jq '.results[].product.title'
    """
    if user and visitor:
        raise typer.BadParameter("give --user or --visitor, not both", param_hint="--visitor")
    request = requests.recommend(
        catalog=catalog,
        images=[_photo(path) for path in image or ()],
        text=text,
        products=product or (),
        user=user,
        visitor=visitor,
        page_size=top,
        scene=scene,
    )

    async def ask(client: SightlineClient) -> rec.RecommendResponse:
        return await client.calls.recommend(request, timeout)

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        running.show(tables.answer(from_wire.recommendations(response)))


def _photo(path: Path) -> bytes:
    """The file's bytes, as far as a message could hold them: a device may have no end."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{path}: {reason}", param_hint="--image") from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise typer.BadParameter(f"{path} has more than 32 MiB", param_hint="--image")
    return content
