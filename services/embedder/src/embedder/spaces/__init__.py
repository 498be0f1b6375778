"""Fitted spaces: learned from a catalog, listed, promoted and retired."""
