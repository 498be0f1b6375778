"""Calls that follow from the contract; client/generator writes them."""
