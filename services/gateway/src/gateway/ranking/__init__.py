"""From candidates to an order, and what is said of it. Pure."""
