"""The loops of the worker: embed, keep the index up to date, do jobs; one worker leads."""
