"""Request path: loaded models, the order of candidates, profiles."""
