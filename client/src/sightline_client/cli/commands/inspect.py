"""``sightline inspect``"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sightline.common.v1 import job_pb2
from sightline.vision.v1 import inspection_service_pb2 as pb
from sightline_client.cli.base import options, query, running
from sightline_client.cli.base.suite import LONG, Suite
from sightline_client.cli.language import _, later
from sightline_client.cli.show import inspected
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import Given, PlainCommands
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import FailedPrecondition
from sightline_client.files.texts import PHOTOS
from sightline_client.values.inspection import InspectedPiece
from sightline_client.values.operations import JobState

app = PlainCommands(
    help="Compare photos of pieces with photos of good ones, taken by the same camera.",
    table=inspected.references,
)

Reference = Annotated[
    str,
    options.argument("NAME", "Name of the reference: a-z, 0-9, - and _, up to 64 characters."),
]
REFUSED = "PROMOTION_REFUSED"
Force = Annotated[
    bool,
    typer.Option("--force", help="Promote even what the evaluation shows to be worse; logged."),
]
Version = Annotated[
    str,
    options.words("--version", metavar="VERSION", help="Version, as shown by `inspect list`."),
]


@app.command()
def fit(
    *,
    name: Reference,
    photos: Annotated[
        list[Path] | None, typer.Argument(metavar="PHOTO|DIR...", exists=True)
    ] = None,
    product: Annotated[str, options.words(metavar="PRODUCT")] = "",
    catalog_photos: options.Flag = False,
    promote: options.Flag = False,
    force: Force = False,
    wait: options.Wait = True,
    suite: Suite = LONG,
) -> None:
    """Make a reference of photos of good pieces.

    All photos should be taken as those that are inspected later: by the same camera, at the same
    place and distance. With 19 photos, one of 20 good pieces may be called unlike; with 99, one of
    100. Run the command again to continue where it was interrupted.

    sightline inspect fit bottle good/ --promote
    sightline inspect fit bottle good/*.jpg --product 111478
    sightline inspect fit bottle good/ --no-wait --json | jq -r .jobId

    Args:
        photos: Photos of good pieces, or folders of them: 10 to 500, of one camera.
        product: Product that the pieces are.
        catalog_photos: Also use the photos of --product in the catalog.
        promote: Compare photos with it from now on, unless it is worse than before.
    """
    files = list(_files(photos or ()))
    if not files and not (product and catalog_photos):
        raise typer.BadParameter(_("name photos, or folders of them"), param_hint="PHOTO")
    following.check_promotion(later("reference"), promote=promote, force=force, wait=wait)
    problems: list[tuple[str, str]] = []
    refused: FailedPrecondition | None = None

    async def made(client: SightlineClient) -> job_pb2.Job | pb.InspectionReference:
        nonlocal refused
        names, images = await _photos(client, files, product if catalog_photos else "")
        added = await client.add_reference_photos(name, images, timeout=suite.timeout)
        problems.extend((names[at], why) for at, why in added.failures)
        job = await client.start_reference_fit(name, product_id=product)
        ended = await following.started(client, job, wait=wait)
        if not wait or from_wire.job(ended).state is not JobState.SUCCEEDED:
            return ended
        version = from_wire.job(ended).results["version"]
        if promote:
            refused = await following.refusal(
                ended,
                lambda of: client.promote_reference(name, of["version"], force=force),
                REFUSED,
            )
        return await _version(client, name, version)

    message = suite.run(made, keeps=True)
    for file, why in problems:
        running.tell("not used: {file}: {why}", file=file, why=why)
    if isinstance(message, job_pb2.Job):
        return following.show(message, suite, wait=wait)
    value = from_wire.inspection_reference(message)
    suite.show(message, lambda: inspected.fitted(value))
    if refused is not None:
        running.complain(refused)
        raise typer.Exit(1)
    if not suite.json:
        running.say(inspected.advice(value))


_NAMED = (Given("name", Reference, to="reference_id"), Given("version", Version, ""))
app.call(
    "list",
    "List references with their versions, and drafts.",
    "inspect list",
    SightlineClient.list_references,
)
app.call(
    "promote",
    """Compare photos with a version of a reference from now on; default: its newest.

    A version that was compared with the one that serves, and is worse, is rejected.""",
    "inspect promote bottle",
    SightlineClient.promote_reference,
    *_NAMED,
    Given("force", Force, default=False),
    shows=inspected.fitted,
)
app.call(
    "delete",
    "Delete a reference with all its versions and its draft, or one version.",
    "inspect delete bottle --version 1f0c2a7b93d4e5f6",
    SightlineClient.delete_reference,
    *_NAMED,
    shows=lambda count: phrase("{count} deleted", count=count),
)


@app.command()
def photo(
    *,
    photo: query.Photo,
    reference: Annotated[str, options.words(metavar="NAME")] = "",
    product: Annotated[str, options.words(metavar="PRODUCT")] = "",
    version: Version = "",
    false_alarm_rate: Annotated[float, options.number("RATE", 0.001, 0.5)] = 0.05,
    heat_map: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False)] = None,
    suite: Suite,
) -> None:
    """Say whether the piece in a photo is like the good ones, and which parts are not.

    The exit code is 0 for every verdict; --json shows it to programs.

    sightline inspect photo piece.jpg --reference bottle
    sightline inspect photo piece.jpg --product 111478 --false-alarm-rate 0.01 --heat-map map.png

    Args:
        reference: Reference to compare with; or --product.
        product: Product whose reference to compare with.
        false_alarm_rate: Share of good pieces that may be called unlike.
        heat_map: Also draw the anomalous parts, into this PNG.
    """
    if bool(reference) == bool(product):
        raise typer.BadParameter(
            _("name either --reference or --product"), param_hint="--reference"
        )
    (content,) = query.photos([photo])

    async def ask(client: SightlineClient) -> InspectedPiece:
        found = await client.inspect(
            content,
            reference_id=reference,
            product_id=product,
            version=version,
            false_alarm_rate=false_alarm_rate,
            heat_map=heat_map is not None,
        )
        if heat_map is not None:
            await asyncio.to_thread(heat_map.write_bytes, found.heat_map_png)
        return found

    suite.answer(ask, inspected.piece)


async def _photos(
    client: SightlineClient, files: list[Path], product: str
) -> tuple[list[str], list[bytes | Path]]:
    """Return the names of photos, and the photos: files, and those of a product in the catalog."""
    names = [str(each) for each in files]
    photos: list[bytes | Path] = list(files)
    if product:
        for image in (await client.get_product(product)).images:
            names.append(image.image_id)
            photos.append((await client.get_image(image.image_id)).content)
    return names, photos


async def _version(client: SightlineClient, name: str, version: str) -> pb.InspectionReference:
    """Return a version of a reference."""
    request = pb.ListReferencesRequest(catalog_id=client.catalog, reference_id=name)
    method = client.calls.inspection.ListReferences
    listed = await client.calls(method, request, client.timeout)
    return next(each for each in listed.references if each.version == version)


def _files(paths: list[Path] | tuple[()]) -> Iterator[Path]:
    """Yield files, and those of folders that are named as photos, in order."""
    for path in paths:
        if path.is_dir():
            found = sorted(path.iterdir())
            yield from (each for each in found if each.suffix.lower() in PHOTOS)
        else:
            yield path
