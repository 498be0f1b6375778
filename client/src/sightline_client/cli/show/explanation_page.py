"""Why a product is, or is not, in an answer, as a self-contained HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline_client.cli.language import _
from sightline_client.cli.show import explained, page
from sightline_client.values.explanations import ExplainedScore, Explanation


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score as the page shows it."""

    title: str
    total: float
    bars: tuple[page.Bar, ...]
    moved: str


def write(
    path: Path, head: page.Head, value: Explanation, photo: bytes, heat_map: bytes | None
) -> None:
    """Write the page and its folder. ``photo``: the product's, b"" = none."""
    thumb = page.data_uri(photo) if photo else ""
    made = page.environment(photo_of=lambda _product_id: thumb)
    page.render(
        path,
        made.get_template("explanation.html.j2"),
        head=head,
        queries=[(caption, page.data_uri(content)) for caption, content in head.queries],
        found=value,
        reasons=explained.reasons(value),
        scores=_scores(value),
        heat_map=page.data_uri(heat_map, 900) if heat_map else "",
    )


def _scores(value: Explanation) -> Sequence[ShownScore]:
    """Return the product's score, then that of the last product shown, on one scale."""
    titled = [(_("its score"), value.score)] if value.score is not None else []
    last = value.last_shown
    if last is not None and (value.score is None or last.product_id != value.score.product_id):
        title = _("the last product shown, {product_id}", last)
        titled.append((title, last))
    largest = max((abs(part.value) for _title, one in titled for part in one.parts), default=0.0)
    return [_shown(title, one, largest) for title, one in titled]


def _shown(title: str, value: ExplainedScore, largest: float) -> ShownScore:
    bars = page.score_bars(value.parts, largest)
    return ShownScore(title, value.raw_score, bars, explained.moved(value.score_rank, value.moves))
