"""Products in, out, listed and deleted."""
