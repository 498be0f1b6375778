"""Adapters, one module for each vendor or kind of file."""
