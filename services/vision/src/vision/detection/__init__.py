"""Use case: find the products in a photo."""
