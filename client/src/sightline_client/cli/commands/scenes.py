"""``sightline scenes``"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline_client.cli.base import options, query, running
from sightline_client.cli.base.suite import QUICK, Suite
from sightline_client.cli.show import scene_page, scenes
from sightline_client.cli.work import answer_pages
from sightline_client.cli.work.plain_commands import PlainCommands
from sightline_client.client import SightlineClient
from sightline_client.values.scenes import SceneDiff

app = PlainCommands(help="Show scenes, and the effect of a change.")

DIFF_SECONDS = 120.0
DIFF = Suite(timeout=DIFF_SECONDS)
"""Up to 200 answers are computed, each twice."""

File = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="TOML file of a scene.")
]
Name = Annotated[
    str,
    options.words("--as", metavar="SCENE", help="Name of the scene; default: the file's name."),
]


app.call(
    "list",
    "List the scenes.",
    "scenes list",
    SightlineClient.list_scenes,
    shows=scenes.listing,
    suite=QUICK,
)


@app.command()
def show(
    *,
    scene: Annotated[str, typer.Argument(metavar="[SCENE]")] = "default",
    suite: Suite = QUICK,
) -> None:
    """Print a scene's file, to copy and change it.

    sightline scenes show default > my-scene.toml

    Args:
        scene: Name, as shown by `scenes list`.
    """
    request = pb.GetSceneRequest(catalog_id=suite.catalog, scene=scene)
    found = suite.run(
        lambda client: client.calls(client.calls.admin.GetScene, request, suite.timeout)
    )
    if suite.json:
        running.show_json(found)
    else:
        typer.echo(found.toml, nl=False)


@app.command()
def check(*, file: File, name: Name = "", suite: Suite = QUICK) -> None:
    """Check whether the gateway would accept a file, and show the entries it changes. The file is
    not applied.

    sightline scenes check default.toml
    sightline scenes check draft.toml --as home
    """
    scene, toml = name or file.stem, running.guarded(lambda: query.text(file))
    found = suite.answer(lambda client: client.check_scene(toml, scene=scene), scenes.checked)
    if not found.valid:
        raise typer.Exit(1)


@app.command()
def diff(
    *,
    file: File,
    name: Name = "",
    answers: Annotated[int, options.number("N", 1, 200)] = 100,
    places: Annotated[int, options.number("N", 1, 200)] = 20,
    since: Annotated[
        datetime | None, options.moment(f"Only answers at or after this time{options.ZONE}")
    ] = None,
    html: Annotated[Path | None, typer.Option(dir_okay=False)] = None,
    suite: Suite = DIFF,
) -> None:
    """Answer the last requests by a changed scene, and show the differences.

    Shows the positions that change, and the products, brands and categories shown more or less
    often. Without a request of the last hour, recorded answers are ranked again.

    sightline scenes diff default.toml --html diff.html
    sightline scenes diff draft.toml --as home --answers 200 --places 10

    Args:
        answers: Number of answers, newest first.
        places: Number of positions to compare.
        html: Write a page.
    """
    scene, toml = name or file.stem, running.guarded(lambda: query.text(file))

    async def asked(client: SightlineClient) -> SceneDiff:
        found = await client.diff_scene(
            scene=scene,
            toml=toml,
            answer_count=answers,
            since=since and options.in_zone(since),
            place_count=places,
        )
        if html is not None:
            products = await answer_pages.products_of(client, scene_page.shown(found))
            photos = await answer_pages.first_photos(client, products.values())
            scene_page.write(html, scene, found, products, photos)
        return found

    suite.answer(asked, scenes.difference)
    answer_pages.written(suite, html)
