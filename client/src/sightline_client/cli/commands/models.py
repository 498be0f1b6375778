"""``sightline models``"""

from collections.abc import Sequence
from typing import Annotated

import typer

from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import model_service_pb2
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands import bringing, evaluating
from sightline_client.cli.language import _, later
from sightline_client.cli.show import listings, online_report, trained
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import (
    NEWEST,
    Given,
    PlainCommands,
    argument,
    flag,
    number,
)
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.values.operations import JobState, Model
from sightline_client.values.trainings import TrainingLoss, TrainingRecipe

app = PlainCommands(
    help="Train ranking models and choose the one that serves.", table=listings.models
)

UNPROVEN, INSUFFICIENT = "MODEL_UNPROVEN", "TRAINING_DATA_INSUFFICIENT"

app.command("evaluate")(evaluating.command)
app.call(
    "online",
    """Report on answers: clicks, purchases and hides by model, estimates for other orders, and
    drift.""",
    ("models online --days 28 --by-day", "models online --json | jq .groups"),
    SightlineClient.online_report,
    number("days", "N", "Days of answers to report on.", 1, 365, default=7),
    number(
        "conversion_days",
        "N",
        "Days after a click within which a purchase counts.",
        1,
        90,
        default=7,
    ),
    flag("by_day", "Also sum up by scene and by day, with revenue, empty and degraded answers."),
    shows=online_report.report,
)
app.command("bring")(bringing.command)


@app.command()
def train(
    *,
    seed: Annotated[int, options.number("N", 0, 2**32 - 1)] = 0,
    promote: options.Flag = False,
    force: options.ForcePromotion = False,
    search: Annotated[int | None, options.number("N", 0, 10_000)] = None,
    search_seconds: Annotated[float | None, options.number("S", 1, 604_800)] = None,
    ablation: Annotated[bool | None, typer.Option()] = None,
    incremental: options.Flag = False,
    loss: Annotated[TrainingLoss | None, typer.Option(case_sensitive=False, metavar="LOSS")] = None,
    dimension: Annotated[int | None, options.number("N", 2, 512)] = None,
    epochs: Annotated[int | None, options.number("N", 1, 1000)] = None,
    threads: Annotated[int | None, options.number("N", 1, 256)] = None,
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Train a model over all events and products.

    Options that are not given follow the installation's settings. `models show` shows the result.
    If nothing has changed since a model was trained alike, the command names that model and trains
    nothing; another --seed trains. With --promote, a model without enough evidence is kept but does
    not serve; the command reports what is missing and exits with 0.

    sightline models train --promote
    sightline models train --search 40 --search-seconds 1800
    sightline models train --incremental
    sightline models train --no-wait --json | jq -r .jobId

    Args:
        seed: Random seed: equal data and seeds give equal models.
        promote: Promote the model if its evaluation passed.
        search: Number of recipes to try on a validation split.
        search_seconds: Seconds after which no new trial starts.
        ablation: Measure the contribution of each part; disable parts without one.
        incremental: Continue from the serving model.
        loss: warp, bpr or logistic.
        dimension: Dimension of the vectors.
        epochs: Training epochs.
        threads: Training threads; 1 gives reproducible results.
    """
    following.check_promotion(later("model"), promote=promote, force=force, wait=wait)
    unproven: SightlineError | None = None
    models: Sequence[Model] = ()
    recipe = TrainingRecipe(
        loss or TrainingLoss.UNKNOWN, dimension=dimension, epochs=epochs, threads=threads
    )

    async def ask(client: SightlineClient) -> job_pb2.Job:
        nonlocal unproven, models
        job = await client.train_model(
            None if recipe == TrainingRecipe() else recipe,
            seed=seed,
            search_trials=search,
            search_seconds=search_seconds,
            ablation=ablation,
            incremental=incremental,
        )
        message = await following.started(client, job, wait=wait)
        if promote:
            unproven = await following.refusal(
                message, lambda of: client.promote_model(of["model_version"], force=force), UNPROVEN
            )
            models = await client.list_models()
        return message

    message = suite.run(ask)
    _show_training(message, suite, serves=promote and unproven is None)
    value = from_wire.job(message)
    if unproven is not None:
        version = value.results.get("model_version", "")
        running.say(trained.not_yet(version, models, unproven.message))
    elif promote and value.error is not None and value.error.reason == INSUFFICIENT:
        running.say(trained.nothing_learned(models, value.error.message))
    elif wait and not following.ended_well(value):
        raise typer.Exit(1)


def _show_training(message: job_pb2.Job, suite: Suite, *, serves: bool) -> None:
    """Print the job and, with ``serves``, the model that it promoted."""
    if suite.json:
        running.show_json(message)
        return
    value = from_wire.job(message)
    running.show(listings.jobs([value]))
    if lacking := int(value.results.get("unmatched_event_count", 0)):
        running.show(trained.unmatched(lacking, int(value.results["event_count"])))
    if "nothing_new" in value.results:
        running.show(trained.nothing_new(value.results["model_version"]))
    if serves and value.state is JobState.SUCCEEDED:
        version = value.results.get("model_version", "")
        running.show(phrase("Model {version} is serving.", version=version))


app.rows(
    "list",
    "List the models, newest first, with how well each orders events held out in time.",
    "models list",
    "admin.ListModels",
    NEWEST,
    reads=from_wire.model,
)


@app.command()
def show(
    *,
    version: Annotated[str, typer.Argument(metavar="VERSION", callback=options.text)] = "",
    suite: Suite,
) -> None:
    """Show how a model was trained: its recipe, and the weight and contribution of each part.

    sightline models show

    Args:
        version: Version, as shown by `models list`; default: the newest.
    """

    async def ask(client: SightlineClient) -> model_service_pb2.Model | None:
        request = model_service_pb2.ListModelsRequest(
            catalog_id=suite.catalog, page_size=1000 if version else 1
        )
        async for page in client.calls.pages(client.calls.admin.ListModels, request, suite.timeout):
            for model in page.models:
                if version in ("", model.model_version):
                    return model
        return None

    message = suite.run(ask)
    if message is None:
        unknown = _("no model has the version {version}", version=version)
        running.refuse("MODEL_NOT_FOUND", unknown if version else _("no model was trained"))
    suite.show(message, lambda: trained.model(from_wire.model(message)))


app.call(
    "promote",
    """Promote a model, at once and without downtime, if its evaluation passed against the serving
    model.""",
    "models promote lfm-6f1c…",
    SightlineClient.promote_model,
    argument("version", "VERSION", "Version, as shown by `models list`.", to="model_version"),
    Given("force", options.ForcePromotion, default=False),
)
app.job(
    "publish",
    "Put a model's products into the index's collaborative space.",
    "models publish",
    SightlineClient.publish_model,
    Given(
        "version",
        Annotated[
            str,
            typer.Argument(
                metavar="[VERSION]",
                help="Version, as shown by `models list`; default: the serving model.",
            ),
        ],
        "",
        to="model_version",
    ),
    flag("rewrite", "Publish again even if already published."),
)
app.call(
    "rollback",
    "Promote the previously serving model again.",
    "models rollback",
    SightlineClient.rollback_model,
)
app.call(
    "demote",
    """Take the serving model out of service: answers come from similarity, popularity and novelty.
    Nothing is deleted; `models promote` restores it.""",
    "models demote",
    SightlineClient.demote_model,
    shows=lambda model: phrase("Model {model_version} no longer serves; no model does.", model),
)
