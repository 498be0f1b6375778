"""``sightline spaces``"""

from collections.abc import Awaitable, Mapping
from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import job_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _, later
from sightline_client.cli.show import grids, space_tables
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import Given, PlainCommands, flag
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import FailedPrecondition
from sightline_client.values.spaces import Space

app = PlainCommands(
    help="Fit a space on the catalog's own photos, and promote it.", table=space_tables.spaces
)

REFUSED = "PROMOTION_REFUSED"
PROMOTION_SECONDS = 120.0
"""A promotion waits until Triton has loaded and verified the model."""
PROMOTION = Suite(timeout=PROMOTION_SECONDS)

Version = Annotated[
    str, options.argument("VERSION", "Version or model, as shown by `spaces list`.")
]


@app.command()
def fit(
    *,
    backbone: Annotated[str, options.words(metavar="MODEL")] = "",
    dimension: Annotated[int, options.number("N", 16, 256)] = 256,
    seed: Annotated[int, options.number("N", 0, 2**62)] = 0,
    photos: Annotated[int, options.number("N", 100, 1_000_000)] = 50_000,
    shopper_tag: Annotated[list[str] | None, typer.Option(metavar="TAG")] = None,
    promote: options.Flag = False,
    force: options.ForcePromotion = False,
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Fit a space on the catalog's photos: products with several, variants, categories, titles.

    `spaces show` shows the result; `spaces promote` and `index upgrade` put it into service.

    sightline spaces fit --shopper-tag phone
    sightline spaces fit --promote
    sightline spaces fit --no-wait --json | jq -r .jobId

    Args:
        backbone: E.g. efficientnet_lite2; default: as installed.
        dimension: Maximum dimension of a vector.
        seed: Random seed: equal data and seeds give equal spaces.
        photos: Maximum number of photos to fit on.
        shopper_tag: Tag of products whose photos were taken by shoppers. Repeatable.
        promote: Promote the space if it is better than the current one.
    """
    following.check_promotion(later("space"), promote=promote, force=force, wait=wait)
    refused: FailedPrecondition | None = None

    async def ask(client: SightlineClient) -> job_pb2.Job:
        nonlocal refused
        job = await client.fit_space(
            backbone=backbone,
            max_dimension=dimension,
            seed=seed,
            max_photos=photos,
            shopper_photo_tags=shopper_tag or (),
        )

        def promoted(of: Mapping[str, str]) -> Awaitable[Space]:
            return client.promote_space(of["space_version"], force=force, timeout=PROMOTION_SECONDS)

        message = await following.started(client, job, wait=wait)
        if promote:
            refused = await following.refusal(message, promoted, REFUSED)
        return message

    message = suite.run(ask)
    following.show(message, suite, wait=wait)
    value = from_wire.job(message)
    if not suite.json and wait:
        version = grids.plain(value.results.get("space_version", ""))
        next_step = _(
            "It is serving: `sightline index upgrade --version {version}` makes searches use it.",
            version=version,
        )
        if not promote:
            next_step = _(
                "`sightline spaces show {version}` shows its evaluation.", version=version
            )
        if refused is None:
            running.show(Text(next_step))
    if refused is not None:
        running.complain(refused)
        raise typer.Exit(1)


app.call(
    "list",
    "List the spaces that the embedder serves.",
    "spaces list --all",
    SightlineClient.list_spaces,
    flag("all_", "Include candidates and retired spaces.", option="--all", to="include_all"),
)


@app.command()
def show(*, version: Version, suite: Suite) -> None:
    """Show a space, and the results of its fit.

    sightline spaces show visual_1f0c2a7b93d4
    """

    async def ask(client: SightlineClient) -> pb.Space | None:
        request = pb.ListSpacesRequest(catalog_id=suite.catalog, include_all=True)
        listed = await client.calls(client.calls.admin.ListSpaces, request, suite.timeout)
        named = (each for each in listed.spaces if version in (each.version, each.model))
        return next(named, None)

    found = suite.run(ask)
    if found is None:
        running.refuse(
            "SPACE_NOT_FOUND", _("no space has the version or model {version}", version=version)
        )
    suite.show(found, lambda: space_tables.space(from_wire.space(found)))


app.call(
    "promote",
    """Promote a fitted space, if it is better than the one it was compared with. Searches use it
    after `index upgrade`.""",
    "spaces promote visual_1f0c2a7b93d4",
    SightlineClient.promote_space,
    Given("version", Version),
    Given("force", options.ForcePromotion, default=False),
    shows=space_tables.space,
    suite=PROMOTION,
)
app.call(
    "retire",
    "Take a fitted space out of service. Rejected while an index generation uses it.",
    "spaces retire visual_1f0c2a7b93d4",
    SightlineClient.retire_space,
    Given("version", Version),
    shows=space_tables.space,
    suite=PROMOTION,
)
