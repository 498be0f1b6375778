"""Fits a visual space to a catalog's labelled photos: from features to a map and a classification
head."""
