"""``sightline scenes``"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline_client.cli.base import options, query, running
from sightline_client.cli.base.suite import QUICK, Suite
from sightline_client.cli.language import later
from sightline_client.cli.show import scene_page, scenes
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import answer_pages
from sightline_client.cli.work.plain_commands import (
    Given,
    PlainCommands,
    argument,
    deleted,
    flag,
    text,
)
from sightline_client.cli.work.plain_commands import etag as etag_option
from sightline_client.client import SightlineClient
from sightline_client.values.scenes import SceneDiff

app = PlainCommands(help="Show and publish scenes, and the effect of a change.")

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


@app.command()
def draft(
    *,
    file: File,
    name: Name = "",
    comment: Annotated[str, options.words(metavar="TEXT")] = "",
    etag: Annotated[str, options.words(metavar="ETAG")] = "",
    suite: Suite = QUICK,
) -> None:
    """Store a file as the draft of a scene in the record. Answers do not change.

    sightline scenes draft home.toml --comment "Christmas"
    sightline scenes draft synonyms.txt --as _synonyms

    Args:
        comment: What others should know about it.
        etag: Replace the draft only if the scene still has this etag, as shown with --json; none:
            only if the record does not have the scene.
    """
    scene, toml = name or file.stem, running.guarded(lambda: query.text(file))
    suite.answer(
        lambda client: client.write_scene_draft(scene, toml, comment=comment, etag=etag),
        scenes.document,
    )


_SCENE = argument("scene", "SCENE", "Name of the scene; _synonyms: the catalog's synonyms.")
_COMMENT = text("comment", "TEXT", "What others should know about it.")
_ETAG = etag_option("Change it only if it still has this etag, as shown with --json.")
_IN_ADVANCE = flag(
    "in_advance", "Publish it although files steer the catalog: for when the record does."
)
app.call(
    "versions",
    "Show the draft of a scene and its published versions, newest first.",
    "scenes versions home",
    SightlineClient.get_scene_document,
    _SCENE,
    shows=scenes.document,
    suite=QUICK,
)
_AT = Given(
    "at",
    Annotated[
        datetime | None,
        options.moment(f"Plan it for this time, within a year{options.ZONE} `cancel` cancels it."),
    ],
    None,
    "publish_time",
    options.in_zone,
)
app.call(
    "publish",
    "Check the draft of a scene, and publish it. All gateways use it within 2 seconds.",
    (
        'scenes publish home --comment "Christmas"',
        "scenes publish _synonyms",
        "scenes publish home --at 2027-12-01T00:00:00+01:00",
    ),
    SightlineClient.publish_scene,
    _SCENE,
    _AT,
    _COMMENT,
    _ETAG,
    _IN_ADVANCE,
    shows=scenes.document,
)
app.call(
    "undo",
    "Publish an earlier version of a scene again. A draft stays.",
    "scenes undo home 3",
    SightlineClient.publish_scene,
    _SCENE,
    Given("number", Annotated[int, typer.Argument(min=1, help="Its number: see `versions`.")]),
    _COMMENT,
    _ETAG,
    shows=scenes.document,
)
app.call(
    "cancel",
    "Cancel the planned publication of a scene. Its draft and the version in use stay.",
    "scenes cancel home",
    SightlineClient.cancel_planned_scene,
    _SCENE,
    _ETAG,
    shows=scenes.document,
)
app.call(
    "delete",
    "Delete a scene of the record. Requests then get the shared or built-in one of its name.",
    ("scenes delete home", "scenes delete home --draft-only"),
    SightlineClient.delete_scene_document,
    _SCENE,
    flag("draft_only", "Delete its draft alone."),
    _ETAG,
    shows=deleted(later("there was no such scene or draft")),
)


@app.command("import")
def import_(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False)],
    comment: Annotated[str, options.words(metavar="TEXT")] = "",
    suite: Suite,
) -> None:
    """Publish the scenes of a folder's files in the record. Drafts of these scenes are replaced.

    Files may steer the catalog meanwhile: `catalogs update --steered-by record` comes after it.

    sightline scenes import scenes/

    Args:
        folder: Folder with a TOML file for each scene.
        comment: What others should know about it.
    """

    def read() -> dict[str, str]:
        return {file.stem: query.text(file) for file in sorted(folder.glob("*.toml"))}

    texts = running.guarded(read)

    async def publish(client: SightlineClient) -> None:
        for scene, toml in texts.items():
            await client.write_scene_draft(scene, toml, comment=comment)
            await client.publish_scene(scene, in_advance=True)

    suite.run(publish)
    _tell(suite, list(texts), phrase("{scenes:,} scenes published", scenes=len(texts)))


@app.command()
def export(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False)],
    suite: Suite,
) -> None:
    """Write the published scenes of the record into a folder, a file for each.

    sightline scenes export scenes/

    Args:
        folder: Folder for the files. Files of the same names are replaced, all others stay.
    """
    found = suite.run(lambda client: client.list_scene_documents(with_texts=True))
    texts = {each.scene: each.versions[0].toml for each in found.documents if each.versions}

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for scene, toml in texts.items():
            (folder / f"{scene}.toml").write_text(toml, encoding="utf-8", newline="")

    running.guarded(write)
    _tell(suite, list(texts), phrase("{scenes:,} scenes written", scenes=len(texts)))


def _tell(suite: Suite, names: list[str], for_people: Text) -> None:
    if suite.json:
        running.show_facts({"scenes": names})
    else:
        running.show(for_people)
