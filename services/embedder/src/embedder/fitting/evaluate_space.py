"""Whether a space is better than the one in use: cross-validation on the catalog's own photos.

Every figure is of photos that had no part in the map that it is measured with. Photos of one
picture stay on one side. Where shoppers' photos and the catalog's are distinguished, shoppers ask,
and the catalog's photos are always there to be found, which is what the space is for.
"""

from collections.abc import Callable
from functools import partial

from embedder.domain.fitted import Floats, Labelled, SpaceEvaluation, SpaceFigure, SpaceVerdict
from embedder.fitting import folds
from embedder.fitting.fit import FitOptions, check, fit_rows
from embedder.fitting.head import classes_of
from embedder.fitting.measuring import FOLDS, HALVES, NEAREST, Learn, Measuring, Views

Tell = Callable[[int, int], None]
"""Called with how many of how many maps have been measured."""


def evaluate(
    data: Labelled,
    options: FitOptions,
    baseline: Floats,
    baseline_model: str,
    *,
    seed: int,
    views: Views,
    tell: Tell | None = None,
    learn: Learn = fit_rows,
    unseen: bool = True,
) -> SpaceEvaluation:
    """Compare with `baseline`: vectors [n, b] of unit length in the space in use.

    `learn` fits the maps. `unseen`: maps of half of the products are measured on the other half,
    too. A figure that the photos can't tell is left out. Raises FitInvalid where nothing can be
    fitted.
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
    """Say whether the space is better, by the gain in 1-NN, and why."""
    named = {each.name: each for each in figures}
    found = named.get(NEAREST)
    if found is None or found.baseline is None or found.gain_low is None or found.gain_high is None:
        return (
            SpaceVerdict.INCONCLUSIVE,
            "no product has a photo that another of its photos could find",
        )
    gain = found.value - found.baseline
    sentence = (
        f"the nearest photo shows the same product for {found.value:.1%} of {found.queries} "
        f"photos, with {baseline_model} for {found.baseline:.1%}: {100 * gain:+.1f} points "
        f"({100 * found.gain_low:+.1f} to {100 * found.gain_high:+.1f})"
    )
    if found.gain_low > 0:
        return SpaceVerdict.BETTER, sentence
    return (SpaceVerdict.WORSE if found.gain_high < 0 else SpaceVerdict.INCONCLUSIVE), sentence
