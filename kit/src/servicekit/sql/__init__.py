"""A service's own store: SQLite or PostgreSQL, its migrations, locks and leases."""
