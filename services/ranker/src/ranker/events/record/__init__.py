"""The record: what the ranker knows, in SQL. `tables` is the schema, and `migrations` bring a store
to it; each other module owns what is done with some tables."""
