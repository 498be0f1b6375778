"""Spaces as tables on a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import grid, plain
from sightline_client.values.spaces import Space, SpaceEvaluation, SpaceFigure, SpaceVerdict

STYLES = {
    SpaceVerdict.BETTER: "bold green",
    SpaceVerdict.WORSE: "bold red",
    SpaceVerdict.INCONCLUSIVE: "bold yellow",
    SpaceVerdict.UNKNOWN: "bold",
}
MEANINGS = {
    "1-NN": "the nearest photo shows the same product",
    "hit@5": "one of the five nearest photos shows the same product",
    "mAP": "mean average precision over all photos of the product",
    "category": "the predicted category is correct",
    "1-NN one catalogue photo": "1-NN if each product has one catalog photo",
    "1-NN unseen products": "1-NN of products that were not trained on",
    "cosine of a good match": "5% of the photos are less similar to their nearest photo",
    "text hit@10": "the ten photos nearest to a title include one of its product",
}


def spaces(values: Sequence[Space]) -> RenderableType:
    """Show spaces, a line each."""
    if not values:
        return Text("no space: the embedder serves none")
    rows = (
        (
            value.space,
            value.version or "–",
            value.model,
            _state(value),
            f"{value.dimension:,}-d",
            _takes(value),
            "–" if value.evaluation is None else value.evaluation.verdict.value.lower(),
            "–" if value.create_time is None else f"{value.create_time:%Y-%m-%d %H:%M}",
        )
        for value in values
    )
    columns = ("space", "version", "model", "state", "vector", "takes", "evidence", "fitted")
    return grid(columns, rows, whole=("version", "model"))


def space(value: Space) -> RenderableType:
    """Show a space, and the results of its fit."""
    rows = (
        ("space", f"{value.space}, version {value.version or 'not known yet'}"),
        ("model", value.model),
        ("state", _state(value)),
        ("vector", f"{value.dimension:,} components"),
        ("takes", _takes(value)),
        ("categories", f"{value.categories:,}" if value.categories else "none"),
        (
            "views",
            f"{value.shopper_views} per query photo, {value.catalogue_views} per catalog photo",
        ),
        ("preprocessing", value.preprocessing),
        ("weights", value.licence),
    )
    facts = grid(("", ""), rows, show_header=False)
    if value.evaluation is None:
        return facts
    return Group(facts, evaluation(value.evaluation))


def evaluation(value: SpaceEvaluation) -> RenderableType:
    """Show the verdict and the figures with their intervals."""
    baseline = plain(value.baseline_model) or "before"
    columns = ("figure", "fitted", "95% interval", baseline, "gain", "queries")
    rows = (
        (
            figure.name,
            f"{figure.value:.3f}",
            f"{figure.low:.3f} to {figure.high:.3f}",
            "–" if figure.baseline is None else f"{figure.baseline:.3f}",
            _gain(figure),
            f"{figure.queries:,}",
        )
        for figure in value.figures
    )
    table = grid(columns, rows, right=columns[1:])
    learned = (
        f"Learned from {value.photos:,} photos of {value.products:,} products in"
        f" {value.categories:,} categories, seed {value.seed}; the figures are of photos that were"
        " not trained on."
    )
    meanings = [
        Text(f"{plain(each.name)}: {MEANINGS[each.name]}.", style="dim")
        for each in value.figures
        if each.name in MEANINGS
    ]
    verdict = Text.assemble((value.verdict.value, STYLES[value.verdict]), ": ", plain(value.text))
    return Group(verdict, table, Text(learned), *meanings)


def _state(value: Space) -> str:
    state = value.state.value.lower()
    if value.default:
        state += ", default"
    if value.forced:
        state += ", forced"
    return state if value.ready or state != "serving" else "serving, not ready"


def _takes(value: Space) -> str:
    if value.space == "text":
        return "texts"
    return "photos, texts" if value.takes_texts else "photos"


def _gain(figure: SpaceFigure) -> str:
    if figure.baseline is None or figure.gain_low is None or figure.gain_high is None:
        return "–"
    gain = figure.value - figure.baseline
    return f"{gain:+.3f} ({figure.gain_low:+.3f} to {figure.gain_high:+.3f})"
