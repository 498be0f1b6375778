"""Tables of a model's training for a terminal."""

from collections.abc import Sequence
from dataclasses import fields

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline_client.cli.language import _, later
from sightline_client.cli.show import listings
from sightline_client.cli.show.grids import phrase, plain
from sightline_client.cli.show.value_tables import interval
from sightline_client.values.operations import Model
from sightline_client.values.trainings import PartAddition, PartVerdict, TrainingRecipe

WORDS = {
    PartVerdict.ADDS: "adds",
    PartVerdict.NOTHING: "nothing: disabled",
    PartVerdict.TOO_FEW: "too few shoppers to tell",
    PartVerdict.UNKNOWN: "–",
}


def model(value: Model) -> RenderableType:
    """Show the model's line, its recipe, its blend and the contribution of each part."""
    parts: list[RenderableType] = [listings.models([value])]
    if value.recipe is None:
        parts.append(phrase("It was trained by an older release, which stored no recipe."))
        return Group(*parts)
    parts.append(_recipe(value, value.recipe))
    if value.additions:
        parts += [_additions(value.additions), Text(_(EXPLAINED), style="dim")]
    else:
        parts.append(phrase("The contribution of each part was not measured."))
    return Group(*parts)


def not_yet(version: str, models: Sequence[Model], evidence: str) -> RenderableType:
    """Show the result of a training whose model does not serve yet."""
    made = next((one for one in models if one.model_version == version), None)
    learned = ""
    if made is not None:
        learned = _(
            " It learned from {event_count:,} events of {shopper_count:,} shoppers about "
            "{product_count:,} products.",
            made,
        )
    return Group(
        phrase(
            "Model {version} is trained and kept, and does not serve yet.{learned}",
            version=version,
            learned=learned,
        ),
        _serving(models),
        phrase("Evidence: {evidence}", evidence=evidence),
        phrase(
            "Train again with more events: each night, or when their number has doubled. "
            "Shoppers with a history who return in the last fifth of the events decide; "
            "fewer than 100 have to show more."
        ),
        Text.assemble(
            (_("Fix: "), "bold"),
            _(
                "see the evidence with `sightline models evaluate {version} --show`; let it "
                "serve all the same with `sightline models promote {version} --force`.",
                version=plain(version),
            ),
        ),
    )


def unmatched(events: int, of: int) -> RenderableType:
    """Show how many events of a training are of products that the catalog lacks."""
    return phrase(
        "{events:,} of {of:,} events are of products that the catalog lacks: answers will not "
        "use them. Are they ids of another system?",
        events=events,
        of=of,
    )


def nothing_new(version: str) -> RenderableType:
    """Show the result of a training that trained nothing."""
    return phrase(
        "Nothing has changed since model {version} was trained: no new model.", version=version
    )


def nothing_learned(models: Sequence[Model], why: str) -> RenderableType:
    """Show the result of a training that had too little data."""
    return Group(
        phrase("No model was trained: {why}.", why=why),
        _serving(models),
        Text.assemble(
            (_("Fix: "), "bold"),
            _(
                "import events with `sightline events import FILE`, or send them as they "
                "happen; views, clicks and purchases affect answers at once. Train again "
                "tomorrow."
            ),
        ),
    )


def _serving(models: Sequence[Model]) -> Text:
    serving = next((one.model_version for one in models if one.promoted), "")
    if serving:
        return phrase("Serving now: model {serving}.", serving=serving)
    return phrase("Serving now: no model yet; answers are those without one.")


EXPLAINED = later(
    "Measured by a separate fit on the earlier events of the evaluation's training part, against"
    " the later ones; differences with 95% intervals over shoppers."
)


def _recipe(value: Model, recipe: TrainingRecipe) -> Table:
    table = Table(title=_("Recipe"), title_justify="left", box=None, show_header=False)
    for field in fields(recipe):
        given = getattr(recipe, field.name)
        if given is not None:
            text = ", ".join(given) if isinstance(given, tuple) else f"{given}"
            table.add_row(field.name.replace("_", " "), plain(text))
    table.add_row(_("seed"), str(value.seed))
    if value.search_trial_count:
        table.add_row(
            _("best of"),
            _("{search_trial_count} recipes", value),
        )
    if value.base_version:
        table.add_row(_("continued from"), plain(value.base_version))
    weights = ", ".join(f"{part} {weight:g}" for part, weight in sorted(value.blend.items()))
    table.add_row(_("blend"), plain(f"{weights} ({value.blend_learned_from})"))
    return table


def _additions(values: tuple[PartAddition, ...]) -> Table:
    table = Table(title=_("Contribution of each part"), title_justify="left", box=None)
    table.add_column(_("part"))
    for name in (_("with"), _("without"), _("adds"), _("95% interval"), _("people")):
        table.add_column(name, justify="right")
    table.add_column(_("result"))
    for one in values:
        table.add_row(
            plain(one.part),
            f"{one.metric} {one.with_it:.4f}",
            f"{one.without:.4f}",
            f"{one.addition:+.4f}",
            interval(one.low, one.high, "+.4f"),
            f"{one.shopper_count:,}",
            _(WORDS[one.verdict]),
        )
    return table
