"""Searches: by the vectors in memory, by the engine along a plan, or by words."""
