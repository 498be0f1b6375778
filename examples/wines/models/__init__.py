"""A model's life on real wines, by the commands that a person types: ``make demo-models``."""
