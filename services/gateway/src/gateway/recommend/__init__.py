"""The use cases: a request from top to bottom, search, explanations, classification."""
