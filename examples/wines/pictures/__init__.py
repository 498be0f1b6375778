"""The pictures of README and docs, taken from a running suite."""
