"""Fit a space: ``python -m embedder.fitting PRIORITY WORK``.

The process evaluates by cross-validation, then fits on all photos.
"""

import sys
from pathlib import Path

from embedder.domain.fitted import FittedSpace, Floats, Labelled, SpaceEvaluation
from embedder.fitting import process
from embedder.fitting.evaluate_space import evaluate
from embedder.fitting.fit import FitOptions, fit
from embedder.fitting.measuring import Views
from embedder.fitting.process import FitOrder, Tell
from servicekit.processes.background import Priority


def learn(
    data: Labelled, baseline: Floats, order: FitOrder, tell: Tell
) -> tuple[FittedSpace, SpaceEvaluation]:
    """Return the space, and its evaluation against the space in use. Raises FitInvalid."""
    options = FitOptions(max_dimension=order.max_dimension)
    tell("evaluate", 0)
    found = evaluate(
        data,
        options,
        baseline,
        order.baseline_model,
        seed=order.seed,
        views=Views(order.shopper_views, order.catalog_views),
        tell=lambda done, _: tell("evaluate", done),
    )
    tell("fit", 0)
    return fit(data, options, order.seed), found


if __name__ == "__main__":
    process.main(Path(sys.argv[2]), learn, Priority(sys.argv[1]))
