"""From candidates to an order with explanations. Pure."""
