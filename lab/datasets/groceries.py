"""GroceryStoreDataset's photos as features of one view, with each one's product and category."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lab.datasets import featured, grocery
from lab.datasets.featured import Floats

BACKBONE: Final = "efficientnet_lite0_features"


@dataclass(frozen=True, slots=True)
class LabelledPhotos:
    """Photos with their labels."""

    features: Floats
    """[n, f], of one view."""
    plain: Floats
    """[n, 1280]: unit vectors of the pretrained backbone."""
    names: Sequence[str]
    """Product of each photo, e.g. "Golden-Delicious"."""
    categories: Sequence[tuple[str, str]]
    """Department and coarse class of each photo, e.g. ("Fruit", "Apple")."""


def photos(folder: Path, part: Literal["train", "validation"]) -> LabelledPhotos:
    """Return the photos of a part. Raise OSError when a file is missing."""
    chosen: grocery.GroceryPhotos = getattr(grocery.load(folder), part)
    rows = grocery.classes(folder)
    shown = [rows[product] for product in chosen.products.tolist()]
    model = featured.backbone(BACKBONE)
    return LabelledPhotos(
        features=featured.features(model, chosen.paths, model.recipe, 1)[:, 0],
        plain=featured.heads(model, chosen.paths),
        names=[row["Class Name (str)"] for row in shown],
        categories=[grocery.category(row) for row in shown],
    )
