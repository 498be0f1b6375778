"""Creation of vectors, and application of the record's changes to the index."""
