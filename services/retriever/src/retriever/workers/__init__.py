"""Loops of the worker: embedding, index updates, jobs. One worker leads."""
