"""Backups of the watches of catalogs, and restores."""
