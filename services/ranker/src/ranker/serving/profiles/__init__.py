"""Profiles of shoppers and products in human-readable form."""
