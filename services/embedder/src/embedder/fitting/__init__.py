"""Learning a visual space from a catalog's labelled photos: features in, a map and a head out."""
