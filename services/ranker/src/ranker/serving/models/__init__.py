"""Loaded models: the serving ones and those that requests name."""
