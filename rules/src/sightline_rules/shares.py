"""Confidence of a share, such as a recall or a click rate."""

import math
from typing import Final

Z95: Final = 1.959964
"""Quantile of the normal distribution for 95% intervals."""


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return the 95% interval of a share seen in `size` independent trials (Wilson 1927).
    `size` may be effective, for weighted or dependent trials; 0 gives 0 to 1."""
    if size <= 0:
        return 0.0, 1.0
    square = Z95 * Z95 / size
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(share * (1 - share) / size + square / (4 * size))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
