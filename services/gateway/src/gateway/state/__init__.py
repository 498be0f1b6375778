"""What is kept: of a request while it runs, between requests, and in tokens that callers hold."""
