"""Adapters to the outside: one module for each vendor or kind of file."""
