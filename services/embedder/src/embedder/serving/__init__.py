"""The models that serve: which there are, whether they are sound, and whose turn it is."""
