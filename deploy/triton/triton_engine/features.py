"""Outputs of features models, which replace the unit vector, and the maps behind them."""

import math
from collections.abc import Mapping
from typing import Final, Self

from pydantic import model_validator

from triton_engine.tables import Count, Stage, Table

DEVIATION: Final = "_deviation"
"""Suffix of the name of a stage's second block."""
MAP: Final = "_map"
"""Suffix of the name of an output that is a block before averaging."""
FEATURES: Final = "features"
POSITIONS: Final = "positions"
"""Spaces that are never searched: the features that spaces are fitted on, and the same before
averaging, for heat maps.
"""
HEAD: Final = "head"
HISTOGRAM: Final = "hsv_histogram"
"""Names of the blocks of a features model that follow its stages."""


def side_of(size: int, block: str) -> int:
    """Return height and width of a block's map, after the strides of 2 before it."""
    return -(-size // (1 << _HALVED[block]))


_HALVED: Final[Mapping[str, int]] = {
    **dict(zip((f"stage_{n}" for n in range(2, 9)), (1, 2, 3, 4, 4, 5, 5), strict=True)),
    HEAD: 5,
}
"""Number of times that the network has halved its input by the end of a block."""


class Features(Table):
    """Outputs of a features model instead of the head's unit vector: several blocks of numbers, not
    normalized, from which spaces are fitted.
    """

    stages: Mapping[Stage, Count]
    """Channels of each stage of the network whose averages and standard deviations over the plane
    are computed, by name, in the network's order; EfficientNet's paper counts them (stage_2 to
    stage_8)."""
    histogram: tuple[Count, Count, Count]
    """Bins of hue, saturation and value."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if list(self.stages) != sorted(self.stages):
            raise ValueError("stages are not in the network's order")
        return self

    def blocks(self, head: int) -> dict[str, int]:
        """Return the size of each block by its name, in order; `head` is the head's."""
        deviations = {stage + DEVIATION: count for stage, count in self.stages.items()}
        return {**self.stages, **deviations, HEAD: head, HISTOGRAM: math.prod(self.histogram)}
