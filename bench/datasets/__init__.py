"""Data of benches: photos, ratings, and products generated from a seed."""
