"""Spaces as tables on a terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, plain
from sightline_client.cli.show.value_tables import ValueTable, interval
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


def _state(value: Space) -> str:
    state = value.state.value.lower()
    if value.default:
        state += _(", default")
    if value.forced:
        state += _(", forced")
    return state if value.ready or state != "serving" else _("serving, not ready")


def _takes(value: Space) -> str:
    if value.space == "text":
        return _("texts")
    return _("photos, texts") if value.takes_texts else _("photos")


spaces = ValueTable(
    Space,
    {
        "space": "space",
        "version": "version or –",
        "model": "model",
        "state": _state,
        "vector": lambda each: f"{each.dimension:,}-d",
        "takes": _takes,
        "evidence": lambda each: (
            "–" if each.evaluation is None else each.evaluation.verdict.value.lower()
        ),
        "fitted": "create_time:%Y-%m-%d %H:%M",
    },
    empty="No spaces: the embedder serves none.",
    spare=("model", "evidence", "takes", "vector", "fitted"),
)


def space(value: Space) -> RenderableType:
    """Show a space, and the results of its fit."""
    rows = (
        (
            _("space"),
            _("{space}, version {version}", value, version=value.version or _("not known yet")),
        ),
        (_("model"), value.model),
        (_("state"), _state(value)),
        (_("vector"), _("{dimension:,} components", value)),
        (_("takes"), _takes(value)),
        (_("categories"), f"{value.categories:,}" if value.categories else _("none")),
        (
            _("views"),
            _("{shopper_views} per query photo, {catalogue_views} per catalog photo", value),
        ),
        (_("preprocessing"), value.preprocessing),
        (_("weights"), value.licence),
    )
    facts = grid(("", ""), rows, show_header=False)
    if value.evaluation is None:
        return facts
    return Group(facts, evaluation(value.evaluation))


def evaluation(value: SpaceEvaluation) -> RenderableType:
    """Show the verdict and the figures with their intervals."""
    baseline = plain(value.baseline_model) or _("before")
    columns = (_("figure"), _("fitted"), _("95% interval"), baseline, _("gain"), _("queries"))
    rows = (
        (
            figure.name,
            f"{figure.value:.3f}",
            interval(figure.low, figure.high, ".3f"),
            "–" if figure.baseline is None else f"{figure.baseline:.3f}",
            _gain(figure),
            f"{figure.queries:,}",
        )
        for figure in value.figures
    )
    table = grid(columns, rows, right=columns[1:])
    learned = _(
        "Learned from {photos:,} photos of {products:,} products in {categories:,} "
        "categories, seed {seed}; the figures are of photos that were not trained on.",
        value,
    )
    meanings = [
        Text(f"{plain(each.name)}: {_(MEANINGS[each.name])}" + _("."), style="dim")
        for each in value.figures
        if each.name in MEANINGS
    ]
    verdict = Text.assemble((value.verdict.value, STYLES[value.verdict]), ": ", plain(value.text))
    return Group(verdict, table, Text(learned), *meanings)


def _gain(figure: SpaceFigure) -> str:
    if figure.baseline is None or figure.gain_low is None or figure.gain_high is None:
        return "–"
    gain = figure.value - figure.baseline
    return _("{gain:+.3f} ({gain_low:+.3f} to {gain_high:+.3f})", figure, gain=gain)
