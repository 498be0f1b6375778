"""Revisions of the small store."""
