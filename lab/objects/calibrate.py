"""Fit the probability that a detection shows its nearest product: ``python -m
lab.objects.calibrate``. Prints WEIGHTS of gateway.detect.matching."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import numpy as np
import numpy.typing as npt

from lab.objects import finding, material

FIRST: Final = 5_000
PHOTOS: Final = 160
"""Numbers of the made photos, from FIRST, which the head did not learn from."""
STRANGERS: Final = 0.3
"""Weight of objects that are in no catalog: more than half of the facings in these photos."""
ROUNDS: Final = 60


def rows(number: int) -> list[tuple[float, float, float, bool, float]]:
    """Return similarity, lead, objectness, outcome and weight of each detection in a photo."""
    photo = material.photo("fit", number)
    image = finding.decoded(photo)
    found = finding.found(image)
    boxes = finding.in_pixels(image, [each.box for each in found])
    names = finding.named(image, boxes, merge=True)
    pairs = finding.paired(boxes, finding.facings(photo))
    shown = [photo.facings[pair].name if pair >= 0 else "" for pair in pairs]
    return [
        (
            float(names.similarity[place]),
            float(names.lead[place]),
            each.score,
            shown[place] == names.nearest[place],
            1.0 if shown[place] else STRANGERS,
        )
        for place, each in enumerate(found)
    ]


def logistic(given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights of a logistic regression on `rows`, by Newton's method."""
    inputs = np.column_stack([np.ones(len(given)), given[:, :3]])
    outcomes, importance = given[:, 3], given[:, 4]
    weights = np.zeros(inputs.shape[1])
    for _ in range(ROUNDS):
        chances = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (importance * (chances - outcomes)) + 1e-3 * weights
        curve = (inputs * (importance * chances * (1 - chances))[:, None]).T @ inputs
        weights -= np.linalg.solve(curve + 1e-3 * np.eye(len(weights)), slope)
    return weights


def main() -> None:
    """Fit and print the weights."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        numbers = range(FIRST, FIRST + PHOTOS)
        given = np.array([row for each in pool.map(rows, numbers, chunksize=8) for row in each])
    weights = logistic(given)
    print(len(given), given[:, 3].mean(), tuple(round(float(each), 1) for each in weights))


if __name__ == "__main__":
    main()
