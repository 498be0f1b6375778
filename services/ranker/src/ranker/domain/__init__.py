"""Values and pure rules of the ranker."""
