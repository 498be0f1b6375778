"""What scores are made of, what moved products, and why one is not shown, for people."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline_client.cli.show.tables import PARTS, degradation, grid, plain
from sightline_client.values.answers import Move, MoveCause, RecommendedProduct, ScorePart
from sightline_client.values.explanations import (
    BranchVerdict,
    ExplainedScore,
    Explanation,
    HeatMap,
)

CAUSES = MappingProxyType(
    {
        MoveCause.UNKNOWN: "something that this client does not know",
        MoveCause.DIVERSITY: "unlike its neighbours, or too like them",
        MoveCause.BRAND_CAP: "enough of one brand",
        MoveCause.CATEGORY_CAP: "enough of one category",
        MoveCause.POPULARITY: "popular products give way",
        MoveCause.EXPLORATION: "a new product is given a place to be seen",
        MoveCause.CONTROL: "pinned or buried",
        MoveCause.COLLAPSE: "products above it are near-duplicates or gone",
    }
)
"""What moves products, in words."""

CAPTION = (
    "Each part of a raw score by what it comes from; the lines of a part add up to it. product=:"
    " one of the shopper's own; signals[n]: what was asked with, from 0; bias: of the"
    " product, for every shopper; other: all the rest."
)

BRANCHES_CAPTION = (
    "Lists that candidates come from, one for each signal and one for the shopper. similarity:"
    " cosine, −1 to 1; a product less near than the last one is not in the list. –: not known"
)


def scores(results: Sequence[RecommendedProduct]) -> RenderableType:
    """Show the parts of each result's score."""
    return Group(
        *(
            _score(
                f"{item.rank}. {plain(item.product.product_id)} {plain(item.product.title)}",
                item.parts,
                moved(item.score_rank, item.moves),
            )
            for item in results
        ),
        Text(CAPTION, style="dim"),
    )


def explanation(value: Explanation) -> RenderableType:
    """Show a product's place, and why."""
    lines: list[RenderableType] = []
    if value.product is not None:
        name = f"{plain(value.product.product_id)} {plain(value.product.title)}"
        lines.append(Text(name, style="bold"))
    lines.append(Text(f"{plain(value.text)} [{value.outcome}]"))
    lines += [Text(f"Degraded: {degradation(item)}", style="yellow") for item in value.degradations]
    if value.rejection is not None:
        lines += [Text(f"  it has {plain(held)}") for held in value.rejection.held]
        if value.rejection.path:
            lines.append(Text(f"  the condition: {plain(value.rejection.path)}", style="dim"))
    if value.branches:
        lines.append(_branches(value.branches))
    lines += _compared(value)
    return Group(*lines)


def _compared(value: Explanation) -> list[RenderableType]:
    """Show the product's score beside that of the last one shown."""
    found: list[RenderableType] = []
    if value.score is not None:
        found.append(_explained("its score", value.score))
    last = value.last_shown
    if last is not None and (value.score is None or last.product_id != value.score.product_id):
        found.append(_explained(f"the last product shown, {plain(last.product_id)}", last))
    return [*found, Text(CAPTION, style="dim")] if found else []


def _explained(title: str, value: ExplainedScore) -> RenderableType:
    return _score(
        f"{title}: {value.raw_score:.4f}", value.parts, moved(value.score_rank, value.moves)
    )


def moved(score_rank: int, moves: Iterable[Move]) -> str:
    """Say what moved a product; "" = it did not move."""
    steps = "; ".join(f"{move.places:+d} {CAUSES[move.cause]} [{move.cause}]" for move in moves)
    return f"place {score_rank} by its score alone; moved {steps}" if steps else ""


def _score(title: str, parts: Sequence[ScorePart], moved: str) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("part")
    table.add_column("comes from", overflow="fold", ratio=1)
    table.add_column("adds", justify="right")
    for part in sorted(parts, key=lambda one: -abs(one.value)):
        meaning = PARTS.get(part.name, "see the docs")
        table.add_row(Text(plain(part.name)), Text(meaning), Text(f"{part.value:+.4f}"))
        for one in part.features:
            added = Text(f"{one.value:+.4f}", style="dim")
            table.add_row("", Text(f"  {plain(one.name)}", style="dim"), added)
    lines: list[RenderableType] = [Text(title, style="bold"), table]
    return Group(*lines, Text(moved)) if moved else Group(*lines)


def _branches(verdicts: Sequence[BranchVerdict]) -> RenderableType:
    columns = ("list", "products in it", "named it", "its similarity", "the last one's")
    rows = (
        (
            item.branch + ("" if item.signal is None else f", signals[{item.signal}]"),
            f"{item.named_count:,}",
            "yes" if item.named else "no",
            _similarity(item.similarity),
            _similarity(item.last_similarity),
        )
        for item in verdicts
    )
    return Group(grid(columns, rows, right=columns[1:]), Text(BRANCHES_CAPTION, style="dim"))


def _similarity(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def heat_map(value: HeatMap, file: str) -> Text:
    """Say what a heat map shows, and where it is."""
    return Text(
        f"Written: {plain(file)}. Above your photo, below the product's {value.image_id[:12]}."
        f" Orange regions make them similar, blue ones less so. All regions of a photo sum to the"
        f" similarity {value.similarity:.4f}, but for {value.unplaced:+.4f} that has no place."
    )
