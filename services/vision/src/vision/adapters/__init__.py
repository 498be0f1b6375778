"""Adapters: the embedder, the retriever, the photo store."""
