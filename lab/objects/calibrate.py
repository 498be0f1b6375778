"""Fit the probability that a detection shows its nearest product: ``python -m
lab.objects.calibrate``. Prints WEIGHTS of sightline_rules.photo_products."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import numpy as np
import numpy.typing as npt

from lab.objects import finding, material
from sightline_rules.photo_products import features

PHOTOS: Final[dict[material.Part, range]] = {
    "fit": range(5_000, 5_110),
    "known": range(7_000, 7_080),
}
"""Numbers of the made photos by part, which the head did not learn from."""
ROUNDS: Final = 60


def rows(part: material.Part, number: int) -> list[tuple[float, ...]]:
    """Return the features of each detection in a photo, and the outcome."""
    photo = material.photo(part, number)
    image = finding.decoded(photo)
    found = finding.found(image)
    boxes = finding.in_pixels(image, [each.box for each in found])
    names = finding.named(image, boxes, merge=True)
    pairs = finding.paired(boxes, finding.facings(photo))
    shown = [photo.facings[pair].name if pair >= 0 else "" for pair in pairs]
    return [
        (
            *features(float(names.similarity[place]), float(names.lead[place]), each.score),
            float(shown[place] == names.nearest[place]),
        )
        for place, each in enumerate(found)
    ]


def logistic(given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights of a logistic regression on `rows`, by Newton's method."""
    inputs = np.column_stack([np.ones(len(given)), given[:, :3]])
    outcomes = given[:, 3]
    weights = np.zeros(inputs.shape[1])
    for _ in range(ROUNDS):
        chances = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (chances - outcomes) + 1e-3 * weights
        curve = (inputs * (chances * (1 - chances))[:, None]).T @ inputs
        weights -= np.linalg.solve(curve + 1e-3 * np.eye(len(weights)), slope)
    return weights


def main() -> None:
    """Fit and print the weights."""
    asked = [(part, number) for part, numbers in PHOTOS.items() for number in numbers]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        made = pool.map(rows, *zip(*asked, strict=True), chunksize=8)
        given = np.array([row for each in made for row in each])
    weights = logistic(given)
    print(len(given), given[:, 3].mean(), tuple(round(float(each), 1) for each in weights))


if __name__ == "__main__":
    main()
