"""What answers a search while the engine does not."""
