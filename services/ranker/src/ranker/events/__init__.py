"""Events: taken in, sampled, purged, kept for a time, exported."""
