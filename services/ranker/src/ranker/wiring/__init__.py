"""Builds the ranker's processes from adapters, use cases and edges."""
