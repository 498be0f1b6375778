"""Phone photos of groceries and one iconic photo of each: $SIGHTLINE_DATA/grocery.

M. Klasson, C. Zhang, H. Kjellström, A Hierarchical Grocery Store Image Dataset with Visual and
Semantic Labels, WACV 2019 (arXiv 1901.00711). MIT; it is never part of this project.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FOLDER = "grocery"

Labels: TypeAlias = npt.NDArray[np.int64]
Vectors: TypeAlias = npt.NDArray[np.float32]

SAME_SCENE = 0.85
"""Minimum cosine of two photos of a product that count as one scene. Without such groups a photo's
nearest neighbor is its own scene from a slightly different angle, and 1-NN is .963; with them it is
about that of the paper's own validation part (2026-11).
"""


@dataclass(frozen=True, slots=True)
class GroceryPhotos:
    """Photos with the product that each shows."""

    paths: Sequence[Path]
    products: Labels
    """[n]: 0 to 80."""


@dataclass(frozen=True, slots=True)
class Grocery:
    """The available parts of the data; the paper's test part is not among them."""

    train: GroceryPhotos
    validation: GroceryPhotos
    iconic: GroceryPhotos
    """One iconic photo of each product."""
    categories: Sequence[str]
    """Category of each product, one of 43."""


def find() -> Path | None:
    """Return the data's folder, or None when it is absent."""
    given = os.environ.get("SIGHTLINE_DATA", "")
    folder = Path(given) / FOLDER
    return folder if given and (folder / "classes.csv").is_file() else None


def classes(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the products' table, one a product."""
    with (folder / "classes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def category(row: Mapping[str, str]) -> tuple[str, str]:
    """Return department and coarse class of a product, e.g. ("Fruit", "Apple")."""
    department = Path(row["Iconic Image Path (str)"]).parts[2]
    return department, row["Coarse Class Name (str)"].replace("-", " ")


def load(folder: Path) -> Grocery:
    """Read the lists of photos. Raises OSError or ValueError if the data are incomplete."""
    rows = classes(folder)
    iconic = GroceryPhotos(
        [folder / row["Iconic Image Path (str)"].lstrip("/") for row in rows],
        np.array([int(row["Class ID (int)"]) for row in rows]),
    )
    categories = [row["Coarse Class Name (str)"] for row in rows]
    return Grocery(_listed(folder, "train"), _listed(folder, "val"), iconic, categories)


def _listed(folder: Path, part: str) -> GroceryPhotos:
    with (folder / f"{part}.txt").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return GroceryPhotos([folder / row[0] for row in rows], np.array([int(row[1]) for row in rows]))


def scenes(vectors: Vectors, products: Labels) -> Labels:
    """Return the scene of each photo [n]: connected photos of one product by SAME_SCENE.

    `vectors`: float32 [n, d] of unit length, of another model than the measured one, which would
    lose the neighbors that it finds best.
    """
    groups = np.arange(len(products))
    near = (vectors @ vectors.T >= SAME_SCENE) & (products[:, None] == products)
    while True:
        lowest = np.array([groups[row].min() for row in near])
        if np.array_equal(lowest, groups):
            return groups
        groups = lowest
