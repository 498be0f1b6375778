"""Checks of a cluster before the first installation (`sightline preflight`)."""
