"""Tables of a model's training for a terminal."""

from collections.abc import Sequence
from dataclasses import fields

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline_client.cli.show import listings
from sightline_client.cli.show.tables import plain
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
        parts.append(Text("It was trained by an older release, which stored no recipe."))
        return Group(*parts)
    parts.append(_recipe(value, value.recipe))
    if value.additions:
        parts += [_additions(value.additions), Text(EXPLAINED, style="dim")]
    else:
        parts.append(Text("The contribution of each part was not measured."))
    return Group(*parts)


def not_yet(version: str, models: Sequence[Model], evidence: str) -> RenderableType:
    """Show the result of a training whose model does not serve yet."""
    made = next((one for one in models if one.model_version == version), None)
    learned = ""
    if made is not None:
        learned = (
            f" It learned from {made.event_count:,} events of {made.shopper_count:,} shoppers about"
            f" {made.product_count:,} products."
        )
    return Group(
        Text(f"Model {plain(version)} is trained and kept, and does not serve yet.{learned}"),
        _serving(models),
        Text(f"Evidence: {plain(evidence)}"),
        Text(
            "Train again with more events: each night, or when their number has doubled. A "
            "verdict needs at least 100 shoppers with a history who return in the last fifth of "
            "the events."
        ),
        Text.assemble(
            ("Fix: ", "bold"),
            f"see the evidence with `sightline models evaluate {plain(version)} --show`; let it"
            f" serve all the same with `sightline models promote {plain(version)} --force`.",
        ),
    )


def nothing_new(version: str) -> RenderableType:
    """Show the result of a training that trained nothing."""
    return Text(f"Nothing has changed since model {plain(version)} was trained: no new model.")


def nothing_learned(models: Sequence[Model], why: str) -> RenderableType:
    """Show the result of a training that had too little data."""
    return Group(
        Text(f"No model was trained: {plain(why)}."),
        _serving(models),
        Text.assemble(
            ("Fix: ", "bold"),
            "import events with `sightline events import FILE`, or send them as they happen;"
            " views, clicks and purchases affect answers at once. Train again tomorrow.",
        ),
    )


def _serving(models: Sequence[Model]) -> Text:
    serving = next((one.model_version for one in models if one.promoted), "")
    if serving:
        return Text(f"Serving now: model {plain(serving)}.")
    return Text("Serving now: no model yet; answers come from similarity and popularity.")


EXPLAINED = (
    "Measured by a separate fit on the earlier events of the evaluation's training part, against"
    " the later ones; differences with 95% intervals over shoppers."
)


def _recipe(value: Model, recipe: TrainingRecipe) -> Table:
    table = Table(title="Recipe", title_justify="left", box=None, show_header=False)
    for field in fields(recipe):
        given = getattr(recipe, field.name)
        if given is not None:
            text = ", ".join(given) if isinstance(given, tuple) else f"{given}"
            table.add_row(field.name.replace("_", " "), plain(text))
    table.add_row("seed", str(value.seed))
    if value.search_trial_count:
        table.add_row("best of", f"{value.search_trial_count} recipes")
    if value.base_version:
        table.add_row("continued from", plain(value.base_version))
    weights = ", ".join(f"{part} {weight:g}" for part, weight in sorted(value.blend.items()))
    table.add_row("blend", plain(f"{weights} ({value.blend_learned_from})"))
    return table


def _additions(values: tuple[PartAddition, ...]) -> Table:
    table = Table(title="Contribution of each part", title_justify="left", box=None)
    table.add_column("part")
    for name in ("with", "without", "adds", "95% interval", "people"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for one in values:
        table.add_row(
            plain(one.part),
            f"{one.metric} {one.with_it:.4f}",
            f"{one.without:.4f}",
            f"{one.addition:+.4f}",
            f"{one.low:+.4f} to {one.high:+.4f}",
            f"{one.shopper_count:,}",
            WORDS[one.verdict],
        )
    return table
