"""Tables of scores' parts, of rules that moved products, and of why a product is not shown."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _, later
from sightline_client.cli.show import classified
from sightline_client.cli.show.grids import grid, phrase, plain
from sightline_client.cli.show.tables import PARTS, SEE, degraded, resting
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.values.answers import Move, MoveCause, RecommendedProduct, ScorePart
from sightline_client.values.controls import ControlKind, ControlResult
from sightline_client.values.explanations import (
    BranchVerdict,
    ExplainedScore,
    Explanation,
    HeatMap,
    PlaceLimit,
    ProductControl,
)

CAUSES = MappingProxyType(
    {
        MoveCause.UNKNOWN: "a cause that this client does not know",
        MoveCause.DIVERSITY: "a more diverse list",
        MoveCause.BRAND_CAP: "limit of products per brand",
        MoveCause.CATEGORY_CAP: "limit of products per category",
        MoveCause.CALIBRATION: "categories in the shopper's own proportions",
        MoveCause.POPULARITY: "fewer popular products",
        MoveCause.OBJECTIVE: "a higher expected value of another product, or of this one",
        MoveCause.EXPLORATION: "a position reserved for new products",
        MoveCause.CONTROL: "pinned or buried",
        MoveCause.COLLAPSE: "near-duplicates or deleted products above it",
    }
)
"""Explanation of each cause of a move."""

KINDS = MappingProxyType(
    {
        ControlKind.UNKNOWN: later("unknown to this client"),
        ControlKind.PIN: later("pins it to a place"),
        ControlKind.BOOST: later("moves it up"),
        ControlKind.BURY: later("puts it last"),
        ControlKind.EXCLUDE: later("leaves it out"),
    }
)
"""Action of each kind of control."""

STATES = MappingProxyType(
    {
        ControlResult.APPLIED: later("yes"),
        ControlResult.NOT_YET: later("not yet"),
        ControlResult.ENDED: later("not any more"),
        ControlResult.OUT_OF_BUDGET: later("no: used up today"),
        ControlResult.UNMET: later("no: not for this request"),
    }
)
"""State of a control in a request: it applies, or why not."""

product_controls = ValueTable(
    ProductControl,
    {
        "control": "control",
        "scene": lambda one: one.scene or _("the request"),
        "what it does": lambda one: _(KINDS[one.kind]),
        "applies": lambda one: _(STATES[one.outcome]) if one.outcome in STATES else "–",
        "requests": lambda one: one.condition or _("all"),
        "products": lambda one: one.filter or _("by their ids"),
        "pages today": lambda one: (
            f"{one.exposure_count:,} / {one.daily_budget:,}" if one.daily_budget else "–"
        ),
    },
    spare=("products", "requests"),
)
place_limits = ValueTable(
    PlaceLimit,
    {
        "limit": lambda one: _(CAUSES[one.cause]),
        "of": "value",
        "at most": "limit",
        "in the first places": "place_count",
        "there now": "product_count",
    },
    right=("at most", "in the first places", "there now"),
)

CAPTION = later(
    "Parts of a raw score, with the features that contribute to each; the features sum to the part."
    " product=: a product of the shopper's history; signals[n]: signal n of the query, from 0;"
    " history[n]: a group of the shopper's last products; other: all other features."
)

BRANCHES_CAPTION = later(
    "Lists of candidates, one for each signal and one for the shopper. similarity: cosine, −1 to 1;"
    " a product less similar than the last one is not in the list. –: unknown"
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
        Text(_(CAPTION), style="dim"),
    )


def explanation(value: Explanation) -> RenderableType:
    """Show a product's position, and the reasons for it."""
    lines: list[RenderableType] = []
    if value.product is not None:
        name = f"{plain(value.product.product_id)} {plain(value.product.title)}"
        lines.append(Text(name, style="bold"))
    lines.append(Text(f"{plain(value.text)} [{value.outcome}]"))
    lines += degraded(value.degradations)
    lines += [Text(f"  {plain(line)}") for line in reasons(value)]
    lines += map(Text, classified.label_lines(value))
    if value.branches:
        lines += [_branch_verdicts(value.branches), Text(_(BRANCHES_CAPTION), style="dim")]
    lines += _compared(value)
    lines += resting(value.control_outcomes)
    lines += rules(value)
    return Group(*lines)


def rules(value: Explanation) -> list[RenderableType]:
    """Show the controls that select the product, and the limits that concern it."""
    found: list[RenderableType] = []
    if value.product_controls:
        found.append(product_controls(value.product_controls))
    if value.place_limits:
        found.append(place_limits(value.place_limits))
    return found


def reasons(value: Explanation) -> list[str]:
    """Say what excluded a product, and where the request says so."""
    if value.rejection is None:
        return []
    held = [_("it has {held}", held=each) for each in value.rejection.held]
    path = value.rejection.path
    return [*held, _("the condition: {path}", path=path)] if path else held


def _compared(value: Explanation) -> list[RenderableType]:
    """Show the product's score beside that of the last one shown."""
    found: list[RenderableType] = []
    if value.score is not None:
        found.append(_explained(_("its score"), value.score))
    last = value.last_shown
    if last is not None and (value.score is None or last.product_id != value.score.product_id):
        found.append(
            _explained(
                _("the last product shown, {product_id}", product_id=plain(last.product_id)),
                last,
            )
        )
    return [*found, Text(_(CAPTION), style="dim")] if found else []


def _explained(title: str, value: ExplainedScore) -> RenderableType:
    return _score(
        _("{title}: {score:.4f}", title=title, score=value.raw_score),
        value.parts,
        moved(value.score_rank, value.moves),
    )


def moved(score_rank: int, moves: Iterable[Move]) -> str:
    """Say what moved a product; "" = it did not move."""
    steps = "; ".join(
        f"{move.places:+d} ({_(CAUSES[move.cause])}) [{move.cause}]" for move in moves
    )
    return (
        _(
            "place {score_rank} by its score alone; moved {steps}",
            score_rank=score_rank,
            steps=steps,
        )
        if steps
        else ""
    )


def _score(title: str, parts: Sequence[ScorePart], moved: str) -> RenderableType:
    added = _("adds")
    table = grid((_("part"), _("comes from"), added), right=(added,))
    for part in sorted(parts, key=lambda one: -abs(one.value)):
        table.add_row(part.name, _(PARTS.get(part.name, SEE)), f"{part.value:+.4f}")
        for one in part.features:
            name, value = f"  {plain(one.name)}", f"{one.value:+.4f}"
            table.add_row("", Text(name, style="dim"), Text(value, style="dim"))
    lines: list[RenderableType] = [Text(title, style="bold"), table]
    return Group(*lines, Text(moved)) if moved else Group(*lines)


_branch_verdicts = ValueTable(
    BranchVerdict,
    {
        "list": lambda item: (
            item.branch + ("" if item.signal is None else f", signals[{item.signal}]")
        ),
        "products in it": "named_count",
        "named it": lambda item: _("yes") if item.named else _("no"),
        "its similarity": "similarity:.4f",
        "the last one's": "last_similarity:.4f",
    },
    right=("products in it", "named it", "its similarity", "the last one's"),
)


def heat_map(value: HeatMap, file: str) -> Text:
    """Explain a heat map, and name its file."""
    return phrase(
        "Written: {file}. Top: your photo; bottom: the product's {image_id}. Orange "
        "regions raise the similarity, blue ones lower it. The regions of a photo sum to "
        "the similarity {similarity:.4f}, except {unplaced:+.4f} without a region.",
        value,
        file=file,
        image_id=value.image_id[:12],
    )
