"""``sightline models``"""

from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import model_service_pb2
from sightline_client import from_wire
from sightline_client.cli import following, listings, online, options, running, tables
from sightline_client.cli.commands import Commands
from sightline_client.client import SightlineClient
from sightline_client.operations import JobState

app = Commands(no_args_is_help=True, help="Train ranking models and choose the one that serves.")
app.command("online")(online.command)


@app.command()
def train(
    *,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, metavar="N", help="The same data and seed, same model."),
    ] = 0,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the serving one when it is trained.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")] = True,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Train a model over all events and products.

    [bold]Examples[/bold]

      sightline models train --promote

      sightline models train --no-wait --json | jq -r .jobId
    """
    if promote and not wait:
        raise typer.BadParameter("--promote has to wait for the model", param_hint="--promote")

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.train_model(seed=seed)
        if not wait:
            return await following.get(client, job.job_id)
        message = await following.follow(client, job.job_id)
        ended = from_wire.job(message)
        if promote and ended.state is JobState.SUCCEEDED:
            await client.promote_model(ended.results["model_version"])
        return message

    message = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    value = from_wire.job(message)
    if json:
        running.show_json(message)
    else:
        running.show(listings.jobs([value]))
        if promote and value.state is JobState.SUCCEEDED:
            version = tables.plain(value.results.get("model_version", ""))
            running.show(Text(f"Model {version} serves now."))
    if wait and not following.ended_well(value):
        raise typer.Exit(1)


@app.command("list")
def list_(
    *,
    top: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How many, newest first.")
    ] = 20,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """List the models, newest first, with how well each orders events held out in time.

    [bold]Example[/bold]

      sightline models list
    """
    request = model_service_pb2.ListModelsRequest(catalog_id=catalog, page_size=top)

    async def ask(client: SightlineClient) -> model_service_pb2.ListModelsResponse:
        return await client.calls.list_models(request, timeout)

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        running.show(listings.models([from_wire.model(model) for model in response.models]))


@app.command()
def promote(
    *,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION", help="As `models list` shows it.", callback=options.named
        ),
    ],
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Make a model the serving one, at once and without a failed request.

    [bold]Example[/bold]

      sightline models promote 6f1c…
    """
    request = model_service_pb2.PromoteModelRequest(catalog_id=catalog, model_version=version)

    async def ask(client: SightlineClient) -> model_service_pb2.Model:
        return await client.calls.promote_model(request, timeout)

    _show(running.run(ask, target=target, catalog=catalog, timeout=timeout), json=json)


@app.command()
def publish(
    *,
    version: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]", help="As `models list` shows it; none: the serving one."
        ),
    ] = "",
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Also if it is published already.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")] = True,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Put a model's products into the index's collaborative space.

    [bold]Example[/bold]

      sightline models publish
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.publish_model(version, rewrite=rewrite)
        return await (following.follow if wait else following.get)(client, job.job_id)

    message = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    value = from_wire.job(message)
    if json:
        running.show_json(message)
    else:
        running.show(listings.jobs([value]))
    if wait and not following.ended_well(value):
        raise typer.Exit(1)


@app.command()
def rollback(
    *,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Make the model that served before the present one the serving one again.

    [bold]Example[/bold]

      sightline models rollback
    """
    request = model_service_pb2.RollbackModelRequest(catalog_id=catalog)

    async def ask(client: SightlineClient) -> model_service_pb2.Model:
        return await client.calls.rollback_model(request, timeout)

    _show(running.run(ask, target=target, catalog=catalog, timeout=timeout), json=json)


def _show(message: model_service_pb2.Model, *, json: bool) -> None:
    if json:
        running.show_json(message)
    else:
        running.show(listings.models([from_wire.model(message)]))
