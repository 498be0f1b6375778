"""A new embedding model is rolled out and back under load: ``make demo-upgrade``."""
