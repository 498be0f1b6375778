"""Comparison of a space with the one in use, by cross-validation on the catalog's own photos.

Photos are measured with maps that were not fitted on them. Photos of one picture are in one fold.
If shoppers' photos and the catalog's are distinguished, shoppers' photos are the queries, and the
catalog's photos are always among the photos to find, as in searches.
"""

from collections.abc import Callable
from functools import partial

from embedder.domain.fitted import (
    Floats,
    Labelled,
    SpaceEvaluation,
    SpaceFigure,
    SpaceVerdict,
)
from embedder.fitting import folds
from embedder.fitting.fit import FitOptions, check, fit_rows
from embedder.fitting.head import classes_of
from embedder.fitting.measuring import FOLDS, HALVES, NEAREST, Learn, Measuring, Refit, Views

Tell = Callable[[int, int], None]
"""Called with the number of measured maps, and of all maps to measure."""


def evaluate(
    data: Labelled,
    options: FitOptions,
    baseline: Floats | Refit,
    baseline_model: str,
    *,
    seed: int,
    views: Views,
    tell: Tell | None = None,
    learn: Learn = fit_rows,
    unseen: bool = True,
) -> SpaceEvaluation:
    """Compare with `baseline`: vectors [n, b] of unit length in the space in use, or what fits it
    again in each fold. `learn` fits the maps. `unseen`: also measure maps of half of the products
    on the other half. Figures without enough queries are left out. Raises FitInvalid if no map can
    be fitted.
    """
    check(data)
    measuring = Measuring(data, options, baseline, views=views, seed=seed, learn=learn)
    steps = [partial(measuring.seen, fold) for fold in range(FOLDS)]
    steps += [partial(measuring.unseen, half) for half in range(HALVES) if unseen]
    for done, step in enumerate(steps, 1):
        step()
        if tell is not None:
            tell(done, len(steps))
    figures = tuple(measuring.figures())
    categories = classes_of(data.categories, folds.numbered(data.groups))
    verdict, text = judged(figures, baseline_model)
    return SpaceEvaluation(
        verdict=verdict,
        text=text,
        figures=figures,
        baseline_model=baseline_model,
        photos=len(data.products),
        products=len(set(data.products)),
        categories=len(categories.paths),
        seed=seed,
    )


def judged(figures: tuple[SpaceFigure, ...], baseline_model: str) -> tuple[SpaceVerdict, str]:
    """Return the verdict on the space, by the gain in 1-NN, and its reason."""
    found = {each.name: each for each in figures}.get(NEAREST)
    if found is None:
        return (
            SpaceVerdict.INCONCLUSIVE,
            "no product has photos of several pictures, uploads or occasions, so no query can be"
            " measured",
        )
    if found.baseline is None or found.gain_low is None or found.gain_high is None:
        return SpaceVerdict.INCONCLUSIVE, "the space in use has no such figure"
    gain = found.value - found.baseline
    text = (
        f"the nearest photo shows the same product for {found.value:.1%} of {found.queries} photos,"
        f" with {baseline_model} for "
        f"{found.baseline:.1%}: {100 * gain:+.1f} points "
        f"({100 * found.gain_low:+.1f} to {100 * found.gain_high:+.1f})"
    )
    if found.gain_low > 0:
        return SpaceVerdict.BETTER, text
    return (SpaceVerdict.WORSE if found.gain_high < 0 else SpaceVerdict.INCONCLUSIVE), text
