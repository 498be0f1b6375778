"""Work of commands that make more than one call."""
