"""Values and errors of the embedder."""
