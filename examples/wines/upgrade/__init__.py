"""A new embedding model is rolled out, and back, while shoppers ask: ``make demo-upgrade``."""
