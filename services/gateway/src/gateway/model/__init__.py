"""The gateway's values and errors: what all other modules talk about."""
