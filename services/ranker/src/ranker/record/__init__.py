"""The record: the ranker's data in SQL. `tables` is the schema, `migrations` upgrade a store to it;
each other module owns the operations on some tables."""
