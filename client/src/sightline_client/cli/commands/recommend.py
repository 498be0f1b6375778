"""``sightline recommend``"""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.base import options, running
from sightline_client.cli.base.query import RequestGroup
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _, filled
from sightline_client.cli.show import classified, explained, page, tables
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import answer_pages, asking
from sightline_client.cli.work import batch as batches
from sightline_client.client import SightlineClient
from sightline_client.values.answers import AnswerQuality, Recommendations


class LeastQuality(StrEnum):
    """Qualities that can be required."""

    SNAPSHOT = "snapshot"
    FALLBACK = "fallback"
    REDUCED = "reduced"
    FULL = "full"


def recommend(
    *,
    asked: RequestGroup,
    explain: options.Flag = False,
    min_answer_quality: Annotated[LeastQuality | None, typer.Option()] = None,
    html: options.Html = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="IN.jsonl",
            help=filled(
                "File with one request per line, answered in that order in --out. Keys: {keys}."
                " Photos are paths, relative to the file's folder.",
                keys=", ".join(asking.KEYS),
            ),
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT.jsonl")] = None,
    in_flight: options.InFlight = 8,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """Recommend products for a photo, products, words, a customer, or any mix of them.

    With none of these it recommends popular products. In --filter, AND joins conditions, and OR
    joins several = of one field; texts of several words are quoted; a price is an amount and its
    currency, 30 EUR; ':' tests for a tag.

    sightline recommend --image shelf.jpg --top 5
    sightline recommend --product 111478 --user 1209683 --explain
    sightline recommend --image shelf.jpg --filter 'category = "Red" AND price < 30 EUR'
    sightline recommend --filter '(brand = Aurora OR brand = Miolo) AND tags:Beef'
    sightline recommend --image shelf.jpg --html answer.html
    sightline recommend --image bag.jpg --not-text leather --not-product 111478
    sightline recommend --batch requests.jsonl --out answers.jsonl
    sightline recommend --scene cart --anchor 111478 --anchor 100062
    sightline recommend --visitor cookie-7 --json | jq '.results[].product.title'

    Args:
        explain: Show the origin of each part of a score, and what changed products' positions.
        min_answer_quality: Minimum quality of the answer; a lower one is an error. snapshot: cached
            products; fallback: popular products instead; reduced: computed without a part, such as
            the ranker.
        out: File for the answers of --batch.
    """
    if (batch is None) is not (out is None):
        raise typer.BadParameter(_("--batch and --out require each other"), param_hint="--out")
    if batch is not None and out is not None:
        nothing = RequestGroup()
        beside = replace(asked, top=nothing.top, currency="", not_weight=nothing.not_weight)
        if beside != nothing or explain or html or min_answer_quality:
            raise typer.BadParameter(
                _(
                    "the file's lines hold the requests: --batch allows only --top, "
                    "--currency and connection options"
                ),
                param_hint="--batch",
            )
        _many(batch, out, asked.top, asked.currency, in_flight, suite)
        return
    request = asked.request()
    request["explain"] = explain
    if min_answer_quality is not None:
        request["min_answer_quality"] = AnswerQuality[min_answer_quality.name]
    answer_pages.show(
        suite,
        html,
        lambda client: client.recommend(**request),
        lambda answer: _shown(answer, explain=explain, verbose=verbose),
        head=lambda answer: page.Head(
            _("Recommendations"),
            answer_pages.request(asked, answer.versions.scene),
            _lead(answer),
            answer_pages.files(asked, request["images"]),
        ),
        sections=lambda answer: [page.Section(answer)],
        products=asked.product or (),
    )


def _shown(answer: Recommendations, *, explain: bool, verbose: bool) -> RenderableType:
    parts = [tables.answer(answer, verbose=verbose)]
    parts += map(Text, classified.label_lines(answer))
    if explain:
        parts.append(explained.scores(answer.results))
    return Group(*parts)


def _many(  # noqa: PLR0917 (they are handed on as they came)
    batch: Path,
    out: Path,
    top: int,
    currency: str,
    in_flight: int,
    suite: Suite,
) -> None:
    if out.exists() and out.samefile(batch):
        raise typer.BadParameter(_("would overwrite the requests"), param_hint="--out")

    async def work(client: SightlineClient) -> batches.BatchOutcome:
        return await batches.answer(
            client, batch, out, top=top, currency=currency, side_by_side=in_flight
        )

    outcome = suite.run(work)
    if suite.json:
        running.show_facts(
            {"answeredCount": outcome.answered, "failedCount": outcome.failed, "out": str(out)}
        )
    else:
        more = (
            _("; {failed:,} failed: their lines hold the errors", outcome) if outcome.failed else ""
        )
        running.show(
            phrase(
                "{answered:,} answered in {out}{more}.",
                outcome,
                out=out,
                more=more,
            )
        )
    if outcome.failed:
        raise typer.Exit(1)


def _lead(answer: Recommendations) -> list[str]:
    poor = [tables.poor(answer)] if answer.no_good_match else []
    return [*poor, *classified.label_lines(answer)]
