"""Interfaces of engine, photos, embedder and network, as the use cases need them."""
