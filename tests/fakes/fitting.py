"""A stand-in for the fitting process: ``python -m tests.fakes.fitting WORK`` instead of ``python -m
embedder.fitting PRIORITY WORK``. It uses principal components and a head of class means.
"""

import sys
import time
from pathlib import Path

import numpy as np

from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    MATCH_SHARES,
    CategoryHead,
    FittedSpace,
    Floats,
    Labelled,
    SpaceEvaluation,
    SpaceFigure,
    SpaceVerdict,
    TextMap,
)
from embedder.fitting import process
from embedder.fitting.process import FitOrder, Tell
from servicekit.processes.background import Priority

DIMENSION = 8


def learn(
    data: Labelled, baseline: Floats, order: FitOrder, tell: Tell
) -> tuple[FittedSpace, SpaceEvaluation]:
    """Fit a space; the seed sets the result: 0: BETTER, 1: INCONCLUSIVE, 2: hang, 3: crash."""
    tell("evaluate", 0)
    if order.seed == 2:
        time.sleep(600)
    if order.seed == 3:
        sys.exit(9)
    products = sorted(set(data.products))
    if len(products) < 3:
        raise FitInvalid("wanted are three products at least")
    first = data.features[:, 0]
    mean, scale = first.mean(axis=0), first.std(axis=0) + 1e-3
    tell("fit", 0)
    _, _, axes = np.linalg.svd((first - mean) / scale, full_matrices=False)
    fitted = FittedSpace(
        means=np.stack([mean, mean + 0.1 * scale]).astype("f4"),
        scales=np.stack([scale, scale]).astype("f4"),
        projection=np.ascontiguousarray(axes[:DIMENSION].T, "f4"),
    )
    vectors = fitted.embed(first, data.kinds)
    paths = sorted({path for path in data.categories if path})
    means = np.stack(
        [vectors[[each == path for each in data.categories]].mean(axis=0) for path in paths]
    )
    cosines = np.full((data.features.shape[1], len(paths), len(MATCH_SHARES)), 0.25, "f4")
    weights, biases = (10 * means.T).astype("f4"), np.zeros(len(paths), "f4")
    head = CategoryHead(paths, weights, biases, 1.0, cosines)
    text_map = None
    size = vectors.shape[1]
    if data.sentences is not None:
        width = data.sentences.shape[1]
        text_map = TextMap(np.eye(width, vectors.shape[1], dtype="f4"), np.zeros(size, "f4"))
    verdict = SpaceVerdict.BETTER if order.seed == 0 else SpaceVerdict.INCONCLUSIVE
    figure = SpaceFigure("1-NN", 0.5, 0.4, 0.6, len(first), 0.4, -0.1, 0.2)
    evaluation = SpaceEvaluation(
        verdict,
        "as the seed says",
        (figure,),
        order.baseline_model,
        len(first),
        len(products),
        len(paths),
        order.seed,
    )
    assert baseline.shape[0] == len(first)
    return FittedSpace(fitted.means, fitted.scales, fitted.projection, head, text_map), evaluation


if __name__ == "__main__":
    process.main(Path(sys.argv[1]), learn, Priority.NORMAL)
