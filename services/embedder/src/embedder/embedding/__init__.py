"""Embedding of items: a vector or an error for each."""
