"""Authentication of callers, by configured keys or tokens of an identity provider."""
