"""Backup and restore of a catalog."""
