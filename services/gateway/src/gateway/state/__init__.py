"""State: of a running request, between requests, and in tokens that callers hold."""
