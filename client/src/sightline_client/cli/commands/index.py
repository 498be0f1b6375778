"""``sightline index``"""

from typing import Annotated

import typer
from rich.text import Text

from sightline.retriever.v1 import index_service_pb2 as pb
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, listings
from sightline_client.cli.work import following, upgrade
from sightline_client.cli.work.plain_commands import Given, PlainCommands, flag, text
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.values.operations import IndexKind, IndexMetric, IndexParameters

app = PlainCommands(
    help="Roll out a new version of the embedding model, roll it back, repair an index.",
    table=listings.generations,
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="GENERATION", help="Name, as shown by `index list`.", callback=options.text
    ),
]
Space = Annotated[str, options.words(metavar="SPACE", help="The embedding space.")]
_METRICS = [str(each) for each in IndexMetric if each is not IndexMetric.UNKNOWN]
_KINDS = [str(each) for each in IndexKind if each is not IndexKind.UNKNOWN]


_NAME = Given("name", Name)
_VISUAL = Given("space", Space, "visual")

app.call(
    "list",
    "List the generations, oldest first, and mark the active one.",
    "index list",
    SightlineClient.list_generations,
    Given("space", Space, ""),
    flag("dropped", "Include dropped generations.", to="include_dropped"),
)


@app.command()
def create(
    *,
    name: Annotated[
        str, options.words(metavar="NAME", help="Name of the generation; default: generated.")
    ] = "",
    space: Space = "visual",
    version: Annotated[
        str,
        options.words(
            metavar="VERSION", help="Version of the space; default: the embedder's default."
        ),
    ] = "",
    metric: Annotated[
        str, typer.Option(metavar="|".join(_METRICS), help="Similarity metric.")
    ] = "COSINE",
    kind: Annotated[
        str,
        typer.Option(metavar="|".join(_KINDS), help="Index type: exact (FLAT) or graph (HNSW)."),
    ] = "FLAT",
    m: Annotated[int, typer.Option(min=0, help="HNSW: links per node; default 16.")] = 0,
    ef_construction: Annotated[
        int, typer.Option(min=0, help="HNSW: candidates when building; default 200.")
    ] = 0,
    ef: Annotated[
        int, typer.Option(min=0, help="HNSW: minimum candidates of a search; default 128.")
    ] = 0,
    partitions: Annotated[
        int, typer.Option(min=0, help="Partitions by top category; default: no partitions.")
    ] = 0,
    suite: Suite,
) -> None:
    """Create a generation beside the active one. All writes reach it from then on.

    sightline index create --name visual-lite2 --version 3f9a1b22c4d1…
    """
    if metric.upper() not in _METRICS:
        raise typer.BadParameter(
            _("is not one of {metrics}", metrics=", ".join(_METRICS)), param_hint="--metric"
        )
    if kind.upper() not in _KINDS:
        raise typer.BadParameter(
            _("is not one of {kinds}", kinds=", ".join(_KINDS)), param_hint="--kind"
        )
    parameters = IndexParameters(IndexKind(kind.upper()), m, ef_construction, ef, partitions)
    suite.answer(
        lambda client: client.create_generation(
            name=name,
            space=space,
            space_version=version,
            metric=IndexMetric(metric.upper()),
            parameters=parameters,
        ),
        listings.generations.one,
    )


app.job(
    "backfill",
    """Embed every stored photo that a generation lacks. After an interrupt or a cancellation, run
    it again to continue.""",
    "index backfill visual-lite2",
    SightlineClient.backfill_generation,
    _NAME,
    keeps=True,
)


@app.command()
def verify(
    *,
    name: Name,
    sample: Annotated[
        int, options.number("N", "Photos to embed again; default 200.", 0, 10_000)
    ] = 0,
    k: Annotated[int, options.number("N", "Neighbours per search; default 100.", 0, 1000)] = 0,
    min_recall: Annotated[
        float, options.number("SHARE", "Minimum recall; default 0.98.", 0, 1)
    ] = 0.0,
    suite: Suite,
) -> None:
    """Verify a generation: recall against exact search, photos embedded again, counts. Exit code 0
    = it passed.

      sightline index verify visual-lite2
    """

    async def ask(client: SightlineClient) -> pb.Generation | None:
        job = await client.verify_generation(name, sample_size=sample, k=k, min_recall=min_recall)
        if not following.ended_well(from_wire.job(await following.follow(client, job.job_id))):
            return None
        request = pb.ListGenerationsRequest(catalog_id=suite.catalog)
        listed = await client.calls(client.calls.admin.ListGenerations, request, suite.timeout)
        return next((each for each in listed.generations if each.name == name), None)

    message = suite.run(ask)
    if message is None:
        raise typer.Exit(1)
    found = from_wire.generation(message).verification
    suite.show(message, lambda: listings.verification(found) if found else Text(""))
    if found is None or not found.passed:
        raise typer.Exit(1)


app.call(
    "activate",
    "Activate a generation: searches use it at once, without downtime.",
    "index activate visual-lite2",
    SightlineClient.activate_generation,
    _NAME,
    flag("force", "Activate even if the verification failed or is missing; this is logged."),
)
app.call(
    "rollback",
    "Reactivate the previously active generation.",
    "index rollback",
    SightlineClient.rollback_generation,
    _VISUAL,
)
app.call(
    "drop",
    "Drop an inactive generation, and its vectors unless another generation uses them.",
    "index drop visual-3f9a1b22c4d1-1",
    SightlineClient.drop_generation,
    _NAME,
)


@app.command("upgrade")
def upgrade_(
    *,
    space: Space = "visual",
    version: Annotated[
        str,
        options.words(
            metavar="VERSION|MODEL",
            help="Version of the space or name of its model, as shown by `status`; default: the "
            "embedder's default.",
        ),
    ] = "",
    suite: Suite,
) -> None:
    """Roll out a version of a space: create, backfill, verify, activate. After an interrupt, run it
    again to continue. The new generation has the kind, metric and parameters of the active one; for
    others, create it first.

      sightline index upgrade

      sightline index upgrade --version efficientnet_lite2
    """
    if space != "visual" and not version:
        raise typer.BadParameter(
            _("is required for a space other than visual"), param_hint="--version"
        )
    made = upgrade.Upgrade()

    async def ask(client: SightlineClient) -> None:
        await upgrade.upgrade(client, space, version, made)

    try:
        suite.run(ask, keeps=True)
    finally:
        _show_upgrade(made, json=suite.json)
    if not made.done:
        raise typer.Exit(1)


app.job(
    "rebuild",
    """Rebuild an index that lost its data, from the stored vectors.

    No photo is embedded again. The command ends when the index is complete.""",
    ("index rebuild", "index rebuild --space visual --catalog shop"),
    SightlineClient.rebuild_index,
    text("space", "SPACE", "The space to rebuild.", default="visual"),
)


def _show_upgrade(made: upgrade.Upgrade, *, json: bool) -> None:
    """Print the timeline, what is wrong, and what to do next."""
    name = grids.plain(made.generation.name) if made.generation is not None else ""
    if json:
        steps = [
            {
                "time": step.time.isoformat(),
                "step": step.name,
                "result": step.result,
                "seconds": round(step.seconds, 3),
            }
            for step in made.steps
        ]
        running.show_facts({"generation": name, "active": made.done, "steps": steps})
        return
    running.show(listings.timeline([(s.time, s.name, s.result, s.seconds) for s in made.steps]))
    found = made.generation.verification if made.generation is not None else None
    if found is not None and not found.passed and not made.done:
        running.show(listings.verification(found))
        running.show(
            Text(
                _(
                    "Fix that and run it again, or: sightline index activate {name} --force",
                    name=name,
                )
            )
        )
    if made.done:
        running.show(
            Text(_("{name} is active. Back in one call: sightline index rollback", name=name))
        )
