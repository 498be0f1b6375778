"""Trained models at hand: those that serve and those that requests name."""
