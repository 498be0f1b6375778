"""One request: from a shopper and candidates to an order with reasons."""
