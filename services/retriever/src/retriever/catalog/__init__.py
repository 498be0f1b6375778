"""Use cases of products: write, read, list, import and delete."""
