"""Loops of the worker. One worker leads."""
