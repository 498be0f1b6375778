"""Keys that sign data or wrap other keys."""
