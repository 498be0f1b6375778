"""Recall of live searches, measured against exact ones."""
