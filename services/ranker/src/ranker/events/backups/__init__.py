"""Backups of the ranker: its record and the files of its models."""
