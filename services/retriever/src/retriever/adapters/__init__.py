"""One module for each thing outside: the engine, the photo store, the embedder, backup files."""
