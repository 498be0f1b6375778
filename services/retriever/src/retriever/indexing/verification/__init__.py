"""Verification of a generation: a job of the worker."""
