"""What models of features give in the place of one vector, and the maps behind it."""

import math
from collections.abc import Mapping
from typing import Final, Self

from pydantic import model_validator

from triton_engine.tables import Count, Stage, Table

DEVIATION: Final = "_deviation"
"""What the name of a stage's second block ends with."""
MAP: Final = "_map"
"""What the name of an output ends with that is a block before it is averaged."""
FEATURES: Final = "features"
POSITIONS: Final = "positions"
"""Spaces of models that nobody searches by: what spaces are fitted on, and the same before it is
averaged, by which heat maps are made."""
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
"""How often the network has halved its input by the end of a block."""


class Features(Table):
    """What a features model gives instead of the head's unit vector: several blocks of numbers,
    none of them normalised, from which spaces are fitted."""

    stages: Mapping[Stage, Count]
    """Channels of each stage of the network whose averages and standard deviations over the plane
    are taken, by name, in the network's order; EfficientNet's paper counts them (stage_2 to
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
