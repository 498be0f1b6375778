"""Perceptual hashes of photos."""

_SIGN = 1 << 63


def to_signed(perceptual_hash: int) -> int:
    """Convert 64 unsigned bits to a signed number, as SQL stores it."""
    return perceptual_hash - 2 * _SIGN if perceptual_hash >= _SIGN else perceptual_hash


def from_signed(stored: int | None) -> int:
    """Convert a stored value back; the inverse of to_signed. Return 0 for None (no hash)."""
    return (stored or 0) % (2 * _SIGN)
