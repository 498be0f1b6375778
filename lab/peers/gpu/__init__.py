"""Triton on a GPU without its own onnxruntime backend, and callers of it and of the embedder."""
