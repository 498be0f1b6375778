"""What benches ask about: photos, ratings and products that are made from a seed."""
