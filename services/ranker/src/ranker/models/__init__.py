"""Trained models: as files, serving, promoted, published and pruned."""
