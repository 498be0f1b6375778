"""Files fetched from, and messages posted to, addresses that callers named."""
