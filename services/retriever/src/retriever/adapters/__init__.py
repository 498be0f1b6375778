"""Adapters: the engine, the photo store, the embedder, backup files."""
