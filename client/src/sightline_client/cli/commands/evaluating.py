"""``sightline models evaluate``"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sightline.ranker.v1 import evaluation_pb2, model_service_pb2
from sightline_client.cli.base import options, progress, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import evaluation_page, evaluation_tables
from sightline_client.cli.work import following, offline_evaluation
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.convert.from_wire import evaluation


class SplitChoice(StrEnum):
    """Way to split events."""

    GLOBAL = "global"
    PER_USER_TAIL = "per-user-tail"


_FILE = {"exists": True, "dir_okay": False, "rich_help_panel": "Without a suite"}


def command(
    *,
    version: Annotated[str, typer.Argument(metavar="[VERSION]")] = "",
    show: options.Flag = False,
    html: Annotated[Path | None, typer.Option(dir_okay=False)] = None,
    events: Annotated[Path | None, typer.Option(metavar="FILE", **_FILE)] = None,
    products: Annotated[Path | None, typer.Option(metavar="FILE", **_FILE)] = None,
    split: Annotated[SplitChoice | None, typer.Option(rich_help_panel="Without a suite")] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=0.9, rich_help_panel="Without a suite")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, rich_help_panel="Without a suite")] = 0,
    ignore: options.Ignore = None,
    suite: Suite,
) -> None:
    """Measure a model on held-out events, beside the serving model and classic recommenders, and
    decide whether it may serve.

    With --events and --products no suite is needed: the ranker's package trains and measures the
    model on this machine. A clone of the project installs it (make setup), a release does not.

    sightline models evaluate --html evaluation.html
    sightline models evaluate lfm-6f1c… --show
    sightline models evaluate --events clicks.csv --products shop.csv --split global --json

    Args:
        version: Version, as shown by `models list`; default: the newest.
        show: Show the last evaluation without running a new one.
        html: Write a page with plots.
        events: File of events, as for `events import`.
        products: File of products, as for `products import`.
        split: Split at one time for all shoppers, or hold out the last events of each; default:
            both.
        share: Share of the events to hold out.
        seed: Seed of the training.
    """
    if (events is None) is not (products is None):
        raise typer.BadParameter(_("give --events and --products together"), param_hint="--events")
    if events is not None and products is not None:
        if version or show:
            raise typer.BadParameter(
                _("a model of the suite can't be evaluated on files"), param_hint="VERSION"
            )
        splits = [split] if split else list(SplitChoice)
        found = running.guarded(
            lambda: _here(events, products, splits, share=share, seed=seed, ignore=ignore or ())
        )
    else:
        if split is not None:
            raise typer.BadParameter(_("the suite measures both"), param_hint="--split")
        found = suite.run(lambda client: _there(client, version, show=show))
    if html is not None:
        running.guarded(lambda: evaluation_page.write(html, evaluation(found)))
    suite.show(found, lambda: evaluation_tables.evaluation(evaluation(found)))
    if html is not None:
        running.tell("The same as a page, with plots: {html}", html=html)


async def _there(client: SightlineClient, version: str, *, show: bool) -> evaluation_pb2.Evaluation:
    """Have the suite evaluate a model; with ``show``, return its last evaluation."""
    if not show:
        job = await client.evaluate_model(version)
        ended = from_wire.job(await following.follow(client, job.job_id))
        following.check(ended)
        version = ended.results.get("model_version", version)
    request = model_service_pb2.GetEvaluationRequest(
        catalog_id=client.catalog, model_version=version
    )
    return await client.calls(client.calls.admin.GetEvaluation, request, client.timeout)


def _here(
    events: Path,
    products: Path,
    splits: Sequence[SplitChoice],
    *,
    share: float,
    seed: int,
    ignore: Sequence[str],
) -> evaluation_pb2.Evaluation:
    """Evaluate files with the evaluator installed on this machine."""
    evaluate = offline_evaluation.evaluator()
    known, happened = (
        offline_evaluation.read_products(products, ignore),
        offline_evaluation.read_events(events, ignore),
    )
    with progress.meter(_("measuring")) as bar:
        return evaluate(
            happened,
            known,
            protocols=[one.value for one in splits],
            share=share,
            seed=seed,
            progress=bar.at,
        )
