"""The gateway's values and errors, used by all other modules."""
