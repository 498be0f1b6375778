"""A catalog into one file, and back."""
