"""The catalog capabilities of the Universal Commerce Protocol."""
