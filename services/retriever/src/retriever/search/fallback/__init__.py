"""Fallbacks of a search while the engine does not answer."""
