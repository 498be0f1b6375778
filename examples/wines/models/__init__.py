"""A model's life cycle on real wines, by commands of `sightline`: ``make demo-models``."""
